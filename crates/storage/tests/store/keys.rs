//! Signing keys and keys of components: how they are rotated, revoked and retired.

use std::sync::Barrier;

use domain::{Id, Timestamp};
use storage::{
    Database, Statement, Store,
    inside_keys::{InsideKey, NewInsideKey},
    keys::{KeyPurpose, KeyRecord, KeyState},
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
    of_configured_keys_the_first_signs_and_one_that_is_gone_ends,
    a_component_has_one_key_and_makes_another_when_it_was_replaced,
}

const MINUTE_MS: i64 = 60 * 1000;

fn key(id: &str) -> SigningKey {
    let private_key = Some("private".to_owned());
    SigningKey { id: id.into(), public_key: format!("public {id}"), private_key, text_key: Some(format!("text {id}")) }
}

/// Lets time pass for all keys.
fn pass(fixture: &Fixture, ms: i64) {
    for column in ["created_at", "signs_from", "verifies_until", "retired_at"] {
        let sql = format!("UPDATE signing_keys SET {column} = {column} - ?1");
        block_on(fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
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
    assert!(!block_on(store.rotate_signing_key(&key("z"), false)).unwrap(), "there is none yet");
    block_on(store.add_first_signing_key(&key("a"))).unwrap();
    pass(&fixture, 1);
    assert!(block_on(store.rotate_signing_key(&key("b"), false)).unwrap());
    assert_eq!(published(store), ["public a", "public b"]);
    assert_eq!(states(store), [("b".into(), Verifies), ("a".into(), Current)]);
    pass(&fixture, PUBLISH_MS);
    assert_eq!(states(store), [("b".into(), Current), ("a".into(), Verifies)]);
    assert!(!block_on(store.rotate_signing_key(&key("c"), false)).unwrap(), "it was rotated a moment ago");
    pass(&fixture, OVERLAP_MS - MINUTE_MS);
    assert_eq!(published(store), ["public a", "public b"]);
    pass(&fixture, MINUTE_MS);
    assert_eq!(published(store), ["public b"]);
    assert_eq!(states(store), [("b".into(), Current), ("a".into(), Retired)]);
    assert!(block_on(store.rotate_signing_key(&key("c"), false)).unwrap());
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
            block_on(store.rotate_signing_key(&key(&format!("{revokes} {index}")), revokes)).unwrap()
        };
        let rotations = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..MANY).map(|index| scope.spawn(move || rotate(index))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
        });
        assert_eq!(rotations, 1, "revokes: {revokes}");
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
    block_on(store.rotate_signing_key(&key("b"), false)).unwrap();
    assert_eq!(block_on(store.open_sessions(Some(user.id), None, 10)).unwrap().len(), 1, "nobody is logged out");
    assert!(block_on(store.rotate_signing_key(&key("c"), true)).unwrap());
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
    block_on(store.rotate_signing_key(&key("b"), false)).unwrap();
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

fn of_configured_keys_the_first_signs_and_one_that_is_gone_ends(place: Place) {
    let fixture = Fixture::new(place);
    let store = &fixture.store;
    block_on(store.publish_signing_key("a", "public a", true)).unwrap();
    block_on(store.publish_signing_key("b", "public b", false)).unwrap();
    let listed = || block_on(store.keys()).unwrap().0;
    let due = |key: &KeyRecord| key.due_at(90).is_some();
    let now: Vec<_> = listed().iter().map(|key| (key.id.clone(), key.state, due(key))).collect();
    assert_eq!(now, [("a".into(), KeyState::Current, true), ("b".into(), KeyState::Verifies, false)]);
    assert!(listed().iter().all(|key| key.is_configured && key.due_at(0).is_none()));
    pass(&fixture, MINUTE_MS);
    block_on(store.publish_signing_key("b", "public b", true)).unwrap();
    assert_eq!(states(store), [("b".into(), KeyState::Current), ("a".into(), KeyState::Verifies)]);
    block_on(store.end_signing_keys(&["a".into()])).unwrap();
    assert_eq!(published(store).len(), 2);
    pass(&fixture, OVERLAP_MS + MINUTE_MS);
    assert!(!block_on(store.rotate_signing_key(&key("c"), false)).unwrap(), "it is rotated by configuration");
    assert_eq!(published(store), ["public b"]);
    block_on(store.publish_signing_key("a", "public a", false)).unwrap();
    assert_eq!(published(store).len(), 2, "it is configured again");
    block_on(store.end_signing_keys(&["a".into()])).unwrap();
    assert!(!block_on(store.rotate_signing_key(&key("c"), true)).unwrap());
    block_on(store.publish_signing_key("a", "public a", false)).unwrap();
    assert_eq!(published(store), ["public b"], "what was revoked does not come back");
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
    assert_eq!(block_on(store.replace_inside_keys(false)).unwrap(), 2);
    assert_eq!(known("stream"), (all, None), "what was signed a moment ago still verifies");
    assert_eq!(block_on(store.replace_inside_keys(false)).unwrap(), 0);
    add("s3", "stream");
    assert_eq!(known("stream").1, Some(("s3".into(), "private s3".into())));
    assert_eq!(block_on(store.replace_inside_keys(true)).unwrap(), 3);
    assert_eq!(known("stream"), (vec![], None));
}
