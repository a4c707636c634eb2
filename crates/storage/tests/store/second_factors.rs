//! Second factors, and what people change about their own account.

use std::sync::Barrier;

use domain::{Id, Timestamp, User};
use storage::{
    Database, Statement, Store,
    rate_limits::{Bucket, Limit, RetryAfterMs},
    second_factors::NewSecondFactor,
    sessions::TokenHashes,
};

use crate::{
    fixture::{Fixture, LEASE_MS},
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_code_counts_once_and_none_before_it,
    of_many_who_use_one_code_at_once_one_succeeds,
    a_recovery_code_counts_once_and_new_ones_replace_all,
    whoever_shows_only_the_password_replaces_no_second_factor,
    of_two_second_factors_that_are_set_up_at_once_one_counts,
    no_session_begins_with_what_was_read_before_the_second_factor,
    a_new_second_factor_ends_all_sessions_but_one_and_is_recorded,
    taking_a_second_factor_away_takes_its_recovery_codes_and_can_end_sessions,
    a_new_password_ends_sessions_and_links,
    what_is_given_back_can_be_taken_again,
    a_slow_limit_says_how_long_to_wait,
}

fn hashes(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn now(fixture: &Fixture, user: &User) -> User {
    block_on(fixture.store.user(user.id)).unwrap().unwrap()
}

fn set(store: &Store<Real>, user: &User, sealed: &str, step: i64, codes: &[&str], only_first: bool) -> bool {
    let recovery_hashes = &hashes(codes);
    block_on(
        store
            .set_second_factor(user, NewSecondFactor { sealed, step, recovery_hashes, only_first, kept_session: None }),
    )
    .unwrap()
}

/// A person with a second factor.
fn protected(fixture: &Fixture) -> User {
    let user = fixture.user("a@example.org");
    assert!(!user.has_second_factor);
    assert!(set(&fixture.store, &user, "s", 100, &["one", "two"], true));
    let user = now(fixture, &user);
    assert!(user.has_second_factor);
    user
}

fn begin(fixture: &Fixture, user: &User) -> Option<Id> {
    let (id, token) = (Id::new(), TokenHashes { token: "one".into(), family: "family".into() });
    block_on(fixture.store.create_session(id, user, &token, LEASE_MS)).unwrap().then_some(id)
}

fn sessions(fixture: &Fixture) -> Vec<Id> {
    block_on(fixture.store.open_sessions(None, None, 10)).unwrap().into_iter().map(|session| session.id).collect()
}

fn set_up_at(store: &Store<Real>, user: &User) -> Timestamp {
    block_on(store.second_factor(user.id)).unwrap().unwrap().created_at
}

fn a_code_counts_once_and_none_before_it(place: Place) {
    let fixture = Fixture::new(place);
    let user = protected(&fixture);
    let set_up = set_up_at(&fixture.store, &user);
    let another = Timestamp::from_millis(set_up.as_millis() - 1);
    let used = |created_at, step| block_on(fixture.store.use_code(user.id, created_at, step)).unwrap();
    assert!(!used(set_up, 100), "the code that set it up");
    assert!(!used(another, 101), "it was replaced meanwhile");
    assert!(used(set_up, 102));
    assert!(!used(set_up, 102) && !used(set_up, 101));
    let resealed = Statement::new("t", "UPDATE second_factors SET sealed = 'anew'", []);
    block_on(fixture.another_connection().query(resealed)).unwrap();
    assert!(used(set_up, 103), "it is the same secret, sealed with another key");
    assert!(!block_on(fixture.store.use_code(Id::new(), set_up, 104)).unwrap());
    let kept = block_on(fixture.store.second_factor(user.id)).unwrap().unwrap();
    assert_eq!((kept.sealed.as_str(), kept.recovery_codes_left), ("anew", 2));
    assert!(kept.created_at <= kept.now);
    assert_eq!(block_on(fixture.store.second_factor(Id::new())).unwrap(), None);
}

fn of_many_who_use_one_code_at_once_one_succeeds(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let user = protected(&fixture);
    let (barrier, set_up) = (Barrier::new(MANY), set_up_at(&fixture.store, &user));
    let act = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        barrier.wait();
        if index.is_multiple_of(2) {
            block_on(store.use_code(user.id, set_up, 101)).unwrap()
        } else {
            block_on(store.use_recovery_code(user.id, "one")).unwrap()
        }
    };
    let used = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || act(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|used| *used).count()
    });
    assert_eq!(used, 2, "one code of the app and one recovery code");
}

