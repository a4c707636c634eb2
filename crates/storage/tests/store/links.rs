//! Invitations, and links that reset a password.

use std::sync::Barrier;

use domain::{Id, User};
use storage::{
    Database as _, Statement, Store,
    access::Offers,
    accounts::AccountChange,
    groups::GroupSaved,
    invitations::Maker,
    sessions::TokenHashes,
    users::{NewUser, Opening},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS},
    places::{Place, block_on},
};

crate::on_each_database! {
    an_invitation_makes_one_account_with_its_role,
    of_many_who_accept_one_invitation_at_once_one_gets_an_account,
    an_invitation_that_was_withdrawn_or_is_too_old_makes_no_account,
    a_link_sets_a_password_once_and_ends_all_sessions,
    links_of_whoever_was_suspended_or_has_another_role_do_not_count,
    a_link_does_not_take_over_whoever_was_given_more_meanwhile,
    of_many_who_use_links_of_one_account_at_once_one_sets_the_password,
    no_session_begins_after_a_reset_with_what_was_read_before_it,
}

fn invite(fixture: &Fixture, by: &User, hash: &str, lifetime_ms: i64) -> Id {
    block_on(fixture.store.create_invitation(hash, "auditor", by.into(), lifetime_ms)).unwrap().unwrap().id
}

fn accept(fixture: &Fixture, email: &str, opening: Opening<'_>) -> Option<User> {
    block_on(fixture.store.create_user(NewUser { email, name: "", password_hash: "x" }, opening)).unwrap()
}

fn an_invitation_makes_one_account_with_its_role(place: Place) {
    let fixture = Fixture::new(place);
    assert!(accept(&fixture, "a@example.org", Opening::Invited("nothing")).is_some(), "the first needs none");
    let (admin, _) = block_on(fixture.store.user_by_email("a@example.org", "")).unwrap().unwrap();
    assert_eq!(admin.role, "admin");
    let id = invite(&fixture, &admin, "h", LEASE_MS);
    assert!(block_on(fixture.store.is_invited("h")).unwrap());
    assert!(accept(&fixture, "a@example.org", Opening::Invited("h")).is_none(), "the address is taken");
    assert!(accept(&fixture, "b@example.org", Opening::OnlyFirst).is_none());
    assert!(accept(&fixture, "b@example.org", Opening::Invited("other")).is_none());
    let invited = accept(&fixture, "b@example.org", Opening::Invited("h")).unwrap();
    assert_eq!(invited.role, "auditor");
    assert!(accept(&fixture, "c@example.org", Opening::Invited("h")).is_none(), "it is used up");
    let list = block_on(fixture.store.invitations(None, 10)).unwrap();
    assert_eq!((list.len(), list[0].id, list[0].accepted_by), (1, id, Some(invited.id)));
    assert!(!block_on(fixture.store.revoke_invitation(id)).unwrap(), "too late");
    assert_eq!(block_on(fixture.store.invitations(Some(id), 10)).unwrap(), []);
}

fn of_many_who_accept_one_invitation_at_once_one_gets_an_account(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    invite(&fixture, &admin, "h", LEASE_MS);
    let barrier = Barrier::new(MANY);
    let come = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        let email = format!("{index}@example.org");
        barrier.wait();
        let user = NewUser { email: &email, name: "", password_hash: "x" };
        block_on(store.create_user(user, Opening::Invited("h"))).unwrap().is_some()
    };
    let accounts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || come(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(accounts, 1);
}

fn an_invitation_that_was_withdrawn_or_is_too_old_makes_no_account(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    let withdrawn = invite(&fixture, &admin, "withdrawn", LEASE_MS);
    for _ in 0..2 {
        assert!(block_on(fixture.store.revoke_invitation(withdrawn)).unwrap());
    }
    assert!(!block_on(fixture.store.revoke_invitation(Id::new())).unwrap());
    invite(&fixture, &admin, "old", LAPSED_MS);
    for hash in ["withdrawn", "old"] {
        assert!(!block_on(fixture.store.is_invited(hash)).unwrap());
        assert!(accept(&fixture, "b@example.org", Opening::Invited(hash)).is_none(), "{hash}");
    }
}

fn a_link_sets_a_password_once_and_ends_all_sessions(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let store = &fixture.store;
    let token = TokenHashes { token: "one".into(), family: "family".into() };
    let session = Id::new();
    block_on(store.create_session(session, &user, &token, LEASE_MS)).unwrap();
    let link =
        |hash, lifetime_ms| block_on(store.create_password_reset(hash, &user, (&admin).into(), lifetime_ms)).unwrap();
    assert!(
        link("first", LEASE_MS).is_some() && link("second", LEASE_MS).is_some() && link("old", LAPSED_MS).is_some()
    );
    let nobody = User { id: Id::new(), ..user.clone() };
    assert!(
        block_on(store.create_password_reset("x", &nobody, (&admin).into(), LEASE_MS)).unwrap().is_none(),
        "nobody"
    );
    let whose = |hash| block_on(store.password_reset(hash)).unwrap();
    assert_eq!((whose("first"), whose("old")), (Some("b@example.org".to_owned()), None));
    let reset = |hash| block_on(store.reset_password(hash, "new")).unwrap();
    assert!(!reset("old") && !reset("other") && reset("second"));
    assert!(!reset("second") && !reset("first"), "the others are used up with it");
    let (now, hash) = block_on(store.user_by_email("b@example.org", "")).unwrap().unwrap();
    assert_eq!((hash.as_deref(), now.access_version), (Some("new"), 1));
    let known = block_on(store.access_state("tests", LEASE_MS, Offers::Unread)).unwrap();
    assert_eq!((known.changed_users, known.ended_sessions), (vec![(user.id, 1)], vec![session]));
}

