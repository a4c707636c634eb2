//! What of a request decides, what is refused, and what is written.

use super::*;

fn chat(body: &str) -> Result<Request<'_>, InvalidRequest> {
    Request::read(Endpoint::ChatCompletions, body.as_bytes())
}

fn written(request: &Request<'_>, reports_usage: bool) -> String {
    String::from_utf8(request.body(Additions { usage: reports_usage, max_answer_tokens: None }).into_owned()).unwrap()
}

#[test]
fn a_request_that_needs_no_change_goes_on_byte_for_byte() {
    let body =
        "{ \"model\" : \"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00ef\"}], \"of_tomorrow\": 1.50e0 }";
    let request = chat(body).unwrap();
    assert_eq!((request.model(), request.streams(), request.max_answer_tokens()), ("m", false, None));
    assert_eq!(written(&request, true), body);
}

#[test]
fn a_stream_is_asked_for_its_tokens_and_every_other_value_stays_as_it_was() {
    for (body, sent) in [
        (
            r#"{"model":"m","stream":true, "seed": 1.0,"x":{"a" : 1}}"#,
            r#"{"model":"m","stream":true,"seed":1.0,"x":{"a" : 1},"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"include_obfuscation":false},"stream":true}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#,
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":null}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
    ] {
        let request = chat(body).unwrap();
        assert!(request.asks_for_usage());
        assert_eq!(written(&request, true), sent);
        assert_eq!(written(&request, false), body, "for a server that does not know the field");
    }
    let wanted = chat(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#).unwrap();
    assert!(!wanted.asks_for_usage());
}

#[test]
fn an_answer_of_responses_is_kept_nowhere() {
    let responses = |body: &'static str| Request::read(Endpoint::Responses, body.as_bytes());
    let unsaid = responses(r#"{"model":"m","input":"hi","stream":true}"#).unwrap();
    assert_eq!(written(&unsaid, true), r#"{"model":"m","input":"hi","stream":true,"store":false}"#);
    let said = r#"{"model":"m","input":"hi","store":false}"#;
    assert_eq!(written(&responses(said).unwrap(), true), said);
    assert!(responses(r#"{"model":"m","previous_response_id":null,"background":false}"#).is_ok());
    for field in KEPT_ELSEWHERE {
        let body = format!(r#"{{"model":"m","{field}":"resp_1"}}"#);
        let refused = Request::read(Endpoint::Responses, body.as_bytes()).map(drop);
        assert_eq!(refused, Err(InvalidRequest::Kept(field)));
    }
}

#[test]
fn no_other_model_and_no_other_server_than_the_one_that_is_checked_can_be_named() {
    let refused = |body: &str| chat(body).map(drop).unwrap_err();
    for (name, field) in [("\u{17f}tream", "stream"), ("MAX_TOKENS", "max_tokens"), ("Store", "store")] {
        assert_eq!(refused(&format!(r#"{{"model":"m","{name}":1}}"#)), InvalidRequest::Case(field));
    }
    assert!(matches!(refused(r#"{"model":"m","Model":"n"}"#), InvalidRequest::Json(_)));
    for field in ELSEWHERE {
        assert_eq!(refused(&format!(r#"{{"model":"m","{field}":["n"]}}"#)), InvalidRequest::Elsewhere(field));
    }
    let long = format!(r#"{{"model":"m","stream_options":{{"a":"{}"}}}}"#, "x".repeat(2_000));
    for body in [long.as_str(), r#"{"model":"m","stream_options":[]}"#] {
        assert_eq!(refused(body), InvalidRequest::StreamOptions);
    }
}

#[test]
fn what_others_may_have_left_and_what_costs_besides_tokens_is_refused() {
    let refused = |endpoint, rest: &str| {
        Request::read(endpoint, format!(r#"{{"model":"m",{rest}}}"#).as_bytes()).map(drop).unwrap_err()
    };
    let (chat, responses) = (Endpoint::ChatCompletions, Endpoint::Responses);
    for (endpoint, rest, error) in [
        (chat, r#""store":true"#, InvalidRequest::Kept("store")),
        (responses, r#""input":[{"type":"item_reference","id":"i"}]"#, InvalidRequest::Kept("input")),
        (chat, r#""messages":[{"content":[{"file":{"file_id":"f"}}]}]"#, InvalidRequest::Kept("messages")),
        (responses, r#""tools":[{"type":"function"},{"type":"web_search"}]"#, InvalidRequest::Extra("tools")),
        (chat, r#""web_search_options":{}"#, InvalidRequest::Extra("web_search_options")),
        (chat, r#""service_tier":"priority""#, InvalidRequest::Extra("service_tier")),
    ] {
        assert_eq!(refused(endpoint, rest), error, "{rest}");
    }
    let usual = r#"{"model":"m","store":false,"service_tier":"flex","tools":[{"type":"function","function":{"parameters":{"properties":{"file_id":{"type":"string"}}}}}]}"#;
    assert!(self::chat(usual).is_ok());
}

#[test]
fn what_cannot_be_decided_about_is_refused() {
    let refused = |body: &str| chat(body).map(drop).unwrap_err();
    for body in ["", "[]", "{", r#"{"model":"m","model":"n"}"#, r#"{"model":"m","mod\u0065l":"n"}"#] {
        assert!(matches!(refused(body), InvalidRequest::Json(_)), "{body}");
    }
    for body in ["{}", r#"{"model":""}"#, r#"{"model":7}"#, r#"{"model":null}"#] {
        assert_eq!(refused(body), InvalidRequest::Model, "{body}");
    }
    assert_eq!(refused(r#"{"model":"m","stream":"yes"}"#), InvalidRequest::Stream);
    let many: String = (0..300).map(|n| format!(r#","f{n}":1"#)).collect();
    assert!(matches!(refused(&format!(r#"{{"model":"m"{many}}}"#)), InvalidRequest::Json(_)));
}

#[test]
fn the_longest_answer_is_the_most_that_a_server_may_read() {
    let most = |rest: &str| {
        let body = format!(r#"{{"model":"m"{rest}}}"#);
        let request = chat(&body).unwrap();
        (request.max_answer_tokens(), request.answers())
    };
    assert_eq!(most(r#","max_tokens":100"#), (Some(100), 1));
    assert_eq!(most(r#","max_completion_tokens":1,"max_tokens":50,"n":3"#), (Some(50), 3));
    assert_eq!(most(r#","max_tokens":"many","max_output_tokens":7"#), (None, 1));
    assert_eq!(most(r#","max_completion_tokens":1,"max_tokens":-1"#), (None, 1));
    assert_eq!(most(r#","max_tokens":0"#), (None, 1));
    let embeddings = Request::read(Endpoint::Embeddings, br#"{"model":"e","input":"a"}"#).unwrap();
    assert_eq!(embeddings.max_answer_tokens(), Some(0));
}

#[test]
fn a_budget_shortens_the_answer_in_the_field_that_the_request_has() {
    let additions = Additions { usage: true, max_answer_tokens: Some(300) };
    for (body, sent, added) in [
        (r#"{"model":"m"}"#, r#"{"model":"m","max_completion_tokens":300}"#, vec!["max_completion_tokens"]),
        (r#"{"model":"m","max_tokens":900}"#, r#"{"model":"m","max_tokens":300}"#, vec![]),
        (r#"{"model":"m","max_tokens":-1}"#, r#"{"model":"m","max_tokens":300}"#, vec![]),
        (
            r#"{"model":"m","max_tokens":"9e9","max_completion_tokens":200}"#,
            r#"{"model":"m","max_completion_tokens":300,"max_tokens":300}"#,
            vec![],
        ),
        (
            r#"{"model":"m","max_tokens":900,"max_completion_tokens":800,"stream":true}"#,
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":300,"max_tokens":300}"#,
            vec!["stream_options", "include_usage"],
        ),
    ] {
        let request = chat(body).unwrap();
        assert_eq!(String::from_utf8(request.body(additions).into_owned()).unwrap(), sent);
        assert_eq!(request.added(additions).collect::<Vec<_>>(), added);
    }
}
