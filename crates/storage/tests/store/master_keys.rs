//! Master keys that are made here: rotated by one of many, bounded, forgotten when nothing needs them; and whoever is killed in the middle of a rotation or
//! of sealing leaves nothing half done.

use std::sync::{
    Barrier,
    atomic::{AtomicUsize, Ordering},
};

use domain::Id;
use storage::{
    Database, DatabaseError, Dialect, MasterKey, Row, Statement, StorageError, Store, TransactionOutcome,
    audit::AuditEvent,
    keys::{KeyPurpose, KeyRotation, KeyState},
    master_keys::MasterKeyRotated,
};

use crate::{
    fixture::Fixture,
    on_each_database,
    places::{Place, Real, block_on},
    sealing::{assert_hears_everything, rows, say_everything, stored, unseal},
};

on_each_database! {
    a_rotation_wraps_everything_anew_and_is_recorded,
    of_many_who_rotate_at_once_one_does_and_every_key_still_opens,
    there_are_never_more_keys_than_may_be_and_those_that_nothing_needs_go,
    a_configured_key_is_not_rotated_here,
    whoever_is_killed_in_a_rotation_or_while_rows_are_sealed_leaves_nothing_half_done,
}

const HOUR_MS: i64 = 60 * 60 * 1000;
const CONFIGURED: &str = "HxAAAAQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn rotation() -> KeyRotation<'static> {
    KeyRotation { revokes: false, user_id: "01890000-0000-7000-8000-000000000000".parse().unwrap(), detail: None }
}

fn rotate<D: Database>(store: &Store<D>) -> Result<MasterKeyRotated, StorageError> {
    block_on(store.rotate_generated_master_key(&rotation()))
}

/// Lets time pass for all keys.
fn pass(fixture: &Fixture, ms: i64) {
    rows(&fixture.another_connection(), &format!("UPDATE generated_keys SET created_at = created_at - {ms}"));
}

fn fresh(fixture: &Fixture) -> Store<Real> {
    Store::new(fixture.another_connection())
}

fn made(fixture: &Fixture) -> usize {
    rows(&fixture.another_connection(), "SELECT purpose FROM generated_keys").len()
}

/// The master keys as administrators see them: id, state, whether it is configured.
fn listed(store: &Store<Real>) -> Vec<(String, KeyState, bool)> {
    let (keys, _) = block_on(store.keys()).unwrap();
    let masters = keys.into_iter().filter(|key| key.purpose == KeyPurpose::Master);
    masters.map(|key| (key.id, key.state, key.is_configured)).collect()
}

fn a_rotation_wraps_everything_anew_and_is_recorded(place: Place) {
    let fixture = Fixture::new(place);
    assert_eq!(rotate(&fixture.store).unwrap(), MasterKeyRotated::Unneeded, "there is none yet");
    let ids = say_everything(&fixture);
    let event = AuditEvent { detail: Some("planted"), ..AuditEvent::new(ids.0, "user.role", "s") };
    block_on(fixture.store.append_audit(&event)).unwrap();
    let before = listed(&fixture.store);
    let [(first, KeyState::Current, false)] = before.as_slice() else { panic!("{before:?}") };
    pass(&fixture, HOUR_MS);
    let MasterKeyRotated::Rotated(new) = rotate(&fixture.store).unwrap() else { panic!("not rotated") };
    assert_eq!(
        listed(&fresh(&fixture)),
        [(new.clone(), KeyState::Current, false), (first.clone(), KeyState::Verifies, false)]
    );
    assert_hears_everything(&fresh(&fixture), ids);
    let another = fresh(&fixture);
    while block_on(another.rewrap_next_keys()).unwrap() {}
    let keys = block_on(another.master_keys()).unwrap();
    let uses: Vec<_> = keys.iter().map(|key| (key.id == new, key.wraps, key.uses, key.own)).collect();
    assert_eq!(uses, [(true, true, 1, 1)], "one that nothing needs any more is nobody's business");
    // An instance that knew the one before wraps nothing new with it.
    let (knows, eve) = (fresh(&fixture), fixture.user("eve@example.org"));
    assert_hears_everything(&knows, ids);
    pass(&fixture, HOUR_MS);
    let MasterKeyRotated::Rotated(newest) = rotate(&fresh(&fixture)).unwrap() else { panic!("not rotated") };
    block_on(knows.create_conversation(eve.id, "planted-title", None)).unwrap();
    let keys = block_on(another.master_keys()).unwrap();
    assert_eq!(keys.iter().map(|key| (key.id == newest, key.uses)).collect::<Vec<_>>(), [(true, 1), (false, 1)]);
    let records = block_on(fixture.store.audit_records(Some(rotation().user_id), None, 9)).unwrap();
    let recorded: Vec<_> = records.iter().map(|record| (record.action.as_str(), record.subject.as_str())).collect();
    assert_eq!(recorded, [("key.rotate", "master"); 2]);
    let details = block_on(fresh(&fixture).audit_records(Some(ids.0), None, 9)).unwrap();
    assert_eq!(details[0].detail.as_deref(), Some("planted"));
}

fn of_many_who_rotate_at_once_one_does_and_every_key_still_opens(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    pass(&fixture, HOUR_MS);
    let barrier = Barrier::new(MANY);
    let rotate = &|| {
        let store = fresh(&fixture);
        barrier.wait();
        matches!(rotate(&store).unwrap(), MasterKeyRotated::Rotated(_))
    };
    let rotations = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY).map(|_| scope.spawn(rotate)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
    });
    assert_eq!((rotations, made(&fixture)), (1, 2));
    assert_hears_everything(&fresh(&fixture), ids);
}

