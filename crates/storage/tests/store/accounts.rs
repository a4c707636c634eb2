//! Accounts, sessions and signing keys.

use std::sync::Barrier;

use domain::Id;
use storage::{
    Database, DatabaseError, Statement, StorageError, Store,
    sessions::{Lifetimes, Rotation, TokenHashes},
    signing_keys::SigningKey,
    tool_secrets::ToolSecret,
    users::{NewUser, Opening},
};

use crate::{
    fixture::{Fixture, LAPSED_MS, LEASE_MS},
    places::{Place, block_on},
};

crate::on_each_database! {
    the_first_account_is_the_administrator_and_an_address_is_taken_once,
    a_used_token_gives_its_successor_for_a_while_and_later_ends_the_session,
    of_many_who_refresh_at_once_all_get_the_same_and_the_session_lives,
    whichever_token_of_a_session_ends_it_and_no_other_does,
    a_session_that_is_ended_while_it_is_refreshed_is_over,
    why_a_session_cannot_be_refreshed_is_told,
    a_session_of_an_earlier_release_goes_on,
    an_account_is_found_by_the_spelling_it_was_made_with,
    what_is_stored_for_an_account_that_is_gone_is_orphaned,
    two_instances_that_make_a_first_key_end_up_with_one,
    of_many_who_come_first_at_once_one_is_the_administrator_and_one_key_is_kept,
}

fn the_first_account_is_the_administrator_and_an_address_is_taken_once(place: Place) {
    let fixture = Fixture::new(place);
    assert_eq!(fixture.user("a@example.org").role.as_str(), "admin");
    assert_eq!(fixture.user("b@example.org").role.as_str(), "member");
    let again = NewUser { email: "a@example.org", name: "", password_hash: "y" };
    assert!(block_on(fixture.store.create_user(again, Opening::Open)).unwrap().is_none());
    let (user, hash) = block_on(fixture.store.user_by_email("a@example.org", "a@example.org")).unwrap().unwrap();
    assert_eq!((user.email.as_str(), hash.as_deref()), ("a@example.org", Some("x")));
}

/// A lifetime long enough for a test, and one that has already ended.
const IN_TIME: Lifetimes = Lifetimes { session_ms: LEASE_MS, grace_ms: LEASE_MS };
const TOO_LATE: Lifetimes = Lifetimes { session_ms: LEASE_MS, grace_ms: LAPSED_MS };

fn token(text: &str) -> TokenHashes {
    TokenHashes { token: text.to_owned(), family: "family".to_owned() }
}

/// A session whose first token is `one`.
fn session(fixture: &Fixture, lifetime_ms: i64) -> Id {
    let user = fixture.user(&format!("{}@example.org", Id::new()));
    let session = Id::new();
    block_on(fixture.store.create_session(session, &user, &token("one"), lifetime_ms)).unwrap();
    session
}

fn rotate(fixture: &Fixture, session: Id, old: &str, new: &str, lifetimes: Lifetimes) -> Rotation {
    block_on(fixture.store.rotate_session(session, &token(old), &[new.to_owned()], lifetimes)).unwrap()
}

fn a_used_token_gives_its_successor_for_a_while_and_later_ends_the_session(place: Place) {
    let fixture = Fixture::new(place);
    let lives = session(&fixture, LEASE_MS);
    let rotated = |session, old, new, lifetimes| {
        matches!(rotate(&fixture, session, old, new, lifetimes), Rotation::Rotated { .. })
    };
    assert!(rotated(lives, "one", "two", IN_TIME));
    assert!(rotated(lives, "one", "two", IN_TIME), "the answer was lost");
    assert!(rotated(lives, "two", "three", IN_TIME) && rotated(lives, "two", "three", IN_TIME));
    // The token of two generations ago.
    assert!(matches!(rotate(&fixture, lives, "one", "two", IN_TIME), Rotation::Reused));
    assert!(matches!(rotate(&fixture, lives, "three", "four", IN_TIME), Rotation::Ended), "the stolen family is over");

    let late = session(&fixture, LEASE_MS);
    assert!(rotated(late, "one", "two", TOO_LATE));
    assert!(matches!(rotate(&fixture, late, "one", "two", TOO_LATE), Rotation::Reused));
    assert!(matches!(rotate(&fixture, late, "two", "three", IN_TIME), Rotation::Ended));

    let other_successor = session(&fixture, LEASE_MS);
    assert!(rotated(other_successor, "one", "two", IN_TIME));
    assert!(matches!(rotate(&fixture, other_successor, "one", "else", IN_TIME), Rotation::Reused));
}

