//! Settings of a conversation and the form of an answer, over HTTP requests.

use domain::Id;
use futures::executor::block_on;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use storage::{claims::Claim, runs::Lease};

use super::tests::{Test, code};

fn claim(test: &Test, sent: &router_test::Answer) -> Claim {
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.text);
    let run_id = sent.json["run"]["id"].as_str().unwrap().parse().unwrap();
    let claim = test.fixture.app.store().claim(Lease { run_id, owner: Id::new() }, 60_000, "");
    block_on(claim).unwrap().unwrap()
}

const USUAL: &str =
    r#"{"instructions":null,"max_output_tokens":null,"reasoning_effort":null,"temperature":null,"tools":null}"#;

#[test]
fn settings_are_read_and_changed_one_by_one_and_a_run_gets_them() {
    let test = Test::new();
    let path = format!("/api/conversations/{}", test.conversation());
    let read = || test.send(Method::GET, &path, None).json;
    assert_eq!((read()["settings"].to_string().as_str(), &read()["assistant"]), (USUAL, &Value::Null));
    let settings = json!({"instructions": " Be brief. ", "temperature": 0.3, "max_output_tokens": 500, "reasoning_effort": "low", "tools": ["clock:*"]});
    let changed = test.send(Method::PATCH, &path, Some(json!({"settings": settings})));
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(
        (&changed.json["settings"]["instructions"], &changed.json["settings"]["temperature"]),
        (&json!("Be brief."), &json!(0.3))
    );
    let next = test.send(Method::PATCH, &path, Some(json!({"title": "Plans", "settings": {"temperature": null}})));
    assert_eq!((&next.json["title"], &next.json["settings"]["temperature"]), (&json!("Plans"), &Value::Null));
    assert_eq!((&next.json["settings"]["reasoning_effort"], &next.json), (&json!("low"), &read()));
    assert!(test.send(Method::GET, "/api/conversations", None).json["items"][0].get("settings").is_none());
    let claim = claim(&test, &test.send(Method::POST, &format!("{path}/messages"), Some(json!({"content": "hello"}))));
    assert_eq!(claim.settings.instructions.as_deref(), Some("Be brief."));
    assert_eq!((claim.settings.max_output_tokens, claim.offers.chosen), (Some(500), Some(vec!["clock:*".to_owned()])));
    let usual = json!({"instructions": "  ", "max_output_tokens": null, "reasoning_effort": null, "tools": null});
    let usual = test.send(Method::PATCH, &path, Some(json!({"settings": usual})));
    assert_eq!(usual.json["settings"].to_string(), USUAL);
}

#[test]
fn a_conversation_can_be_begun_with_settings_also_a_temporary_one() {
    let test = Test::new();
    for temporary in [false, true] {
        let body = json!({"temporary": temporary, "settings": {"instructions": "Be brief."}});
        let made = test.send(Method::POST, "/api/conversations", Some(body));
        assert_eq!((made.status, &made.json["temporary"]), (StatusCode::CREATED, &json!(temporary)));
        assert_eq!(made.json["settings"]["instructions"], "Be brief.");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_by_their_names_and_nothing_is_changed() {
    let test = Test::new();
    let path = format!("/api/conversations/{}", test.conversation());
    for (field, value) in [
        ("instructions", json!("x".repeat(16 * 1024 + 1))),
        ("temperature", json!(2.1)),
        ("temperature", json!(-1)),
        ("max_output_tokens", json!(15)),
        ("max_output_tokens", json!(1_000_001)),
        ("reasoning_effort", json!("very high")),
        ("tools", json!(["mail"])),
        ("tools", json!(vec!["mail:*"; 101])),
    ] {
        let refused = test.send(Method::PATCH, &path, Some(json!({"title": "Plans", "settings": {field: value}})));
        assert_eq!(
            (code(&refused), &refused.json["field"]),
            ((422, "invalid_field"), &json!(format!("settings.{field}")))
        );
    }
    let unknown = test.send(Method::PATCH, &path, Some(json!({"settings": {"top_p": 1}})));
    assert_eq!(code(&unknown), (400, "invalid_json"));
    let read = test.send(Method::GET, &path, None).json;
    assert_eq!((read["settings"].to_string().as_str(), &read["title"]), (USUAL, &json!("")));
}

fn format(name: &str, schema: Value) -> Value {
    json!({"content": "hello", "response_format":
        {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": true}}})
}

#[test]
fn the_form_of_an_answer_is_kept_for_its_run_and_any_form_is_none() {
    let test = Test::new();
    let send =
        |body| test.send(Method::POST, &format!("/api/conversations/{}/messages", test.conversation()), Some(body));
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let kept = claim(&test, &send(format("city", schema.clone()))).response_format.unwrap();
    assert_eq!((kept.name.as_str(), kept.strict), ("city", Some(true)));
    assert_eq!(serde_json::from_str::<Value>(kept.schema.get()).unwrap(), schema);
    let any = claim(&test, &send(json!({"content": "hello", "response_format": {"type": "text"}})));
    assert!(any.response_format.is_none());
}

#[test]
fn a_form_that_no_server_would_take_is_refused_before_anything_is_stored() {
    let test = Test::new();
    let path = format!("/api/conversations/{}/messages", test.conversation());
    let mut deep = json!({"type": "object"});
    for _ in 0..40 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    for (body, words) in [
        (format("two words", json!({"type": "object"})), "a name of 1 to 64"),
        (format("f", deep), "nested more than 32 deep"),
        (format("f", json!({"type": "object", "description": "x".repeat(70_000)})), "longer than 65536 bytes"),
        (format("f", json!({"type": "array"})), "does not describe an object"),
        (format("f", json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}})), "#/$defs/b"),
        (json!({"content": "hello", "response_format": {"type": "json_object"}}), "json_schema"),
        (json!({"content": "hello", "response_format": {"type": "json_schema"}}), "json_schema"),
    ] {
        let refused = test.send(Method::POST, &path, Some(body));
        assert_eq!(
            (code(&refused), &refused.json["field"]),
            ((422, "invalid_field"), &json!("response_format")),
            "{words}"
        );
        assert!(refused.json["detail"].as_str().unwrap().contains(words), "{}", refused.text);
    }
    assert_eq!(test.send(Method::GET, &path, None).json["items"], json!([]));
}
