//! People, their sessions, and the keys that sign them.

use std::sync::Barrier;

use domain::Id;
use storage::{Store, sessions::Rotation, signing_keys::SigningKey, users::NewUser};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS},
    places::{Place, block_on},
};

crate::on_each_database! {
    the_first_account_is_the_administrator_and_an_address_is_taken_once,
    a_refresh_token_works_once_and_its_second_use_ends_the_session,
    an_ended_or_expired_session_cannot_be_refreshed,
    two_instances_that_make_a_first_key_end_up_with_one,
    of_many_who_come_first_at_once_one_is_the_administrator_and_one_key_is_kept,
}

fn the_first_account_is_the_administrator_and_an_address_is_taken_once(place: Place) {
    let fixture = Fixture::new(place);
    assert_eq!(fixture.user("a@example.org").role.as_str(), "admin");
    assert_eq!(fixture.user("b@example.org").role.as_str(), "user");
    let again = NewUser { email: "a@example.org", name: "", password_hash: "y" };
    assert!(block_on(fixture.store.create_user(again)).unwrap().is_none());
    let (user, hash) = block_on(fixture.store.user_by_email("a@example.org")).unwrap().unwrap();
    assert_eq!((user.email.as_str(), hash.as_deref()), ("a@example.org", Some("x")));
}

fn a_refresh_token_works_once_and_its_second_use_ends_the_session(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let session = Id::new();
    block_on(fixture.store.create_session(session, user.id, "one", LEASE_MS)).unwrap();
    let rotate = |old, new| block_on(fixture.store.rotate_session(session, old, new, LEASE_MS)).unwrap();
    assert!(matches!(rotate("one", "two"), Rotation::Rotated(found) if found.id == user.id));
    assert!(matches!(rotate("one", "three"), Rotation::Reused));
    assert!(matches!(rotate("two", "three"), Rotation::Unknown), "the stolen family is over");
}

fn an_ended_or_expired_session_cannot_be_refreshed(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let (ended, expired) = (Id::new(), Id::new());
    block_on(fixture.store.create_session(ended, user.id, "one", LEASE_MS)).unwrap();
    block_on(fixture.store.end_session(ended, "one")).unwrap();
    block_on(fixture.store.create_session(expired, user.id, "one", LAPSED_MS)).unwrap();
    for session in [ended, expired] {
        let rotation = block_on(fixture.store.rotate_session(session, "one", "two", LEASE_MS)).unwrap();
        assert!(matches!(rotation, Rotation::Unknown), "{rotation:?}");
    }
}

fn two_instances_that_make_a_first_key_end_up_with_one(place: Place) {
    let fixture = Fixture::new(place);
    let key = |id: &str| SigningKey { id: id.into(), public_key: "pub".into(), private_key: Some("priv".into()) };
    block_on(fixture.store.add_first_signing_key(&key("a"))).unwrap();
    block_on(fixture.store.add_first_signing_key(&key("b"))).unwrap();
    assert_eq!(block_on(fixture.store.own_signing_key()).unwrap().unwrap().id, "a");
    let public = block_on(fixture.store.public_keys()).unwrap();
    assert!(public.len() == 1 && public[0].private_key.is_none());
}

fn of_many_who_come_first_at_once_one_is_the_administrator_and_one_key_is_kept(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let barrier = Barrier::new(MANY);
    let come = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        let email = format!("{index}@example.org");
        let key = SigningKey { id: email.clone(), public_key: "pub".into(), private_key: Some("priv".into()) };
        barrier.wait();
        let user = NewUser { email: &email, name: "", password_hash: "x" };
        let user = block_on(store.create_user(user)).unwrap().unwrap();
        barrier.wait();
        block_on(store.add_first_signing_key(&key)).unwrap();
        user.role.as_str() == "admin"
    };
    let administrators = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || come(index))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
    });
    assert_eq!(administrators, 1);
    assert_eq!(block_on(fixture.store.public_keys()).unwrap().len(), 1);
}