fn links_of_whoever_was_suspended_or_has_another_role_do_not_count(place: Place) {
    let fixture = Fixture::new(place);
    let (_, user) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let store = &fixture.store;
    let change = |user: &User, change: AccountChange<'_>| {
        block_on(store.change_account(user, change)).unwrap();
        block_on(store.user(user.id)).unwrap().unwrap()
    };
    let role = |role| AccountChange { role: Some(role), is_suspended: None };
    let suspension = |is_suspended| AccountChange { role: None, is_suspended: Some(is_suspended) };
    let GroupSaved::Saved(group) = block_on(store.create_group("g", &[])).unwrap() else { panic!("not made") };
    let changes: [&dyn Fn(&User) -> User; 3] = [
        &|maker| change(&change(maker, suspension(true)), suspension(false)),
        &|maker| change(maker, role("member")),
        &|maker| {
            assert!(block_on(store.add_group_member(group.id, maker.id)).unwrap());
            block_on(store.user(maker.id)).unwrap().unwrap()
        },
    ];
    for (index, changed) in changes.into_iter().enumerate() {
        let maker = change(&fixture.user(&format!("{index}@example.org")), role("admin"));
        let (invitation, reset) = (format!("i{index}"), format!("r{index}"));
        invite(&fixture, &maker, &invitation, LEASE_MS);
        block_on(store.create_password_reset(&reset, &user, (&maker).into(), LEASE_MS)).unwrap().unwrap();
        assert!(block_on(store.is_invited(&invitation)).unwrap());
        let now = changed(&maker);
        assert!(!block_on(store.is_invited(&invitation)).unwrap());
        let come = Opening::Invited(&invitation);
        assert!(accept(&fixture, "c@example.org", come).is_none(), "{index}");
        assert_eq!(block_on(store.password_reset(&reset)).unwrap(), None);
        assert!(!block_on(store.reset_password(&reset, "new")).unwrap(), "{index}");
        // A request that was allowed before the change makes no link after it.
        let before = Maker::from(&maker);
        assert_eq!(block_on(store.create_invitation("x", "member", before, LEASE_MS)).unwrap(), None);
        assert_eq!(block_on(store.create_password_reset("x", &user, before, LEASE_MS)).unwrap(), None);
        invite(&fixture, &now, &format!("again{index}"), LEASE_MS);
    }
}

fn a_link_does_not_take_over_whoever_was_given_more_meanwhile(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, read) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let store = &fixture.store;
    let make = |hash, user: &User| block_on(store.create_password_reset(hash, user, (&admin).into(), LEASE_MS));
    let now = || block_on(store.user(read.id)).unwrap().unwrap();
    make("before", &read).unwrap().unwrap();
    block_on(store.change_account(&read, AccountChange { role: Some("admin"), is_suspended: None })).unwrap();
    assert_eq!(block_on(store.password_reset("before")).unwrap(), None);
    assert!(!block_on(store.reset_password("before", "new")).unwrap());
    assert_eq!(make("late", &read).unwrap(), None, "it was allowed for what the account was");
    make("after", &now()).unwrap().unwrap();
    // As an earlier release makes them.
    let sql = "UPDATE password_resets SET user_version = NULL";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert!(block_on(store.reset_password("after", "new")).unwrap());
}

fn of_many_who_use_links_of_one_account_at_once_one_sets_the_password(place: Place) {
    const MANY: usize = 6;
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    let user = fixture.user("b@example.org");
    // Each link twice.
    let hash = |index: usize| format!("h{}", index / 2);
    for index in (0..MANY).step_by(2) {
        let (hash, maker) = (hash(index), Maker::from(&admin));
        block_on(fixture.store.create_password_reset(&hash, &user, maker, LEASE_MS)).unwrap().unwrap();
    }
    let barrier = Barrier::new(MANY);
    let reset = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        barrier.wait();
        block_on(store.reset_password(&hash(index), &format!("{index}"))).unwrap()
    };
    let set: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || reset(index))).collect();
        let set = threads.into_iter().map(|thread| thread.join().unwrap());
        set.enumerate().filter_map(|(index, set)| set.then_some(index)).collect()
    });
    let (_, password) = block_on(fixture.store.user_by_email("b@example.org", "")).unwrap().unwrap();
    assert_eq!(set.len(), 1, "{set:?}");
    assert_eq!(password, Some(set[0].to_string()));
}

fn no_session_begins_after_a_reset_with_what_was_read_before_it(place: Place) {
    let fixture = Fixture::new(place);
    let (admin, read) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let store = &fixture.store;
    let token = TokenHashes { token: "one".into(), family: "family".into() };
    let begin = |user: &User| block_on(store.create_session(Id::new(), user, &token, LEASE_MS)).unwrap();
    block_on(store.create_password_reset("h", &read, (&admin).into(), LEASE_MS)).unwrap().unwrap();
    assert!(begin(&read));
    assert!(block_on(store.reset_password("h", "new")).unwrap());
    assert!(!begin(&read), "the old password was right a moment ago");
    let now = block_on(store.user(read.id)).unwrap().unwrap();
    assert!(begin(&now));
    let suspended = AccountChange { role: None, is_suspended: Some(true) };
    block_on(store.change_account(&now, suspended)).unwrap();
    let suspended = block_on(store.user(read.id)).unwrap().unwrap();
    assert!(!begin(&now) && !begin(&suspended));
    assert_eq!(block_on(store.open_sessions(None, None, 10)).unwrap(), []);
}
