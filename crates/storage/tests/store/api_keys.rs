//! API keys and the accounts of programs.

use domain::{Id, Timestamp, User};
use storage::{
    Database as _, Dialect, Statement,
    accounts::{AccountChange, AccountChanged},
    api_keys::{MAX_KEYS, NewApiKey},
    second_factors::NewSecondFactor,
};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    a_key_is_found_by_its_hash_until_it_is_revoked_or_has_expired,
    the_use_of_a_key_is_stored_once_a_minute,
    an_account_has_so_many_keys_and_sees_no_others,
    of_many_who_make_the_last_key_one_does,
    a_new_password_deletes_the_keys,
    the_first_second_factor_deletes_the_keys_and_so_does_an_administrator_who_removes_one,
    a_program_is_not_the_administrator_who_remains,
    who_was_suspended_or_demoted_meanwhile_makes_no_key,
    a_program_has_an_account_without_a_password,
}

fn key(hash: &str) -> NewApiKey<'_> {
    NewApiKey { name: "ci", prefix: "ea_00000000", hash, scopes: "tools:read", expires_at: None }
}

fn a_key_is_found_by_its_hash_until_it_is_revoked_or_has_expired(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let made = block_on(fixture.store.create_api_key(user.id, key("h1"), (&user).into())).unwrap().unwrap();
    let expired = NewApiKey { expires_at: Some(Timestamp::from_millis(1)), ..key("h2") };
    block_on(fixture.store.create_api_key(user.id, expired, (&user).into())).unwrap().unwrap();
    let holder = |hash: &str| block_on(fixture.store.key_holder(hash)).unwrap();
    let found = holder("h1").unwrap();
    assert_eq!((found.user.id, found.key_id, found.scopes.as_str()), (user.id, made.id, "tools:read"));
    assert_eq!(found.user.email, "a@example.org");
    assert!(holder("h2").is_none() && holder("h3").is_none());
    let names: Vec<_> =
        block_on(fixture.store.api_keys(user.id)).unwrap().into_iter().map(|key| key.expires_at).collect();
    assert_eq!(names, [Some(Timestamp::from_millis(1)), None], "the newest first, also what has expired");
    let suspended = |is_suspended| {
        let user = block_on(fixture.store.user(other.id)).unwrap().unwrap();
        block_on(fixture.store.change_account(&user, AccountChange { role: None, is_suspended: Some(is_suspended) }))
            .unwrap();
    };
    block_on(fixture.store.create_api_key(other.id, key("h4"), (&other).into())).unwrap().unwrap();
    suspended(true);
    assert!(holder("h4").is_none());
    suspended(false);
    assert!(holder("h4").is_some());
    let revoke = |user_id: Id| block_on(fixture.store.revoke_api_key(user_id, made.id)).unwrap();
    assert!(!revoke(other.id) && holder("h1").is_some());
    assert!(revoke(user.id) && holder("h1").is_none() && !revoke(user.id));
}

fn the_use_of_a_key_is_stored_once_a_minute(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let made = block_on(fixture.store.create_api_key(user.id, key("h"), (&user).into())).unwrap().unwrap();
    let other = block_on(fixture.store.create_api_key(user.id, key("other"), (&user).into())).unwrap().unwrap();
    let should_record = || block_on(fixture.store.key_holder("h")).unwrap().unwrap().should_record_use;
    let used_at = || {
        let keys = block_on(fixture.store.api_keys(user.id)).unwrap();
        assert_eq!(keys[0].used_at, keys[1].used_at, "of both");
        keys[0].used_at
    };
    assert!(should_record() && used_at().is_none());
    block_on(fixture.store.note_key_uses([made.id, other.id])).unwrap();
    let first = used_at();
    assert!(!should_record() && first.is_some());
    block_on(fixture.store.note_key_uses([made.id, other.id])).unwrap();
    assert_eq!(used_at(), first);
    let sql = "UPDATE api_keys SET used_at = used_at - 61000";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert!(should_record());
    block_on(fixture.store.note_key_uses([made.id, other.id])).unwrap();
    assert!(used_at() >= first);
}

fn an_account_has_so_many_keys_and_sees_no_others(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for n in 0..MAX_KEYS {
        assert!(
            block_on(fixture.store.create_api_key(user.id, key(&n.to_string()), (&user).into())).unwrap().is_some()
        );
    }
    assert!(block_on(fixture.store.create_api_key(user.id, key("more"), (&user).into())).unwrap().is_none());
    assert!(block_on(fixture.store.api_keys(other.id)).unwrap().is_empty());
}

