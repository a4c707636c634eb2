//! Signing keys and keys of components: how they are rotated, revoked and retired.

use std::sync::Barrier;

use domain::{Id, Timestamp};
use storage::{
    Database, Statement, Store,
    inside_keys::{InsideKey, NewInsideKey},
    keys::{KeyPurpose, KeyRecord, KeyRotation, KeyState},
    sessions::TokenHashes,
    signing_keys::{OVERLAP_MS, PUBLISH_MS, SigningKey},
};

use crate::{
    fixture::Fixture,
    places::{Place, Real, block_on},
};

crate::on_each_database! {
    a_new_key_is_published_before_it_signs_and_the_one_before_verifies_until_its_last_token_ended,
    of_many_who_rotate_at_once_one_does,
    a_revoked_key_ends_all_sessions_and_keeps_no_private_half,
    a_key_whose_tokens_ended_is_retired_and_its_private_half_erased,
    of_configured_keys_the_first_signs_and_one_that_is_configured_nowhere_any_more_ends,
    a_generated_key_signs_on_where_no_other_is_configured,
    a_component_has_one_key_and_makes_another_when_it_was_replaced,
}

const MINUTE_MS: i64 = 60 * 1000;

fn key(id: &str) -> SigningKey {
    let private_key = Some("private".to_owned());
    SigningKey { id: id.into(), public_key: format!("public {id}"), private_key, text_key: Some(format!("text {id}")) }
}

fn by(revokes: bool) -> KeyRotation<'static> {
    KeyRotation { revokes, user_id: "01890000-0000-7000-8000-000000000000".parse().unwrap(), detail: None }
}

fn rotate(store: &Store<Real>, id: &str, revokes: bool) -> bool {
    let keys = block_on(store.keys()).unwrap().0;
    let configured = keys.iter().find(|key| key.is_configured && key.state == KeyState::Current);
    block_on(store.rotate_signing_key(&key(id), configured.map(|key| key.id.as_str()), &by(revokes))).unwrap()
}

fn replace(store: &Store<Real>, revokes: bool) -> bool {
    block_on(store.rotate_inside_keys(&by(revokes))).unwrap()
}

/// What was recorded, the newest first.
fn recorded(store: &Store<Real>) -> Vec<(String, String)> {
    let records = block_on(store.audit_records(None, None, 100)).unwrap();
    records.into_iter().map(|record| (record.action, record.subject)).collect()
}

/// Lets time pass for all keys.
fn pass(fixture: &Fixture, ms: i64) {
    for (table, columns) in [
        ("signing_keys", &["created_at", "signs_from", "verifies_until", "retired_at"][..]),
        ("inside_keys", &["created_at", "verifies_until"]),
    ] {
        for column in columns {
            let sql = format!("UPDATE {table} SET {column} = {column} - ?1 WHERE {column} <> 0");
            block_on(fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
        }
    }
}

/// The keys for tokens: id and state.
fn states(store: &Store<Real>) -> Vec<(String, KeyState)> {
    let (keys, _) = block_on(store.keys()).unwrap();
    let of_tokens = keys.into_iter().filter(|key| key.purpose == KeyPurpose::Tokens);
    of_tokens.map(|key| (key.id, key.state)).collect()
}

fn published(store: &Store<Real>) -> Vec<String> {
    let state = block_on(store.access_state("tests", 60_000, storage::access::Offers::Unread)).unwrap();
    let keys: Vec<String> = state.keys.into_iter().map(|key| key.jwk).collect();
    assert_eq!(keys, block_on(store.public_keys()).unwrap(), "what is published is what verifies");
    keys
}

fn a_new_key_is_published_before_it_signs_and_the_one_before_verifies_until_its_last_token_ended(place: Place) {
    use KeyState::{Current, Retired, Verifies};
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    assert!(!rotate(store, "z", false), "there is none yet");
    block_on(store.add_first_signing_key(&key("a"))).unwrap();
    pass(&fixture, 1);
    assert!(rotate(store, "b", false));
    assert_eq!(published(store), ["public a", "public b"]);
    assert_eq!(states(store), [("b".into(), Verifies), ("a".into(), Current)]);
    pass(&fixture, PUBLISH_MS);
    assert_eq!(states(store), [("b".into(), Current), ("a".into(), Verifies)]);
    assert!(!rotate(store, "c", false), "it was rotated a moment ago");
    pass(&fixture, OVERLAP_MS - MINUTE_MS);
    assert_eq!(published(store), ["public a", "public b"]);
    pass(&fixture, MINUTE_MS);
    assert_eq!(published(store), ["public b"]);
    assert_eq!(states(store), [("b".into(), Current), ("a".into(), Retired)]);
    assert!(rotate(store, "c", false));
}

fn of_many_who_rotate_at_once_one_does(place: Place) {
    const MANY: usize = 8;
    let fixture = Fixture::new(place);
    block_on(fixture.store.add_first_signing_key(&key("a"))).unwrap();
    pass(&fixture, MINUTE_MS);
    for revokes in [false, true] {
        let barrier = Barrier::new(MANY);
        let rotate = &|index: usize| {
            let store = Store::new(fixture.another_connection());
            barrier.wait();
            rotate(&store, &format!("{revokes} {index}"), revokes)
        };
        let rotations = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || rotate(index))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
        });
        assert_eq!(rotations, 1, "revokes: {revokes}");
        assert_eq!(recorded(&fixture.store).len(), if revokes { 2 } else { 1 }, "each rotation is recorded with it");
        assert_eq!(published(&fixture.store).len(), if revokes { 1 } else { 2 });
        pass(&fixture, MINUTE_MS);
    }
}