/// Runs an action in many threads at the same moment, each with its own connection.
pub(crate) fn at_once<T: Send>(
    fixture: &Fixture,
    many: usize,
    act: impl Fn(usize, &Store<crate::places::Real>) -> T + Sync,
) -> Vec<T> {
    let barrier = Barrier::new(many);
    let act = &|index| {
        let store = Store::new(fixture.another_connection());
        barrier.wait();
        act(index, &store)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..many).map(|index| scope.spawn(move || act(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn of_many_who_refresh_at_once_all_get_the_same_and_the_session_lives(place: Place) {
    let fixture = Fixture::new(place);
    let session = session(&fixture, LEASE_MS);
    let rotations = at_once(&fixture, 20, |_, store| {
        block_on(store.rotate_session(session, &token("one"), &["two".to_owned()], IN_TIME)).unwrap()
    });
    assert!(rotations.iter().all(|rotation| matches!(rotation, Rotation::Rotated { .. })), "{rotations:?}");
    assert!(matches!(rotate(&fixture, session, "two", "three", IN_TIME), Rotation::Rotated { .. }));
}

fn whichever_token_of_a_session_ends_it_and_no_other_does(place: Place) {
    let fixture = Fixture::new(place);
    for old in ["one", "two", "three", "never given out, but of the family"] {
        let session = session(&fixture, LEASE_MS);
        rotate(&fixture, session, "one", "two", IN_TIME);
        rotate(&fixture, session, "two", "three", IN_TIME);
        for (other_session, stranger) in
            [(session, TokenHashes { token: "x".into(), family: "x".into() }), (Id::new(), token("three"))]
        {
            block_on(fixture.store.end_session(other_session, &stranger)).unwrap();
            let rotation =
                block_on(fixture.store.rotate_session(other_session, &stranger, &["y".to_owned()], IN_TIME)).unwrap();
            assert!(matches!(rotation, Rotation::Unknown), "{rotation:?}");
        }
        assert!(matches!(rotate(&fixture, session, "three", "four", IN_TIME), Rotation::Rotated { .. }));
        block_on(fixture.store.end_session(session, &token(old))).unwrap();
        assert!(matches!(rotate(&fixture, session, "four", "five", IN_TIME), Rotation::Ended), "{old}");
    }
}

fn a_session_that_is_ended_while_it_is_refreshed_is_over(place: Place) {
    let fixture = Fixture::new(place);
    for _ in 0..20 {
        let session = session(&fixture, LEASE_MS);
        at_once(&fixture, 2, |index, store| {
            if index == 0 {
                block_on(store.end_session(session, &token("one"))).unwrap();
            } else {
                block_on(store.rotate_session(session, &token("one"), &["two".to_owned()], IN_TIME)).unwrap();
            }
        });
        for token in ["one", "two"] {
            assert!(matches!(rotate(&fixture, session, token, "three", IN_TIME), Rotation::Ended), "{token}");
        }
    }
}

fn why_a_session_cannot_be_refreshed_is_told(place: Place) {
    let fixture = Fixture::new(place);
    let (ended, expired) = (session(&fixture, LEASE_MS), session(&fixture, LAPSED_MS));
    block_on(fixture.store.end_session(ended, &token("one"))).unwrap();
    assert!(matches!(rotate(&fixture, ended, "one", "two", IN_TIME), Rotation::Ended));
    assert!(matches!(rotate(&fixture, expired, "one", "two", IN_TIME), Rotation::Expired));
    assert!(matches!(rotate(&fixture, Id::new(), "one", "two", IN_TIME), Rotation::Unknown));
}

fn a_session_of_an_earlier_release_goes_on(place: Place) {
    let fixture = Fixture::new(place);
    let user = fixture.user("a@example.org");
    let database = fixture.another_connection();
    let older = || {
        let session = Id::new();
        let sql = "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at)
                   VALUES (?1, ?2, 'one', now_ms(), now_ms() + 60000)";
        block_on(database.query(Statement::new("older", sql, [session.into(), user.id.into()]))).unwrap();
        session
    };
    let goes_on = older();
    for (old, new) in [("one", "two"), ("one", "two"), ("two", "three")] {
        assert!(matches!(rotate(&fixture, goes_on, old, new, IN_TIME), Rotation::Rotated { .. }));
    }
    assert!(matches!(rotate(&fixture, goes_on, "one", "two", IN_TIME), Rotation::Reused));

    let put_by_the_earlier_release = older();
    rotate(&fixture, put_by_the_earlier_release, "one", "two", IN_TIME);
    let sql = "UPDATE sessions SET token_hash = 'theirs' WHERE id = ?1";
    block_on(database.query(Statement::new("older", sql, [put_by_the_earlier_release.into()]))).unwrap();
    let theirs = TokenHashes { token: "theirs".into(), family: "another".into() };
    let rotation =
        block_on(fixture.store.rotate_session(put_by_the_earlier_release, &theirs, &["four".to_owned()], IN_TIME))
            .unwrap();
    assert!(matches!(rotation, Rotation::Rotated { .. }), "{rotation:?}");

    let rotated_before = older();
    block_on(fixture.store.end_session(rotated_before, &token("a token before one"))).unwrap();
    assert!(matches!(rotate(&fixture, rotated_before, "one", "two", IN_TIME), Rotation::Ended));
}

fn an_account_is_found_by_the_spelling_it_was_made_with(place: Place) {
    let fixture = Fixture::new(place);
    let (plain, dotted) = (fixture.user("a@example.org"), fixture.user("a@example.org."));
    let found = |email, older| block_on(fixture.store.user_by_email(email, older)).unwrap().map(|(user, _)| user.id);
    assert_eq!(found("a@example.org", "a@example.org"), Some(plain.id));
    assert_eq!(found("a@example.org", "a@example.org."), Some(dotted.id));
    assert_eq!(found("a@example.org", "a@example.org.."), Some(plain.id));
    assert_eq!(found("b@example.org", "b@example.org"), None);
}

fn what_is_stored_for_an_account_that_is_gone_is_orphaned(place: Place) {
    let fixture = Fixture::new(place);
    let secret = ToolSecret { server: "mail".into(), name: "password".into(), sealed: "x".into() };
    let orphaned =
        |error: Option<StorageError>| matches!(error, Some(StorageError::Database(DatabaseError::Orphaned { .. })));
    assert!(orphaned(block_on(fixture.store.create_conversation(Id::new(), "", None)).err()));
    assert!(orphaned(block_on(fixture.store.set_tool_secret(Id::new(), &secret)).err()));
}

fn two_instances_that_make_a_first_key_end_up_with_one(place: Place) {
    let fixture = Fixture::new(place);
    let key = |id: &str| SigningKey {
        id: id.into(),
        public_key: "pub".into(),
        private_key: Some("priv".into()),
        text_key: None,
    };
    block_on(fixture.store.add_first_signing_key(&key("a"))).unwrap();
    block_on(fixture.store.add_first_signing_key(&key("b"))).unwrap();
    assert_eq!(block_on(fixture.store.issuing_keys()).unwrap().unwrap().0[0].key.id, "a");
    assert_eq!(block_on(fixture.store.public_keys()).unwrap(), ["pub"]);
}

fn of_many_who_come_first_at_once_one_is_the_administrator_and_one_key_is_kept(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let barrier = Barrier::new(MANY);
    let come = &|index: usize| {
        let store = Store::new(fixture.another_connection());
        let email = format!("{index}@example.org");
        let key = SigningKey {
            id: email.clone(),
            public_key: "pub".into(),
            private_key: Some("priv".into()),
            text_key: None,
        };
        barrier.wait();
        let user = NewUser { email: &email, name: "", password_hash: "x" };
        let user = block_on(store.create_user(user, Opening::Open)).unwrap().unwrap();
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
