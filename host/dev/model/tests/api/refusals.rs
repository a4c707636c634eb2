//! Requests that OpenAI refuses are refused with its error body.

use serde_json::{Value, json};

use crate::client::{ask_whole, json_of, request, request_with_tools, send, start};

#[tokio::test]
async fn a_key_is_needed_and_any_will_do() {
    let server = start().await;
    let body = request("-chunks=1", "Hello");
    for key in [None, Some("")] {
        let response = send(server, "POST", "/v1/chat/completions", key, &body).await.unwrap();
        let (status, error) = json_of(response).await;
        assert_eq!((status.as_u16(), &error["error"]["code"]), (401, &json!("invalid_api_key")));
    }
    assert_eq!(send(server, "GET", "/v1/models", None, &body).await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_server_that_needs_no_key_answers_without() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(scripted_model::serve_open(listener));
    let response = send(server, "POST", "/v1/chat/completions", None, &request("", "Hello")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn an_unknown_model_or_knob_is_named() {
    let server = start().await;
    let mut body = request("", "Hello");
    body["model"] = json!("gpt-9");
    let (status, error) = ask_whole(server, &body).await;
    assert_eq!((status.as_u16(), &error["error"]["code"]), (404, &json!("model_not_found")));
    for knobs in ["-speed=9", "-chunks=many", "-fail=200", "-chunks"] {
        let (status, error) = ask_whole(server, &request(knobs, "Hello")).await;
        assert_eq!((status.as_u16(), &error["error"]["param"]), (400, &json!("model")), "{knobs}");
    }
}

#[tokio::test]
async fn a_malformed_request_names_the_field() {
    let server = start().await;
    let user = json!({"role": "user", "content": "Hello"});
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let asked = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "ok"});
    let cases: [(&str, Value); 7] = [
        ("messages", json!({"messages": []})),
        ("messages", json!({"messages": [user, asked]})),
        ("messages.[2].role", json!({"messages": [user, asked, user]})),
        ("messages.[1].role", json!({"messages": [user, result]})),
        ("n", json!({"n": 2})),
        ("stream_options", json!({"stream": false, "stream_options": {"include_usage": true}})),
        ("tool_choice", json!({"tool_choice": "auto"})),
    ];
    for (param, change) in cases {
        let mut body = request("-chunks=1", "Hello");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, error) = ask_whole(server, &body).await;
        assert_eq!((status.as_u16(), &error["error"]["param"]), (400, &json!(param)), "{error}");
    }
}

#[tokio::test]
async fn a_tool_name_that_openai_would_refuse_is_refused() {
    let server = start().await;
    for name in ["clock.now", "", "a name", &"x".repeat(65)] {
        let (status, error) = ask_whole(server, &request_with_tools("", "Hello", &[name])).await;
        assert_eq!((status.as_u16(), &error["error"]["param"]), (400, &json!("tools[0].function.name")));
    }
}

#[tokio::test]
async fn an_unknown_path_is_said_in_the_same_shape() {
    let server = start().await;
    let response = send(server, "GET", "/v2/models", Some("any"), &json!({})).await.unwrap();
    let (status, error) = json_of(response).await;
    assert_eq!(status, 404);
    assert!(error["error"]["message"].as_str().unwrap().contains("/v1/chat/completions"));
}
