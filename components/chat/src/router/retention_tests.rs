//! How long a conversation is kept, over HTTP requests.

use futures::executor::block_on;
use http::{Method, StatusCode};
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};
use storage::limits::Subject;

use super::*;

struct Test {
    fixture: Fixture,
    token: String,
}

impl Test {
    fn new() -> Self {
        let fixture = Fixture::default();
        let (_, token) = fixture.person("ada@example.org");
        Self { fixture, token }
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let config = tests::config("");
        let router = router(self.fixture.new_instance(), Arc::new(config), |_, _, _| {});
        send(router, request(method, path, Some(&self.token), body.as_ref()))
    }

    fn create(&self, body: Value) -> Answer {
        self.send(Method::POST, "/api/conversations", Some(body))
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

fn path(made: &Answer) -> String {
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    format!("/api/conversations/{}", made.json["id"].as_str().unwrap())
}

#[test]
fn a_conversation_is_kept_as_long_as_its_person_or_a_rule_says_and_says_when_it_goes() {
    let test = Test::new();
    let made = test.create(json!({"title": "Plans"}));
    let usual = (&made.json["temporary"], &made.json["retention_days"], &made.json["expires_at"]);
    assert_eq!(usual, (&json!(false), &Value::Null, &Value::Null));
    let path = path(&made);
    let week = test.send(Method::PATCH, &path, Some(json!({"retention_days": 7})));
    assert_eq!((&week.json["retention_days"], &week.json["title"]), (&json!(7), &json!("Plans")));
    let goes = week.json["expires_at"].as_str().unwrap().to_owned();
    let renamed = test.send(Method::PATCH, &path, Some(json!({"title": "Other plans"})));
    assert_eq!(renamed.json["retention_days"], 7, "what is not said stays");
    assert!(renamed.json["expires_at"].as_str().unwrap() >= goes.as_str());
    block_on(test.fixture.app.store().set_retention_rule(&Subject::Installation, Some(3))).unwrap();
    // An instance learns of the first rule within a second; a new one knows it.
    let router = router(test.fixture.new_instance(), Arc::new(tests::config("")), |_, _, _| {});
    let listed = send(router, request(Method::GET, "/api/conversations", Some(&test.token), None));
    assert!(listed.json["items"][0]["expires_at"].as_str().unwrap() < goes.as_str(), "the rule is shorter");
    let kept = test.send(Method::PATCH, &path, Some(json!({"retention_days": null})));
    assert_eq!(kept.json["retention_days"], Value::Null);
    for wrong in [json!(0), json!(3651)] {
        let refused = test.send(Method::PATCH, &path, Some(json!({"retention_days": wrong})));
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("retention_days")));
    }
    assert_eq!(test.create(json!({"retention_days": 1})).json["retention_days"], 1);
}

#[test]
fn a_temporary_chat_is_opened_by_its_address_and_found_nowhere_else() {
    let test = Test::new();
    let made = test.create(json!({"temporary": true}));
    assert_eq!(made.json["temporary"], true);
    assert!(made.json["expires_at"].is_string(), "{}", made.text);
    let path = path(&made);
    let sent = test.send(Method::POST, &format!("{path}/messages"), Some(json!({"content": "Between us"})));
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    assert_eq!(test.send(Method::GET, &path, None).json["title"], "", "it gets no title");
    assert_eq!(test.send(Method::GET, "/api/conversations", None).json["items"], json!([]));
    for change in [json!({"retention_days": 30}), json!({"title": "Named"})] {
        assert_eq!(code(&test.send(Method::PATCH, &path, Some(change))), (409, "temporary"));
    }
    for more in ["title", "retention_days"] {
        let value = if more == "title" { json!("t") } else { json!(1) };
        let refused = test.create(json!({"temporary": true, more: value}));
        assert_eq!(code(&refused), (422, "invalid_field"), "{more}");
    }
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert_eq!(code(&test.send(Method::GET, &path, None)), (404, "not_found"));
}