fn a_revoked_key_ends_all_sessions_and_keeps_no_private_half(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let user = fixture.user("a@example.org");
    let hashes = TokenHashes { token: "t".into(), family: "f".into() };
    block_on(store.create_session(Id::new(), &user, &hashes, MINUTE_MS)).unwrap();
    block_on(store.add_first_signing_key(&key("a"))).unwrap();
    pass(&fixture, MINUTE_MS);
    rotate(store, "b", false);
    assert_eq!(block_on(store.open_sessions(Some(user.id), None, 10)).unwrap().len(), 1, "nobody is logged out");
    assert!(rotate(store, "c", true));
    assert_eq!(published(store), ["public c"]);
    assert!(states(store).contains(&("c".into(), KeyState::Current)));
    let (kept, _) = block_on(store.issuing_keys()).unwrap().unwrap();
    let kept: Vec<&str> = kept.iter().map(|kept| kept.key.id.as_str()).collect();
    assert_eq!(kept, ["c"], "neither private halves nor text keys of the others");
    assert_eq!(block_on(store.open_sessions(Some(user.id), None, 10)).unwrap(), []);
}

fn a_key_whose_tokens_ended_is_retired_and_its_private_half_erased(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    // As an earlier release stored it: without a text key.
    block_on(store.add_first_signing_key(&SigningKey { text_key: None, ..key("a") })).unwrap();
    pass(&fixture, MINUTE_MS);
    rotate(store, "b", false);
    pass(&fixture, PUBLISH_MS);
    block_on(store.retire_signing_key("a", Some("text"))).unwrap();
    let halves = || {
        let (keys, _) = block_on(store.issuing_keys()).unwrap().unwrap();
        keys.into_iter().map(|kept| (kept.key.private_key.is_some(), kept.key.text_key)).collect::<Vec<_>>()
    };
    assert_eq!(halves(), [(true, Some("text b".into())), (true, None)], "it still verifies");
    pass(&fixture, OVERLAP_MS);
    block_on(store.retire_signing_key("a", Some("text"))).unwrap();
    block_on(store.retire_signing_key("b", None)).unwrap();
    assert_eq!(halves(), [(true, Some("text b".into())), (false, Some("text".into()))]);
}