fn there_are_never_more_keys_than_may_be_and_those_that_nothing_needs_go(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    // Nobody wraps anything again meanwhile, so the first is needed, and each of the others might be for an hour.
    let mut answers = Vec::new();
    for _ in 0..20 {
        pass(&fixture, 60_000);
        answers.push(rotate(&fresh(&fixture)).unwrap());
    }
    let rotated = answers.iter().filter(|answer| matches!(answer, MasterKeyRotated::Rotated(_))).count();
    assert_eq!((rotated, answers.pop().unwrap(), made(&fixture)), (15, MasterKeyRotated::TooMany, 16));
    assert_hears_everything(&fresh(&fixture), ids);
    pass(&fixture, HOUR_MS);
    block_on(fixture.store.forget_master_keys()).unwrap();
    assert_eq!(made(&fixture), 2, "the first, which still wraps, and the newest");
    assert_hears_everything(&fresh(&fixture), ids);
    while block_on(fixture.store.rewrap_next_keys()).unwrap() {}
    block_on(fixture.store.forget_master_keys()).unwrap();
    assert_eq!(made(&fixture), 1);
    assert_hears_everything(&fresh(&fixture), ids);
    assert!(matches!(rotate(&fresh(&fixture)).unwrap(), MasterKeyRotated::Rotated(_)));
    assert_hears_everything(&fresh(&fixture), ids);
}

fn a_configured_key_is_not_rotated_here(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    let configured = || Store::with_master_key(fixture.another_connection(), MasterKey::new(CONFIGURED.to_owned()));
    pass(&fixture, HOUR_MS);
    assert_eq!(rotate(&configured()).unwrap(), MasterKeyRotated::Configured);
    assert_hears_everything(&configured(), ids);
    while block_on(configured().rewrap_next_keys()).unwrap() {}
    // Whoever was not given the configuration (`cargo dev keys`) is told so too.
    assert_eq!(rotate(&fresh(&fixture)).unwrap(), MasterKeyRotated::Configured);
    assert_eq!(made(&fixture), 1);
    let listed = listed(&configured());
    assert_eq!(
        listed.iter().map(|(_, state, given)| (*state, *given)).collect::<Vec<_>>(),
        [(KeyState::Verifies, false), (KeyState::Current, true)]
    );
}

/// A host that is killed after so many statements.
pub(crate) struct Mortal {
    database: Real,
    left: AtomicUsize,
}

impl Database for Mortal {
    fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let alive = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !alive {
            return Err(DatabaseError::Lost("killed".to_owned()));
        }
        self.database.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.database.transaction(statements).await
    }
}

/// Does it on hosts that are killed, one after the other, after one statement, or a few more, than the one before, until one outlives it.
pub(crate) fn killed_again_and_again(
    fixture: &Fixture,
    work: impl Fn(&Store<Mortal>) -> Result<(), StorageError>,
    check: impl Fn(),
) {
    let mut statements = 0;
    while statements < 1000 {
        let host = Store::new(Mortal { database: fixture.another_connection(), left: AtomicUsize::new(statements) });
        let done = work(&host);
        check();
        match done {
            Ok(()) => return,
            Err(StorageError::Database(DatabaseError::Lost(_))) => statements += 1 + statements / 6,
            Err(error) => panic!("{error}"),
        }
        // The next one need not wait for the turn of the one that is dead.
        rows(
            &fixture.another_connection(),
            "UPDATE sealing_progress SET due_at = 0 WHERE finished_at IS NULL AND pass = 1",
        );
    }
    panic!("it is never done");
}

fn whoever_is_killed_in_a_rotation_or_while_rows_are_sealed_leaves_nothing_half_done(place: Place) {
    let fixture = Fixture::new(place);
    let ids = say_everything(&fixture);
    unseal(&fixture);
    let seals = |store: &Store<Mortal>| {
        while block_on(store.seal_next_rows())? {}
        Ok(())
    };
    killed_again_and_again(&fixture, seals, || assert_hears_everything_but_the_typed(&fixture, ids));
    assert!(!stored(&fixture.another_connection()).contains("planted"));
    pass(&fixture, HOUR_MS);
    let rotates = |store: &Store<Mortal>| {
        let rotated = rotate(store)?;
        assert!(matches!(rotated, MasterKeyRotated::Rotated(_) | MasterKeyRotated::JustNow), "{rotated:?}");
        while block_on(store.rewrap_next_keys())? {}
        block_on(store.forget_master_keys())
    };
    killed_again_and_again(&fixture, rotates, || assert_hears_everything_but_the_typed(&fixture, ids));
    assert_eq!(made(&fixture), 2, "it was rotated once");
    let keys = block_on(fresh(&fixture).master_keys()).unwrap();
    assert_eq!(keys.iter().map(|key| (key.wraps, key.uses)).collect::<Vec<_>>(), [(true, 1)]);
}

fn assert_hears_everything_but_the_typed(fixture: &Fixture, ids: (Id, Id, Id)) {
    let heard = crate::sealing::heard(&fresh(fixture), ids).unwrap();
    for planted in ["planted-content", "planted-title", "planted-answer", "planted-frames", "planted-result"] {
        assert!(heard.contains(planted), "{planted} is missing in {heard}");
    }
}
