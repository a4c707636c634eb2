//! Which model a run takes, and which is refused.

use futures::executor::block_on;
use http::{Method, StatusCode};
use identity::Purpose;
use router_test::{Answer, request};
use serde_json::{Value, json};
use storage::{accounts::AccountChange, model_providers::StoredProvider};

use super::{
    tests::{Test, code, config},
    *,
};

#[test]
fn a_model_that_is_not_offered_is_refused_with_its_field() {
    let answer = Test::new().send(Method::POST, "/api/conversations", Some(json!({"model": "gpt-9"})));
    assert_eq!((code(&answer), &answer.json["field"]), ((422, "invalid_field"), &json!("model")));
}

#[test]
fn who_may_use_some_models_starts_no_run_with_another() {
    let test = Test::new();
    let roles = [
        ("some", "conversations:read conversations:write models:use:other-1 models:use:o*"),
        ("none", "conversations:read"),
    ];
    for (name, permissions) in roles {
        assert!(block_on(test.fixture.app.store().set_role(name, permissions, 9)).unwrap());
    }
    let (user, token) = test.fixture.person_with("eve@example.org", "some");
    let app = test.fixture.new_instance();
    let send = |method, path: &str, body: Value| {
        router_test::send(
            router(app.clone(), Arc::new(config("other*, x")), |_, _, _| {}),
            request(method, path, Some(&token), Some(&body)),
        )
    };
    let refused = send(Method::POST, "/api/conversations", json!({"model": "x"}));
    assert_eq!((code(&refused), &refused.json["permission"]), ((403, "forbidden"), &json!("models:use:x")));
    assert_eq!(code(&send(Method::POST, "/api/conversations", json!({"model": "omega"}))), (422, "invalid_field"));
    let made = send(Method::POST, "/api/conversations", json!({"model": "other-2"}));
    let path = format!("/api/conversations/{}", made.json["id"].as_str().unwrap());
    assert_eq!(code(&send(Method::PATCH, &path, json!({"model": "m"}))), (403, "forbidden"));
    let sent = send(Method::POST, &format!("{path}/messages"), json!({"content": "hello"}));
    assert_eq!((sent.status.as_u16(), &sent.json["run"]["model"]), (201, &json!("other-2")));
    let default = send(Method::POST, "/api/conversations", json!({}));
    let messages = format!("/api/conversations/{}/messages", default.json["id"].as_str().unwrap());
    let refused = send(Method::POST, &messages, json!({"content": "hello"}));
    assert_eq!((code(&refused), &refused.json["permission"]), ((403, "forbidden"), &json!("models:use:m")));

    // The same person with less.
    let less = test.fixture.change(&user, AccountChange { role: Some("none"), is_suspended: None });
    let token = test.fixture.token(&less, Purpose::Session);
    let read = router_test::send(
        router(test.fixture.new_instance(), Arc::new(config("")), |_, _, _| {}),
        request(Method::GET, &path, Some(&token), None),
    );
    assert_eq!(read.status, StatusCode::OK);
}

#[test]
fn an_installation_with_only_a_provider_that_was_added_answers_with_its_model() {
    let test = Test::new();
    let store = test.fixture.app.store();
    let settings = r#"{"name": "near", "base_url": "http://near.example/v1", "models": ["llama*"]}"#.to_owned();
    let near = StoredProvider { settings, sealed: String::new() };
    assert!(block_on(store.set_model_provider("near", "http://near.example/v1", &near)).unwrap());
    block_on(store.save_model_listing("http://near.example/v1", &["llama3".to_owned()])).unwrap();
    let unset = models::Provider::standard("https://api.openai.com/v1", "", "m", "");
    let send = |path: &str, body: Value| {
        let config = Arc::new(Config { standard: unset.clone(), ..config("") });
        let router = router(test.fixture.app.clone(), config, |_, _, _| {});
        router_test::send(router, request(Method::POST, path, Some(&test.token), Some(&body)))
    };
    let path = format!("/api/conversations/{}/messages", test.conversation());
    assert_eq!(send(&path, json!({"content": "hello"})).json["run"]["model"], "llama3");
    assert_eq!(send("/api/conversations", json!({"model": "llama7"})).status, StatusCode::CREATED);
    assert_eq!(code(&send("/api/conversations", json!({"model": "m"}))), (422, "invalid_field"));
    // One of which nothing can be read is no reason to ask somebody else.
    let odd = StoredProvider { settings: "{}".to_owned(), sealed: String::new() };
    assert!(block_on(store.set_model_provider("near", "http://near.example/v1", &odd)).unwrap());
    assert_eq!(code(&send("/api/conversations", json!({"model": "m"}))), (422, "invalid_field"));
}

#[test]
fn a_message_may_name_a_model_for_itself_alone() {
    let test = Test::new();
    let path = format!("/api/conversations/{}", test.conversation());
    test.send(Method::PATCH, &path, Some(json!({"model": "other-1"})));
    let say = |body: Value| {
        let sent = test.send(Method::POST, &format!("{path}/messages"), Some(body));
        test.send(Method::POST, &format!("/api/runs/{}/cancel", sent.json["run"]["id"].as_str().unwrap_or("")), None);
        sent
    };
    let model = |sent: Answer| sent.json["run"]["model"].clone();
    assert_eq!(model(say(json!({"content": "a", "model": "other-2"}))), json!("other-2"));
    assert_eq!(model(say(json!({"content": "b"}))), json!("other-1"));
    let refused = say(json!({"content": "c", "model": "gpt-9"}));
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("model")));
    assert_eq!(test.send(Method::GET, &path, None).json["model"], "other-1");
}
