//! Tests the server half from outside: the response to one POST request, in each revision.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]

mod fixture;

use std::rc::Rc;

use fixture::{Answered, legacy, modern, modern_with, post, send, send_with};
use http::{Method, Request, StatusCode, header};
use mcp::{
    Completion, Content, Description, Failure, InputNeeded, Notice, Outcome, Provider, Reply, Settings, Tool, ToolCall,
};
use serde_json::{Value, json, value::to_raw_value};

/// A provider that answers every call with this function's result.
struct Once(fn() -> Result<Reply, Failure>);

fn tool(name: &str, schema: &Value) -> Tool {
    Tool {
        name: name.to_owned(),
        title: None,
        description: None,
        input_schema: to_raw_value(schema).unwrap(),
        output_schema: Some(to_raw_value(&json!({"type": "array"})).unwrap()),
        annotations: mcp::Annotations { read_only: Some(true), ..mcp::Annotations::default() },
        execution: mcp::ToolExecution::default(),
        meta: None,
    }
}

impl Provider for Once {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        let tools = vec![tool("it", &json!({"type": "object"}))];
        let (name, version) = ("once".to_owned(), "1".to_owned());
        Ok(Rc::new(Description { name, version, tools, ..Description::default() }))
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        assert_eq!(call.arguments.get(), "{}");
        (self.0)()
    }

    async fn complete(&self, _: mcp::CompletionRequest) -> Result<Completion, Failure> {
        panic!("nobody said that this can complete")
    }
}

fn call_once(reply: fn() -> Result<Reply, Failure>, version: fn(&str, Value) -> Request<bytes::Bytes>) -> Answered {
    send_with(&Once(reply), &Settings::default(), version("tools/call", json!({"name": "it"})))
}

#[test]
fn only_post_is_served() {
    for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
        let mut request = modern("tools/list", json!({}));
        *request.method_mut() = method;
        let answered = send(request);
        assert_eq!(answered.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answered.headers[header::ALLOW], "POST");
    }
}

#[test]
fn pages_of_other_origins_are_kept_out() {
    let ask = |host: &str, origin: Option<&str>, settings: &Settings| {
        let mut request = modern("tools/list", json!({}));
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        origin.map(|origin| request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap()));
        send_with(&conformance_provider::Fixture, settings, request).status
    };
    let open = Settings::default();
    assert_eq!(ask("a.example", None, &open), StatusCode::OK);
    assert_eq!(ask("a.example", Some("https://a.example"), &open), StatusCode::OK);
    assert_eq!(ask("a.example", Some("https://b.example"), &open), StatusCode::FORBIDDEN);
    assert_eq!(ask("a.example", Some("null"), &open), StatusCode::FORBIDDEN);
    let ours = Settings {
        allowed_hosts: Some(vec!["a.example".to_owned()]),
        allowed_origins: vec!["https://c.example".to_owned()],
    };
    assert_eq!(ask("a.example", Some("https://c.example"), &ours), StatusCode::OK);
    // An attacker pointed this host name at the server.
    assert_eq!(ask("evil.example", Some("http://evil.example"), &ours), StatusCode::FORBIDDEN);
    assert_eq!(ask("evil.example", None, &ours), StatusCode::FORBIDDEN);
}

