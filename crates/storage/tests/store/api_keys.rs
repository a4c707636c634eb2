//! API keys and the accounts of programs.

use domain::{Id, Timestamp};
use storage::{
    Database as _, Statement,
    accounts::AccountChange,
    api_keys::{MAX_KEYS, NewApiKey},
};

use crate::{
    fixture::Fixture,
    places::{Place, block_on},
};

crate::on_each_database! {
    a_key_is_found_by_its_hash_until_it_is_revoked_or_over,
    the_use_of_a_key_is_stored_once_a_minute,
    an_account_has_so_many_keys_and_sees_no_others,
    who_was_suspended_or_demoted_meanwhile_makes_no_key,
    a_program_has_an_account_without_a_password,
}

fn key(hash: &str) -> NewApiKey<'_> {
    NewApiKey { name: "ci", prefix: "ea_00000000", hash, scopes: "tools:read", expires_at: None }
}

fn a_key_is_found_by_its_hash_until_it_is_revoked_or_over(place: Place) {
    let fixture = Fixture::new(place);
    let (user, other) = (fixture.user("a@example.org"), fixture.user("b@example.org"));
    let made = block_on(fixture.store.create_api_key(user.id, key("h1"), (&user).into())).unwrap().unwrap();
    let over = NewApiKey { expires_at: Some(Timestamp::from_millis(1)), ..key("h2") };
    block_on(fixture.store.create_api_key(user.id, over, (&user).into())).unwrap().unwrap();
    let holder = |hash: &str| block_on(fixture.store.key_holder(hash)).unwrap();
    let found = holder("h1").unwrap();
    assert_eq!((found.user.id, found.key_id, found.scopes.as_str()), (user.id, made.id, "tools:read"));
    assert_eq!(found.user.email, "a@example.org");
    assert!(holder("h2").is_none() && holder("h3").is_none());
    let names: Vec<_> =
        block_on(fixture.store.api_keys(user.id)).unwrap().into_iter().map(|key| key.expires_at).collect();
    assert_eq!(names, [Some(Timestamp::from_millis(1)), None], "the newest first, also what is over");
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
    let is_news = || block_on(fixture.store.key_holder("h")).unwrap().unwrap().is_use_news;
    let used_at = || block_on(fixture.store.api_keys(user.id)).unwrap()[0].used_at;
    assert!(is_news() && used_at().is_none());
    block_on(fixture.store.note_key_use(made.id)).unwrap();
    let first = used_at();
    assert!(!is_news() && first.is_some());
    block_on(fixture.store.note_key_use(made.id)).unwrap();
    assert_eq!(used_at(), first);
    let sql = "UPDATE api_keys SET used_at = used_at - 61000";
    block_on(fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    assert!(is_news());
    block_on(fixture.store.note_key_use(made.id)).unwrap();
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
    let link = block_on(fixture.store.create_password_reset("h", ci.id, (&admin).into(), 60_000)).unwrap();
    assert!(link.is_none(), "and gets none");
}
