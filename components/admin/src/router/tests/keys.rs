//! The installation's keys, and their rotation.

use storage::{
    Database as _, Statement,
    inside_keys::{InsideKey, NewInsideKey},
};

use super::*;

/// Lets time pass for the keys.
fn pass(test: &Test, ms: i64) {
    for sql in [
        "UPDATE signing_keys SET created_at = created_at - ?1, signs_from = signs_from - ?1, verifies_until = verifies_until - ?1",
        "UPDATE inside_keys SET created_at = created_at - ?1",
    ] {
        block_on(test.fixture.another_connection().query(Statement::new("t", sql, [ms.into()]))).unwrap();
    }
}

fn rotate(test: &Test, body: Value) -> Answer {
    test.send(Method::POST, "/keys/rotate", Some(body))
}

#[test]
fn a_key_says_when_it_is_due_and_is_rotated_once_an_hour() {
    let test = Test::new();
    let before = test.get("/keys");
    assert_eq!((texts(&before, "purpose"), texts(&before, "state")), (vec!["tokens"], vec!["current"]));
    let item = &before["items"][0];
    assert!(item["due_at"].is_string() && item["is_configured"] == false && item["verifies_until"].is_null());
    assert!(!before.to_string().contains("PRIVATE"));
    let rotated = rotate(&test, json!({"purpose": "tokens"}));
    assert_eq!((rotated.status, &rotated.json["rotated"]), (StatusCode::OK, &json!(true)));
    assert_eq!(texts(&rotated.json, "state"), ["verifies", "current"], "it is published first");
    assert_eq!(test.recorded().0, "key.rotate");
    let again = rotate(&test, json!({"purpose": "tokens"}));
    assert_eq!((again.status, &again.json["rotated"], test.records()), (StatusCode::OK, &json!(false), 1));
    assert_eq!(test.get("/users")["items"].as_array().unwrap().len(), 1, "nobody is logged out");
}

#[test]
fn a_revocation_ends_the_token_of_whoever_did_it_too() {
    let test = Test::new();
    pass(&test, 60_000);
    let revoked = rotate(&test, json!({"purpose": "tokens", "revoke": true}));
    assert_eq!((revoked.status, &revoked.json["rotated"]), (StatusCode::OK, &json!(true)));
    assert_eq!(texts(&revoked.json, "state"), ["current", "retired"]);
    assert_eq!(test.recorded().0, "key.revoke");
    assert_eq!(test.send(Method::GET, "/keys", None).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn the_keys_of_components_are_replaced() {
    let test = Test::new();
    assert_eq!(rotate(&test, json!({"purpose": "inside"})).json["rotated"], false, "there are none yet");
    let key = InsideKey { id: "k".into(), caller: "tools".into(), public_key: "x".into() };
    block_on(test.fixture.app.store().add_inside_key(&NewInsideKey { key, private_key: "y".into() })).unwrap();
    pass(&test, 60_000);
    let rotated = rotate(&test, json!({"purpose": "inside"}));
    assert_eq!((&rotated.json["rotated"], texts(&rotated.json, "state")), (&json!(true), vec!["verifies"]));
}

#[test]
fn a_configured_key_is_rotated_by_configuration_and_the_answer_says_how() {
    let test = Test::new();
    let store = test.fixture.app.store();
    pass(&test, 60_000);
    block_on(store.publish_signing_key("configured", "public", true)).unwrap();
    let refused = rotate(&test, json!({"purpose": "tokens"}));
    assert_eq!(code(&refused), (409, "key_configured"));
    assert!(refused.json["detail"].as_str().unwrap().contains("signing_key"));
    let revoked = rotate(&test, json!({"purpose": "tokens", "revoke": true}));
    assert_eq!(revoked.json["rotated"], true, "the one before it ends");
    assert_eq!(texts(&revoked.json, "state"), ["current", "retired"]);
}

#[test]
fn a_master_key_that_was_made_here_is_rotated_and_signs_nothing_that_could_be_revoked() {
    let test = Test::new();
    assert_eq!(rotate(&test, json!({"purpose": "master"})).json["rotated"], false, "there is none yet");
    block_on(test.fixture.app.store().create_conversation(test.admin.id, "x", None)).unwrap();
    let sql = "UPDATE generated_keys SET created_at = created_at - 60000";
    block_on(test.fixture.another_connection().query(Statement::new("t", sql, []))).unwrap();
    let rotated = rotate(&test, json!({"purpose": "master"}));
    assert_eq!((&rotated.json["rotated"], texts(&rotated.json, "state")), (&json!(true), vec!["current", "verifies"]));
    assert_eq!(test.recorded().0, "key.rotate");
    assert!(rotated.json["items"].as_array().unwrap().iter().all(|key| key["id"].as_str().unwrap().len() == 16));
    assert_eq!(rotate(&test, json!({"purpose": "master"})).json["rotated"], false, "a moment ago");
    assert_eq!(code(&rotate(&test, json!({"purpose": "master", "revoke": true}))), (409, "not_revocable"));
}

#[test]
fn what_is_no_purpose_is_named() {
    let test = Test::new();
    let refused = rotate(&test, json!({"purpose": "everything"}));
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("purpose")));
    assert_eq!(rotate(&test, json!({"purpose": "tokens", "force": true})).status, StatusCode::BAD_REQUEST);
}
