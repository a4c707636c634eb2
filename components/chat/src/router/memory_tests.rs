//! What one had remembered: seen, edited, deleted, turned off, and nobody else's.

use domain::Id;
use futures::executor::block_on;
use http::{Method, StatusCode};
use serde_json::json;
use storage::memories::Remembered;

use super::tests::{Test, code};

/// Has a fact remembered as a run does. Returns its conversation.
fn remember(test: &Test, fact: &str) -> String {
    let conversation = test.conversation();
    let sent = test.send(
        Method::POST,
        &format!("/api/conversations/{conversation}/messages"),
        Some(json!({"content": "hello"})),
    );
    let run: Id = sent.json["run"]["id"].as_str().unwrap().parse().unwrap();
    let store = test.fixture.app.store();
    let remembered = block_on(store.remember(test.user_id, run, fact, None)).unwrap();
    assert!(matches!(remembered, Remembered::New(_)), "{remembered:?}");
    conversation
}

#[test]
fn facts_are_shown_with_their_conversations_edited_and_deleted() {
    let test = Test::new();
    let none = test.send(Method::GET, "/api/memories", None);
    assert_eq!(none.json, json!({"items": [], "next_cursor": null, "is_on": true}));
    let conversation = remember(&test, "Likes tea.");
    remember(&test, "Lives in Bern.");
    let list = || test.send(Method::GET, "/api/memories", None).json;
    let tea = list()["items"].as_array().unwrap().iter().find(|item| item["number"] == 1).unwrap().clone();
    assert_eq!((&tea["content"], &tea["conversation_id"]), (&json!("Likes tea."), &json!(conversation)));
    let path = format!("/api/memories/{}", tea["id"].as_str().unwrap());
    // Each edit is newer, also within a millisecond: after two it is newer than all others.
    test.send(Method::PATCH, &path, Some(json!({"content": "Likes milk."})));
    let edited = test.send(Method::PATCH, &path, Some(json!({"content": " Likes\ncoffee. "}))).json;
    assert_eq!((&edited["content"], &edited["conversation_id"]), (&json!("Likes coffee."), &json!(conversation)));
    assert_eq!(list()["items"][0], edited, "the newest first");
    for wrong in ["", " ", &"x".repeat(501)] {
        let refused = test.send(Method::PATCH, &path, Some(json!({"content": wrong})));
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("content")));
    }
    test.send(Method::DELETE, &format!("/api/conversations/{conversation}"), None);
    assert_eq!(list()["items"][0]["conversation_id"], json!(null), "the fact outlives where it was said");
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert_eq!(code(&test.send(Method::DELETE, &path, None)), (404, "not_found"));
    assert_eq!(list()["items"].as_array().unwrap().len(), 1);
    assert_eq!(test.send(Method::DELETE, "/api/memories", None).status, StatusCode::NO_CONTENT);
    assert_eq!(list()["items"], json!([]));
    let records = block_on(test.fixture.app.store().audit_records(Some(test.user_id), None, 9)).unwrap();
    let recorded: Vec<_> = records.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(recorded, ["memory.delete", "memory.delete"]);
}

#[test]
fn memory_is_turned_off_and_on_and_keeps_what_it_has() {
    let test = Test::new();
    remember(&test, "Likes tea.");
    let switch = |is_on: bool| test.send(Method::PATCH, "/api/memories", Some(json!({"is_on": is_on}))).json;
    assert_eq!(switch(false), json!({"is_on": false}));
    let off = test.send(Method::GET, "/api/memories", None).json;
    assert_eq!((&off["is_on"], off["items"].as_array().unwrap().len()), (&json!(false), 1));
    assert_eq!(switch(true), json!({"is_on": true}));
    assert_eq!(test.send(Method::GET, "/api/memories", None).json["is_on"], json!(true));
}