fn of_many_who_make_the_last_key_one_does(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let make = |name: &str| block_on(fixture.store.create_api_key(user.id, key(name), (&user).into())).unwrap();
    for n in 1..MAX_KEYS {
        assert!(make(&n.to_string()).is_some());
    }
    let made: usize = std::thread::scope(|scope| {
        let make = &make;
        let threads: Vec<_> =
            (0..8).map(|n| scope.spawn(move || usize::from(make(&format!("more {n}")).is_some()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
}

fn a_new_password_deletes_the_keys(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    for (owner, hash) in [(&user, "h1"), (&other, "h2")] {
        block_on(fixture.store.create_api_key(owner.id, key(hash), owner.into())).unwrap().unwrap();
    }
    assert!(block_on(fixture.store.change_password(&user, "new")).unwrap());
    let holder = |hash: &str| block_on(fixture.store.key_holder(hash)).unwrap();
    assert!(holder("h1").is_none() && holder("h2").is_some());
}

fn the_first_second_factor_deletes_the_keys_and_so_does_an_administrator_who_removes_one(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let now = || block_on(fixture.store.user(user.id)).unwrap().unwrap();
    let make = |owner: &User, hash| {
        block_on(fixture.store.create_api_key(owner.id, key(hash), owner.into())).unwrap().unwrap();
    };
    let set = || {
        let new = NewSecondFactor { sealed: "s", step: 1, recovery_hashes: &[], only_first: false, kept_session: None };
        assert!(block_on(fixture.store.set_second_factor(&now(), new)).unwrap());
    };
    let remove = |ends| assert!(block_on(fixture.store.remove_second_factor(user.id, ends)).unwrap());
    let is_left = |hash: &str| block_on(fixture.store.key_holder(hash)).unwrap().is_some();
    make(&user, "h1");
    make(&other, "h2");
    set();
    assert!(!is_left("h1") && is_left("h2"));
    make(&now(), "h3");
    set();
    assert!(block_on(fixture.store.renew_recovery_codes(&now(), &[])).unwrap());
    assert!(is_left("h3"), "another second factor in place of one");
    remove(false);
    assert!(is_left("h3"), "by the person");
    set();
    assert!(!is_left("h3"), "the first again");
    make(&now(), "h4");
    remove(true);
    assert!(!is_left("h4") && is_left("h2"));
}

fn a_program_is_not_the_administrator_who_remains(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    block_on(fixture.store.create_service_account("ops", "ops@service.invalid", "admin", (&admin).into()))
        .unwrap()
        .unwrap();
    let change = AccountChange { role: Some("member"), is_suspended: None };
    let changed = block_on(fixture.store.change_account(&admin, change)).unwrap();
    assert!(matches!(changed, AccountChanged::LastAdministrator));
    // The trigger of PostgreSQL says the same to whoever came past the statement at the same moment.
    if fixture.another_connection().dialect() == Dialect::Postgres {
        let sql = "UPDATE users SET role = 'user' WHERE id = ?1";
        block_on(fixture.another_connection().query(Statement::new("t", sql, [admin.id.into()]))).unwrap();
        assert_eq!(block_on(fixture.store.user(admin.id)).unwrap().unwrap().role, "admin");
    }
}

fn who_was_suspended_or_demoted_meanwhile_makes_no_key(place: Place) {
    let fixture = Fixture::new(place);
    let _ = fixture.user("a@example.org");
    let user = fixture.user("b@example.org");
    let change = AccountChange { role: Some("service"), is_suspended: None };
    block_on(fixture.store.change_account(&user, change)).unwrap();
    assert!(block_on(fixture.store.create_api_key(user.id, key("h"), (&user).into())).unwrap().is_none());
}

fn a_program_has_an_account_without_a_password(place: Place) {
    let fixture = Fixture::new(place);
    let admin = fixture.user("a@example.org");
    let make = |name: &str| {
        let email = format!("{name}@service.invalid");
        block_on(fixture.store.create_service_account(name, &email, "service", (&admin).into())).unwrap()
    };
    let (ci, backup) = (make("ci").unwrap(), make("backup").unwrap());
    assert!(make("ci").is_none());
    let listed = block_on(fixture.store.service_accounts(None, 9)).unwrap();
    assert_eq!(listed, [backup.clone(), ci.clone()]);
    assert_eq!(block_on(fixture.store.service_accounts(Some(backup.id), 9)).unwrap(), std::slice::from_ref(&ci));
    assert!(block_on(fixture.store.service_account(admin.id)).unwrap().is_none(), "a person's");
    assert_eq!(block_on(fixture.store.service_account(ci.id)).unwrap().as_ref(), Some(&ci));
    let (user, password) = block_on(fixture.store.user_by_email("ci@service.invalid", "")).unwrap().unwrap();
    assert_eq!((user.role.as_str(), password), ("service", None));
    let link = block_on(fixture.store.create_password_reset("h", &user, (&admin).into(), 60_000)).unwrap();
    assert!(link.is_none(), "and gets none");
}