fn of_configured_keys_the_first_signs_and_one_that_is_configured_nowhere_any_more_ends(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let configured = |id: &str, signs| {
        block_on(store.publish_signing_key(id, &format!("public {id}"), signs)).unwrap();
    };
    configured("a", true);
    configured("b", false);
    let listed = || block_on(store.keys()).unwrap().0;
    let now: Vec<_> = listed().iter().map(|key| (key.id.clone(), key.state)).collect();
    assert_eq!(now, [("a".into(), KeyState::Current), ("b".into(), KeyState::Verifies)]);
    let due = |days: u32| listed().iter().map(|key: &KeyRecord| key.due_at(days).is_some()).collect::<Vec<_>>();
    assert!(listed().iter().all(|key| key.is_configured) && due(90) == [true, false] && due(0) == [false, false]);
    pass(&fixture, MINUTE_MS);
    configured("b", true);
    configured("a", false);
    assert_eq!(states(store), [("b".into(), KeyState::Current), ("a".into(), KeyState::Verifies)]);
    assert!(!rotate(store, "c", false), "it is rotated by configuration");
    pass(&fixture, OVERLAP_MS - MINUTE_MS);
    configured("b", true);
    pass(&fixture, MINUTE_MS);
    assert_eq!(published(store), ["public b"]);
    configured("a", false);
    assert_eq!(published(store).len(), 2, "it is configured again");
    assert!(rotate(store, "c", true));
    assert_eq!(published(store), ["public b"], "the one that signs goes on, and no other is stored");
    configured("a", true);
    assert_eq!(published(store), ["public b"], "what was revoked does not come back");
}

fn a_generated_key_signs_on_where_no_other_is_configured(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    block_on(store.add_first_signing_key(&key("a"))).unwrap();
    pass(&fixture, MINUTE_MS);
    let end = || {
        let (keys, _) = block_on(store.issuing_keys()).unwrap().unwrap();
        keys.iter().find(|key| key.key.id == "a").unwrap().verifies_until
    };
    block_on(store.continue_signing_key("a", false)).unwrap();
    assert_eq!(end(), None);
    block_on(store.end_signing_keys(&["a".into()])).unwrap();
    pass(&fixture, OVERLAP_MS - MINUTE_MS);
    let before = end();
    block_on(store.continue_signing_key("a", true)).unwrap();
    assert!(before < end(), "others are configured on some hosts");
    block_on(store.continue_signing_key("a", false)).unwrap();
    assert_eq!(end(), None);
    assert!(rotate(store, "b", false));
    block_on(store.continue_signing_key("a", false)).unwrap();
    assert!(end().is_some(), "another signs on");
}

fn a_component_has_one_key_and_makes_another_when_it_was_replaced(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    let add = |id: &str, caller: &str| {
        let key = InsideKey { id: id.into(), caller: caller.into(), public_key: format!("public {id}") };
        block_on(store.add_inside_key(&NewInsideKey { key, private_key: format!("private {id}") })).unwrap();
    };
    let known = |component: &str| {
        let state = block_on(store.access_state(component, 60_000, storage::access::Offers::Unread)).unwrap();
        let (keys, now) = block_on(store.inside_keys()).unwrap();
        let (mut ids, mut same): (Vec<_>, Vec<_>) =
            (keys.into_iter().map(|key| key.id).collect(), state.inside_keys.into_iter().map(|key| key.id).collect());
        ids.sort_unstable();
        same.sort_unstable();
        assert!(ids == same && now > Timestamp::from_millis(0));
        (ids, state.own_key.map(|own| (own.id, own.private_key)))
    };
    for (id, caller) in [("s1", "stream"), ("s2", "stream"), ("t1", "tools")] {
        add(id, caller);
    }
    let all = vec!["s1".to_owned(), "t1".to_owned()];
    assert_eq!(known("stream"), (all.clone(), Some(("s1".into(), "private s1".into()))));
    assert_eq!(known("auth"), (all.clone(), None), "nobody is given the key of another");
    assert!(!replace(store, false), "they were made a moment ago");
    pass(&fixture, MINUTE_MS);
    assert!(replace(store, false));
    assert_eq!(recorded(store), [("key.rotate".into(), "inside".into())]);
    assert_eq!(known("stream"), (all, None), "what was signed a moment ago still verifies");
    assert!(!replace(store, false));
    add("s3", "stream");
    assert_eq!(known("stream").1, Some(("s3".into(), "private s3".into())));
    pass(&fixture, 20_000);
    assert!(replace(store, true));
    assert!(!replace(store, true));
    assert_eq!(recorded(store).len(), 2);
    assert_eq!(known("stream"), (vec![], None));
}