fn a_recovery_code_counts_once_and_new_ones_replace_all(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (protected(&fixture), fixture.user("b@example.org"));
    let used = |user: &User, hash| block_on(fixture.store.use_recovery_code(user.id, hash)).unwrap();
    let left = || block_on(fixture.store.second_factor(user.id)).unwrap().unwrap().recovery_codes_left;
    assert!(!used(&other, "one") && !used(&user, "three"));
    assert!(used(&user, "one") && !used(&user, "one"));
    assert_eq!(left(), 1);
    let renew = |user: &User| block_on(fixture.store.renew_recovery_codes(user, &hashes(&["one", "four"]))).unwrap();
    assert!(renew(&user) && !renew(&other), "whoever has no second factor needs none");
    assert_eq!((left(), used(&user, "two"), used(&user, "one"), used(&user, "four")), (2, false, true, true));
    assert_eq!(now(&fixture, &user).access_version, user.access_version, "nobody is logged out by it");
    let earlier = User { access_version: 0, ..user.clone() };
    assert!(!renew(&earlier));
}

fn whoever_shows_only_the_password_replaces_no_second_factor(place: Place) {
    let fixture = Fixture::new(place);
    let user = protected(&fixture);
    assert!(!set(&fixture.store, &user, "thief", 100, &["x"], true));
    assert_eq!(block_on(fixture.store.second_factor(user.id)).unwrap().unwrap().sealed, "s");
    assert!(set(&fixture.store, &user, "new", 50, &["x"], false));
    let kept = block_on(fixture.store.second_factor(user.id)).unwrap().unwrap();
    assert_eq!((kept.sealed.as_str(), kept.recovery_codes_left), ("new", 1));
    assert!(block_on(fixture.store.use_code(user.id, kept.created_at, 51)).unwrap(), "its steps are its own");
}

fn of_two_second_factors_that_are_set_up_at_once_one_counts(place: Place) {
    const MANY: usize = 6;
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let barrier = Barrier::new(MANY);
    let act = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        barrier.wait();
        set(&store, &user, &index.to_string(), 1, &["one"], index.is_multiple_of(2))
    };
    let set: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || act(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let counts: Vec<usize> = set.iter().enumerate().filter_map(|(index, set)| set.then_some(index)).collect();
    assert_eq!(counts.len(), 1, "{set:?}");
    assert_eq!(block_on(fixture.store.second_factor(user.id)).unwrap().unwrap().sealed, counts[0].to_string());
}

fn a_new_second_factor_ends_all_sessions_but_one_and_is_recorded(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let [kept, _, theirs] = [&user, &user, &other].map(|user| begin(&fixture, user).unwrap());
    let new =
        NewSecondFactor { sealed: "s", step: 1, recovery_hashes: &[], only_first: true, kept_session: Some(kept) };
    assert!(block_on(fixture.store.set_second_factor(&user, new)).unwrap());
    let left = || {
        let mut left = sessions(&fixture);
        left.sort();
        left
    };
    assert_eq!(left(), [kept, theirs]);
    let user = now(&fixture, &user);
    assert!(block_on(fixture.store.renew_recovery_codes(&user, &hashes(&["one"]))).unwrap());
    assert_eq!(left(), [kept, theirs], "new recovery codes end nothing");
    assert!(set(&fixture.store, &user, "another", 1, &[], false));
    assert_eq!(left(), [theirs]);
    let recorded = block_on(fixture.store.audit_records(Some(user.id), None, 10)).unwrap();
    let mut recorded: Vec<_> = recorded.into_iter().map(|record| (record.action, record.outcome)).collect();
    recorded.sort();
    let set = ("second_factor.set".to_owned(), "ok".to_owned());
    assert_eq!(recorded, [("recovery_codes.renew".to_owned(), "ok".to_owned()), set.clone(), set]);
}