#[test]
fn what_is_no_request_is_refused_or_taken_note_of() {
    let status_and_code = |body: &str| {
        let answered = send(post(body.to_owned()));
        (answered.status.as_u16(), answered.json().pointer("/error/code").and_then(Value::as_i64))
    };
    assert_eq!(status_and_code("{"), (400, Some(-32700)));
    assert_eq!(status_and_code(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#), (400, Some(-32600)));
    assert_eq!(status_and_code(r#"{"id":1,"method":"ping"}"#), (400, Some(-32600)));
    assert_eq!(status_and_code(r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#), (400, Some(-32600)));
    assert_eq!(status_and_code(r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#), (400, Some(-32600)));
    assert_eq!(status_and_code(r#"{"jsonrpc":"2.0"}"#), (400, Some(-32600)));
    assert_eq!(status_and_code(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), (202, None));
    assert_eq!(status_and_code(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), (202, None));
    let mut form = post("{}".to_owned());
    form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(send(form).status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[test]
fn initialize_is_answered_with_the_last_revision_that_has_it() {
    let negotiated = |version: &str| {
        let params =
            json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let mut request = post(request.to_string());
        // Some clients send the header before the version is negotiated.
        request.headers_mut().insert("mcp-protocol-version", version.parse().unwrap());
        let answered = send(request);
        assert!(!answered.headers.contains_key("mcp-session-id"));
        let result = answered.json()["result"].clone();
        assert!(result.get("resultType").is_none());
        assert_eq!(result["serverInfo"]["name"], "conformance");
        result["protocolVersion"].as_str().unwrap().to_owned()
    };
    assert_eq!(negotiated("2025-11-25"), "2025-11-25");
    assert_eq!(negotiated("2025-06-18"), "2025-06-18");
    assert_eq!(negotiated("2024-11-05"), "2025-11-25");
    assert_eq!(negotiated("2026-07-28"), "2025-11-25");
}

#[test]
fn each_era_has_its_methods() {
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "x/y"] {
        let answered = send(modern(method, json!({"level": "info"})));
        assert_eq!((answered.status.as_u16(), answered.code()), (404, -32601), "{method}");
    }
    for method in ["server/discover", "subscriptions/listen", "x/y"] {
        let answered = send(legacy(method, json!({})));
        assert_eq!((answered.status.as_u16(), answered.code()), (200, -32601), "{method}");
    }
    for method in ["ping", "resources/subscribe"] {
        assert_eq!(send(legacy(method, json!({}))).json()["result"], json!({}));
    }
    // A provider without prompts, resources or completions does not have these methods.
    for method in ["prompts/list", "resources/list", "resources/read", "completion/complete"] {
        let answered = send_with(&Once(|| Err(Failure::TimedOut)), &Settings::default(), modern(method, json!({})));
        assert_eq!((answered.status.as_u16(), answered.code()), (404, -32601), "{method}");
    }
}

#[test]
fn versions_in_header_and_body_must_agree() {
    let ask = |header: Option<&str>, body: Option<&str>| {
        let mut request = modern_with("tools/list", json!({}), body);
        request.headers_mut().remove("mcp-protocol-version");
        header.map(|value| request.headers_mut().insert("mcp-protocol-version", value.parse().unwrap()));
        let answered = send(request);
        let code = answered.json().pointer("/error/code").and_then(Value::as_i64);
        (answered.status.as_u16(), code, answered.json())
    };
    let now = Some("2026-07-28");
    assert_eq!(ask(now, now).1, None);
    assert_eq!((ask(now, None).0, ask(now, None).1), (400, Some(-32602)));
    assert_eq!((ask(None, now).0, ask(None, now).1), (400, Some(-32020)));
    assert_eq!((ask(now, Some("1900-01-01")).0, ask(now, Some("1900-01-01")).1), (400, Some(-32020)));
    assert_eq!(ask(None, None).1, None);
    assert_eq!(ask(Some("2025-11-25"), None).1, None);
    let (status, code, json) = ask(Some("1900-01-01"), Some("1900-01-01"));
    assert_eq!((status, code), (400, Some(-32022)));
    let discovered = send(modern("server/discover", json!({}))).json();
    assert_eq!(json["error"]["data"]["supported"], discovered["result"]["supportedVersions"]);
    assert_eq!(json["error"]["data"]["requested"], "1900-01-01");
}

#[test]
fn headers_must_say_what_the_body_says() {
    let ask = |name: &'static str, value: Option<&str>| {
        let mut request = modern("tools/call", json!({"name": "test_header_tool", "arguments": {"region": "Köln"}}));
        request.headers_mut().insert("mcp-param-region", "=?base64?S8O2bG4=?=".parse().unwrap());
        request.headers_mut().remove(name);
        value.map(|value| request.headers_mut().insert(name, value.parse().unwrap()));
        let answered = send(request);
        (answered.status.as_u16(), answered.json().pointer("/error/code").and_then(Value::as_i64))
    };
    let (fine, mismatch) = ((200, None), (400, Some(-32020)));
    assert_eq!(ask("mcp-method", Some("tools/call")), fine);
    assert_eq!(ask("mcp-method", None), mismatch);
    assert_eq!(ask("mcp-method", Some("tools/list")), mismatch);
    assert_eq!(ask("mcp-name", None), mismatch);
    assert_eq!(ask("mcp-name", Some("=?base64?dGVzdF9oZWFkZXJfdG9vbA==?=")), fine);
    assert_eq!(ask("mcp-name", Some("=?base64?dGVzd?=")), mismatch);
    assert_eq!(ask("mcp-param-region", None), mismatch);
    assert_eq!(ask("mcp-param-region", Some("Bonn")), mismatch);
    assert_eq!(ask("mcp-param-region", Some("=?base64?!?=")), mismatch);
    assert_eq!(ask("mcp-param-unknown", Some("x")), fine);
}

#[test]
fn only_modern_results_say_how_long_they_keep() {
    let now = send(modern("tools/list", json!({}))).json()["result"].clone();
    assert_eq!(
        (&now["resultType"], &now["ttlMs"], &now["cacheScope"]),
        (&json!("complete"), &json!(60000), &json!("public"))
    );
    assert_eq!(now["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "conformance");
    let before = send(legacy("tools/list", json!({}))).json()["result"].clone();
    assert_eq!(before.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    let read = send(modern("resources/read", json!({"uri": "test://static-text"}))).json()["result"].clone();
    assert_eq!((&read["ttlMs"], &read["cacheScope"]), (&json!(0), &json!("private")));
    let called = send(modern("tools/call", json!({"name": "test_simple_text"}))).json()["result"].clone();
    assert!(called.get("ttlMs").is_none());
}

#[test]
fn lists_are_whole_and_cursors_are_not_known() {
    for request in [modern, legacy] {
        assert_eq!(send(request("tools/list", json!({"cursor": "x"}))).code(), -32602);
    }
}

#[test]
fn a_resource_that_is_not_there_is_said_in_the_words_of_the_era() {
    let params = json!({"uri": "test://nothing"});
    let (now, before) = (send(modern("resources/read", params.clone())), send(legacy("resources/read", params)));
    assert_eq!((now.code(), before.code()), (-32602, -32002));
    assert_eq!(now.json()["error"]["data"]["uri"], "test://nothing");
}

#[test]
fn a_failed_tool_is_a_result_and_an_unknown_one_an_error() {
    for request in [modern, legacy] {
        let failed = call_once(|| Err(Failure::UpstreamFailed("no answer".to_owned())), request).json();
        assert_eq!(failed["result"]["isError"], true);
        assert_eq!(failed["result"]["content"][0]["text"], "The service behind this failed: no answer");
        assert_eq!(failed["result"]["_meta"]["edge-assistant/failure"], "upstream_failed");
        assert_eq!(call_once(|| Err(Failure::Unknown("it".to_owned())), request).code(), -32602);
    }
}

#[test]
fn arguments_are_an_object_or_missing() {
    for request in [modern, legacy] {
        let null = request("tools/call", json!({"name": "test_simple_text", "arguments": null}));
        assert_eq!(send(null).json()["result"]["isError"], false);
        assert_eq!(send(request("tools/call", json!({"name": "test_simple_text", "arguments": [1]}))).code(), -32602);
    }
}

#[test]
fn structured_results_are_text_as_well_and_objects_before_2026() {
    let list = || Ok(Reply::Done(Outcome { structured: Some(json!([1, 2])), ..Outcome::default() }));
    let (now, before) = (call_once(list, modern).json(), call_once(list, legacy).json());
    assert_eq!(now["result"]["structuredContent"], json!([1, 2]));
    assert!(before["result"].get("structuredContent").is_none());
    assert_eq!(
        (&now["result"]["content"][0]["text"], &before["result"]["content"][0]["text"]),
        (&json!("[1,2]"), &json!("[1,2]"))
    );
    let lists = |request: fn(&str, Value) -> Request<bytes::Bytes>| {
        send_with(&Once(list), &Settings::default(), request("tools/list", json!({}))).json()["result"]["tools"][0]
            .clone()
    };
    assert_eq!(lists(modern)["outputSchema"], json!({"type": "array"}));
    assert!(lists(legacy).get("outputSchema").is_none());
    assert_eq!(lists(legacy)["annotations"], json!({"readOnlyHint": true}));
}

#[test]
fn a_result_that_is_too_large_is_not_sent() {
    let huge = || Ok(Reply::Done(Outcome::text("x".repeat(mcp::MAX_OUTCOME_BYTES))));
    let answered = call_once(huge, modern);
    assert!(answered.body.len() < 1000);
    assert_eq!(answered.json()["result"]["isError"], true);
}

#[test]
fn notices_go_out_as_they_come_if_the_client_takes_events() {
    let working = || {
        let progress = |progress| Notice::Progress { progress, total: None, message: None };
        let log = Notice::Log { level: mcp::LogLevel::Info, logger: None, data: json!("x") };
        let end = Notice::Done(Ok(Outcome::text("done")));
        let notices = [progress(1.0), log, progress(1.0), progress(0.5), progress(2.0), end, progress(3.0)];
        Ok(Reply::Live(Box::pin(futures::stream::iter(notices))))
    };
    let call = |meta: Value, accept: &str| {
        let mut request = modern("tools/call", json!({"name": "it", "_meta": meta}));
        request.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        send_with(&Once(working), &Settings::default(), request)
    };
    let both = "application/json, text/event-stream";
    let asked = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "info"});
    let events = call(asked.clone(), both).events();
    let methods: Vec<_> = events.iter().map(|event| event["method"].as_str().unwrap_or("answer")).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/message", "notifications/progress", "answer"]);
    assert_eq!(events[2]["params"], json!({"progressToken": "p", "progress": 2.0}));
    assert_eq!(events[3]["result"]["content"][0]["text"], "done");
    // The client did not ask for notices.
    assert_eq!(call(json!({}), both).events().len(), 1);
    // The client does not accept events.
    assert_eq!(call(asked, "application/json").json()["result"]["content"][0]["text"], "done");
}

#[test]
fn of_much_progress_the_last_in_a_pause_is_passed_on_and_nothing_else_waits() {
    use futures::{FutureExt as _, StreamExt as _, channel::mpsc, future::LocalBoxFuture};
    let progress = |progress| Notice::Progress { progress, total: None, message: None };
    let (provider, notices) = mpsc::unbounded();
    let say = |notice| provider.unbounded_send(notice).unwrap();
    let (clock, mut ticks) = mpsc::unbounded();
    let pause = || -> LocalBoxFuture<'static, ()> {
        let (end, ended) = futures::channel::oneshot::channel::<()>();
        clock.unbounded_send(end).unwrap();
        ended.map(drop).boxed_local()
    };
    let mut heard = Box::pin(mcp::throttle(notices, pause));
    let mut hear = || match heard.next().now_or_never() {
        None => "nothing".to_owned(),
        Some(Some(Notice::Progress { progress, .. })) => progress.to_string(),
        Some(Some(Notice::Log { .. })) => "log".to_owned(),
        Some(Some(Notice::Done(_) | Notice::Task(_))) => "done".to_owned(),
        Some(None) => "end".to_owned(),
    };
    let mut tick = || drop(ticks.try_recv().unwrap());
    // The first ones are passed on at once, so that each step of a tool with few steps is seen.
    for step in (1..=16_i8).rev().map(|step| -f64::from(step)) {
        say(progress(step));
        assert_eq!(hear(), step.to_string());
    }
    [1.0, 2.0, 4.0, 3.0].map(progress).into_iter().for_each(say);
    assert_eq!([hear(), hear()], ["1", "nothing"]);
    tick();
    assert_eq!([hear(), hear()], ["4", "nothing"]);
    say(Notice::Log { level: mcp::LogLevel::Info, logger: None, data: json!("x") });
    assert_eq!([hear(), hear()], ["log", "nothing"]);
    tick();
    assert_eq!(hear(), "nothing");
    // The pause ended without progress, so the next progress comes at once.
    say(progress(5.0));
    assert_eq!(hear(), "5");
    say(progress(6.0));
    say(Notice::Done(Ok(Outcome::default())));
    assert_eq!(hear(), "done");
}

#[test]
fn a_progress_token_that_every_notice_would_repeat_is_short() {
    for request in [modern, legacy] {
        let call = |bytes| {
            let meta = json!({"progressToken": "p".repeat(bytes)});
            send(request("tools/call", json!({"name": "test_simple_text", "_meta": meta})))
        };
        assert_eq!(call(256).json()["result"]["isError"], false);
        assert_eq!(call(257).code(), -32602);
    }
}

#[test]
fn a_stream_without_an_end_gets_one() {
    let silent = || Ok(Reply::Live(Box::pin(futures::stream::empty())));
    assert_eq!(call_once(silent, modern).events()[0]["result"]["isError"], true);
}

#[test]
fn only_what_the_client_declared_is_asked() {
    let call = |capabilities: Value, tool: &str| {
        let meta = json!({"io.modelcontextprotocol/clientCapabilities": capabilities});
        send(modern("tools/call", json!({"name": tool, "_meta": meta})))
    };
    let two = "test_input_required_result_capabilities";
    let asked = call(json!({"sampling": {}}), two).json()["result"].clone();
    assert_eq!(asked["resultType"], "input_required");
    assert_eq!(asked["inputRequests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["sample_input"]);
    let refused = call(json!({"elicitation": {"url": {}}}), two);
    assert_eq!((refused.status.as_u16(), refused.code()), (400, -32021));
    assert_eq!(refused.json()["error"]["data"]["requiredCapabilities"], json!({"elicitation": {}, "sampling": {}}));
    // Before 2026-07-28 a server cannot ask for input in its response.
    let params = json!({"name": two});
    assert_eq!(send(legacy("tools/call", params)).json()["result"]["isError"], true);
}

#[test]
fn what_cannot_be_asked_of_anybody_fails_the_call_and_is_not_sent() {
    fn asks(requests: Value, state: Option<&str>) -> Result<Reply, Failure> {
        let requests = serde_json::from_value(requests).unwrap();
        Ok(Reply::NeedsInput(InputNeeded { requests, state: state.map(str::to_owned) }))
    }
    let many = || asks((0..17).map(|key| (key.to_string(), json!({"method": "roots/list"}))).collect(), None);
    let long = || asks(json!({"a": {"method": "roots/list", "params": {"x": "x".repeat(20_000)}}}), None);
    for (reply, words) in [
        ((|| asks(json!({}), None)) as fn() -> Result<Reply, Failure>, "neither a request nor a state"),
        (many, "more than 16"),
        (long, "longer than"),
        (|| asks(json!({"a": {"method": "elicitation/create"}}), None), "not a request"),
        (|| asks(json!({"a": {"method": "elicitation/create", "params": "x"}}), None), "not a request"),
        (|| asks(json!({"a": "What?"}), Some("s")), "not a request"),
    ] {
        let answered = call_once(reply, modern);
        assert_eq!(answered.code(), -32603);
        assert!(answered.json()["error"]["message"].as_str().unwrap().contains(words), "{words}");
    }
    let later = call_once(|| asks(json!({}), Some("s")), modern).json()["result"].clone();
    assert_eq!((&later["resultType"], &later["requestState"]), (&json!("input_required"), &json!("s")));
}

#[test]
fn a_subscription_is_acknowledged_and_closed() {
    let events = send(modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))).events();
    assert_eq!(events[0]["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(events[0]["params"]["notifications"], json!({}));
    let key = "io.modelcontextprotocol/subscriptionId";
    assert_eq!((&events[0]["params"]["_meta"][key], &events[1]["result"]["_meta"][key]), (&json!(1), &json!(1)));
}

#[test]
fn contents_are_spelled_as_the_schema_has_them() {
    let resource = mcp::ResourceContents {
        uri: "a:b".to_owned(),
        mime_type: Some("text/plain".to_owned()),
        body: mcp::ResourceBody::Text("x".to_owned()),
    };
    let contents = [
        Content::text("x"),
        Content::Image { data: "eA==".to_owned(), mime_type: "image/png".to_owned() },
        Content::Resource { resource },
        Content::ResourceLink(mcp::Resource { uri: "a:b".to_owned(), name: "b".to_owned(), ..Default::default() }),
    ];
    let expected = json!([
        {"type": "text", "text": "x"},
        {"type": "image", "data": "eA==", "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "a:b", "mimeType": "text/plain", "text": "x"}},
        {"type": "resource_link", "uri": "a:b", "name": "b"}
    ]);
    assert_eq!(serde_json::to_value(&contents).unwrap(), expected);
    let read: Vec<Content> = serde_json::from_value(expected).unwrap();
    assert_eq!(read, contents);
    assert_eq!(
        serde_json::from_value::<Content>(json!({"type": "hologram", "x": 1})).unwrap(),
        Content::Other("hologram".to_owned())
    );
}

#[test]
fn what_clients_of_others_add_changes_nothing() {
    let listed = send(legacy("tools/list", json!({"cursor": ""})));
    assert!(listed.json()["result"]["tools"].as_array().is_some_and(|tools| !tools.is_empty()));
    let listed = send(modern("tools/list", json!({"cursor": null})));
    assert!(listed.json()["result"]["tools"].is_array());
    let marked = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
    assert!(send(post(marked)).json()["result"].is_object());
    assert_eq!(send(legacy("tools/list", json!({"cursor": "x"}))).code(), -32602);
}

#[test]
fn a_result_is_sent_whole_whatever_is_in_it() {
    let odd = Once(|| {
        let content = vec![Content::text("no"), Content::Other("video".to_owned())];
        Ok(Reply::Done(Outcome { content, structured: Some(json!([7])), is_error: true }))
    });
    let call = json!({"name": "t", "arguments": {}});
    let unknown = json!({"type": "text", "text": "[something of the type \"video\" was not understood]"});
    let new = send_with(&odd, &Settings::default(), modern("tools/call", call.clone())).json();
    assert_eq!(new["result"]["content"], json!([{"type": "text", "text": "no"}, unknown]));
    assert_eq!((&new["result"]["structuredContent"], &new["result"]["isError"]), (&json!([7]), &json!(true)));
    // For an older client a structured result must be an object, so it gets this one as text.
    let old = send_with(&odd, &Settings::default(), legacy("tools/call", call)).json();
    assert_eq!(old["result"]["content"][2], json!({"type": "text", "text": "[7]"}));
    assert!(old["result"].get("structuredContent").is_none());
}

proptest::proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::prelude::any::<Vec<u8>>()) {
        send(post(body));
    }

    #[test]
    fn no_params_make_it_panic(
        params in "\\{(\"(name|uri|arguments|_meta|cursor|ref)\": ?(1|null|\\{\\}|\"x\"|\\[\\]),?){0,3}\\}",
        method in "(tools/call|tools/list|initialize|prompts/get|resources/read|completion/complete)",
    ) {
        send(post(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)));
    }
}