fn no_session_begins_with_what_was_read_before_the_second_factor(place: Place) {
    let fixture = Fixture::new(place);
    let read = fixture.user("a@example.org");
    assert!(set(&fixture.store, &read, "s", 1, &[], true));
    assert_eq!(begin(&fixture, &read), None);
    let read = now(&fixture, &read);
    assert!(begin(&fixture, &read).is_some());
    assert!(block_on(fixture.store.remove_second_factor(read.id, false)).unwrap());
    assert!(!set(&fixture.store, &read, "s", 1, &[], false), "it was removed since");
}

fn taking_a_second_factor_away_takes_its_recovery_codes_and_can_end_sessions(place: Place) {
    let fixture = Fixture::new(place);
    let user = protected(&fixture);
    let session = begin(&fixture, &user).unwrap();
    let remove = |ends_sessions| block_on(fixture.store.remove_second_factor(user.id, ends_sessions)).unwrap();
    assert!(remove(false) && !remove(true), "there is none any more");
    assert_eq!(sessions(&fixture), [session]);
    assert!(!block_on(fixture.store.use_recovery_code(user.id, "one")).unwrap());
    let without = now(&fixture, &user);
    assert!(!without.has_second_factor && without.access_version > user.access_version);
    assert!(set(&fixture.store, &without, "s", 1, &["one"], true));
    assert!(remove(true));
    assert_eq!(sessions(&fixture), []);
}

fn a_new_password_ends_sessions_and_links(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let (other, _) = (begin(&fixture, &admin).unwrap(), begin(&fixture, &user).unwrap());
    block_on(fixture.store.create_password_reset("h", &user, (&admin).into(), LEASE_MS)).unwrap().unwrap();
    assert!(block_on(fixture.store.change_password(&user, "new")).unwrap());
    assert!(!block_on(fixture.store.change_password(&user, "newer")).unwrap(), "it has changed since it was read");
    assert_eq!(sessions(&fixture), [other]);
    assert_eq!(block_on(fixture.store.password_reset("h")).unwrap(), None);
    let (changed, hash) = block_on(fixture.store.user_with_password(user.id)).unwrap().unwrap();
    assert_eq!((hash.as_deref(), changed.access_version), (Some("new"), 1));
    block_on(fixture.store.rename_user(user.id, "Ada")).unwrap();
    let renamed = now(&fixture, &user);
    assert_eq!((renamed.name.as_str(), renamed.access_version), ("Ada", 1));
    assert!(begin(&fixture, &renamed).is_some());
}

fn bucket(key: &str) -> Bucket {
    Bucket { key: key.into(), interval_us: 3_600_000_000, burst: 2 }
}

fn what_is_given_back_can_be_taken_again(place: Place) {
    let fixture = Fixture::new(place);
    let (both, one) = ([bucket("b"), bucket("a")], [bucket("a")]);
    let take = |limits: &[Bucket]| block_on(fixture.store.take_rate(limits.iter().cloned())).unwrap().is_ok();
    assert!(take(&both) && take(&one) && !take(&both));
    block_on(fixture.store.give_back_rate(&both)).unwrap();
    assert!(take(&both) && !take(&one));
    block_on(fixture.store.give_back_rate(&[bucket("nobody took it")])).unwrap();
    block_on(fixture.store.give_back_rate(&[])).unwrap();
}

fn a_slow_limit_says_how_long_to_wait(place: Place) {
    let fixture = Fixture::new(place);
    for _ in 0..2 {
        assert_eq!(block_on(fixture.store.take_rate([bucket("a")])).unwrap(), Ok(()));
    }
    let RetryAfterMs(wait) = block_on(fixture.store.take_rate([bucket("a")])).unwrap().unwrap_err();
    assert!((3_500_000..=3_600_000).contains(&wait), "{wait}");
    let limit = Limit { key: "m".into(), per_minute: 60, burst: 3 };
    assert_eq!(Bucket::from(&limit), Bucket { key: "m".into(), interval_us: 1_000_000, burst: 3 });
}
