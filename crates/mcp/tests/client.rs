//! Tests the client half against the server half, and against servers that behave in other ways.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::string_slice)]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use conformance_provider::Fixture;
use futures::{StreamExt, executor::block_on, future::pending, stream};
use http::{HeaderMap, Request, Response, StatusCode};
use mcp::{
    Body, BodyStream, CallResult, Client, ClientError, ClientOptions, Content, Cut, Era, Implementation, Input,
    InputHandler, Map, Settings, Tool, Transport, TransportError, respond,
};
use serde_json::{Value, json, value::to_raw_value};

/// The server half, or a server that knows only `initialize`.
struct Wired {
    era: Era,
}

impl Transport for Wired {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        if self.era == Era::Legacy && request.headers().get("mcp-protocol-version").is_some_and(|it| it == "2026-07-28")
        {
            return Ok(answer(400, "application/json", r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000}}"#));
        }
        let response = respond(&Fixture, &Settings::default(), request).await;
        Ok(response.map(|body| -> BodyStream {
            match body {
                Body::Empty => Box::pin(stream::empty()),
                Body::Json(json) => Box::pin(stream::iter([Ok(Bytes::from(json))])),
                Body::Events(events) => Box::pin(events.map(Ok)),
            }
        }))
    }

    async fn sleep(&self, _: Duration) {
        pending().await
    }
}

/// A server whose responses come from a function of method, headers and message.
struct Scripted<F> {
    script: F,
    seen: RefCell<Vec<Value>>,
}

impl<F: Fn(&str, &HeaderMap, &Value) -> Response<BodyStream>> Scripted<F> {
    fn new(script: F) -> Self {
        Self { script, seen: RefCell::default() }
    }

    fn methods(&self) -> Vec<String> {
        self.seen.borrow().iter().map(|message| message["method"].as_str().unwrap_or("answer").to_owned()).collect()
    }
}

impl<F: Fn(&str, &HeaderMap, &Value) -> Response<BodyStream>> Transport for Scripted<F> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let message: Value = serde_json::from_slice(request.body()).unwrap();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let response = (self.script)(&method, request.headers(), &message);
        self.seen.borrow_mut().push(message);
        Ok(response)
    }

    async fn sleep(&self, _: Duration) {
        pending().await
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Response<BodyStream> {
    // Split anywhere, as a network does.
    let chunks: Vec<_> = body.as_bytes().chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body: BodyStream = Box::pin(stream::iter(chunks));
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

fn result(message: &Value, result: &Value) -> Response<BodyStream> {
    let answered = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    answer(200, "application/json", &answered.to_string())
}

fn error(status: u16, message: &Value, code: i64, data: &Value) -> Response<BodyStream> {
    let error = json!({"code": code, "message": "no", "data": data});
    let answered = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
    answer(status, "application/json; charset=utf-8", &answered.to_string())
}

fn discovered(message: &Value) -> Response<BodyStream> {
    result(message, &json!({"supportedVersions": ["2026-07-28"], "capabilities": {}, "resultType": "complete"}))
}

fn options() -> ClientOptions {
    let software = Implementation { name: "test".to_owned(), title: None, version: "1".to_owned() };
    ClientOptions::new(software, 100_000)
}

fn client<T: Transport>(transport: T) -> Client<T> {
    Client::new(transport, "http://localhost/mcp".parse().unwrap(), options())
}

fn call<T: Transport>(client: &Client<T>, tool: &Tool, arguments: &Value) -> Result<CallResult, ClientError> {
    block_on(client.call_tool(tool, &to_raw_value(arguments).unwrap(), Map::new(), None))
}

fn tool(schema: &Value) -> Tool {
    serde_json::from_str(&json!({"name": "it", "inputSchema": schema}).to_string()).unwrap()
}

#[test]
fn the_two_halves_understand_each_other_in_both_eras() {
    for era in [Era::Modern, Era::Legacy] {
        let client = client(Wired { era });
        let listing = block_on(client.list_tools()).unwrap();
        assert_eq!(listing.era, era);
        assert_eq!(listing.server.unwrap().name, "conformance");
        assert_eq!(listing.instructions.as_deref(), Some("Only for tests."));
        assert_eq!(listing.ttl_ms, (era == Era::Modern).then_some(60_000));
        assert_eq!(listing.refused, []);
        let find = |name: &str| listing.tools.iter().find(|tool| tool.name == name).unwrap();
        let header = call(&client, find("test_header_tool"), &json!({"region": " Köln\n"})).unwrap();
        assert!(!header.is_error);
        let steps = Cell::new(0);
        let mut on_progress = |progress: mcp::Progress| {
            assert_eq!(progress.total, Some(100.0));
            steps.set(steps.get() + 1);
        };
        let arguments = to_raw_value(&json!({})).unwrap();
        let progress = find("test_tool_with_progress");
        let done = block_on(client.call_tool(progress, &arguments, Map::new(), Some(&mut on_progress))).unwrap();
        assert_eq!((done.content, steps.get()), (vec![Content::text("Done.")], 3));
        assert!(call(&client, find("test_error_handling"), &json!({})).unwrap().is_error);
        let unknown = Tool { name: "nothing".to_owned(), ..find("test_simple_text").clone() };
        assert!(matches!(call(&client, &unknown, &json!({})), Err(ClientError::Protocol { code: -32602, .. })));
    }
}

#[test]
fn a_server_that_asks_back_is_answered_if_somebody_can() {
    let mut with_input = options();
    with_input.input = Some(InputHandler {
        capabilities: Map::from_iter([("elicitation".to_owned(), json!({}))]),
        answer: Rc::new(|method, params| {
            assert_eq!(method, "elicitation/create");
            let field = params["requestedSchema"]["required"][0].as_str().unwrap();
            Some(json!({"action": "accept", "content": {field: "Ada"}}))
        }),
    });
    let client = Client::new(Wired { era: Era::Modern }, "http://localhost/mcp".parse().unwrap(), with_input);
    let listing = block_on(client.list_tools()).unwrap();
    let find = |name: &str| listing.tools.iter().find(|tool| tool.name == name).unwrap();
    let done = call(&client, find("test_input_required_result_multi_round"), &json!({})).unwrap();
    assert_eq!(done.content, [Content::text("Multi-round complete for Ada who likes Ada")]);
    // A client without input declares no capability, so the server answers at once which one is missing.
    let mute = self::client(Wired { era: Era::Modern });
    let refused = call(&mute, find("test_input_required_result_elicitation"), &json!({}));
    assert!(matches!(refused, Err(ClientError::Protocol { code: -32021, .. })), "{refused:?}");
}

#[test]
fn a_question_that_nobody_can_answer_ends_the_call() {
    let asking = |requests: Value| {
        Scripted::new(move |method, _, message| match method {
            "server/discover" => discovered(message),
            _ => result(message, &json!({"resultType": "input_required", "inputRequests": requests})),
        })
    };
    let question = json!({"a": {"method": "elicitation/create", "params": {}}});
    let refused = call(&client(asking(question)), &tool(&json!({})), &json!({}));
    let Err(ClientError::InputRequired(needed)) = refused else { panic!("{refused:?}") };
    assert_eq!(needed.requests.len(), 1);
}

#[test]
fn a_state_alone_is_sent_back_but_not_for_ever() {
    let stubborn = Scripted::new(|method, _, message| match method {
        "server/discover" => discovered(message),
        _ => result(message, &json!({"resultType": "input_required", "requestState": "s"})),
    });
    let client = client(&stubborn);
    assert!(matches!(call(&client, &tool(&json!({})), &json!({})), Err(ClientError::Malformed(_))));
    let seen = stubborn.seen.borrow();
    assert_eq!(seen.len(), 1 + 8);
    assert!(seen[1]["params"].get("requestState").is_none());
    assert_eq!(seen[2]["params"]["requestState"], "s");
    assert_ne!(seen[1]["id"], seen[2]["id"]);
}

#[test]
fn a_legacy_session_is_kept_and_begun_again_when_it_has_ended() {
    let begun = Cell::new(0);
    let server = Scripted::new(|method, headers, message| {
        let session = headers.get("mcp-session-id").map(|it| it.to_str().unwrap().to_owned());
        match method {
            "server/discover" => error(404, message, -32000, &Value::Null),
            "initialize" => {
                assert!(session.is_none());
                begun.set(begun.get() + 1);
                let info = json!({"name": "old", "version": "1"});
                let initialized = json!({"protocolVersion": "2025-03-26", "capabilities": {}, "serverInfo": info});
                let mut response = result(message, &initialized);
                response.headers_mut().insert("mcp-session-id", format!("s{}", begun.get()).parse().unwrap());
                response
            }
            _ => {
                assert_eq!(headers["mcp-protocol-version"], "2025-03-26");
                match (method, session.as_deref()) {
                    ("notifications/initialized", _) => answer(202, "text/plain", ""),
                    ("tools/list", _) => result(message, &json!({"tools": []})),
                    // The first session ends before any tool is called in it.
                    ("tools/call", Some("s1")) => error(404, message, -32001, &Value::Null),
                    _ => result(message, &json!({"content": []})),
                }
            }
        }
    });
    let client = client(&server);
    assert_eq!(block_on(client.list_tools()).unwrap().era, Era::Legacy);
    assert!(call(&client, &tool(&json!({})), &json!({})).is_ok());
    assert_eq!(begun.get(), 2);
}

#[test]
fn a_version_that_is_not_spoken_is_found_out() {
    let supporting = |versions: Value| {
        Scripted::new(move |method, _, message| match method {
            "server/discover" => error(400, message, -32022, &json!({"supported": versions})),
            _ => error(400, message, -32600, &Value::Null),
        })
    };
    let newer = supporting(json!(["2031-01-01"]));
    let refused = block_on(client(&newer).list_tools()).unwrap_err();
    assert_eq!(refused, ClientError::Version(vec!["2031-01-01".to_owned()]));
    let older = supporting(json!(["2025-06-18"]));
    assert!(block_on(client(&older).list_tools()).is_err());
    assert_eq!(older.methods(), ["server/discover", "initialize"]);
}

#[test]
fn a_server_that_wants_a_login_is_not_taken_for_a_legacy_one() {
    let locked = Scripted::new(|_, _, _| {
        let mut response = answer(401, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-32001}}"#);
        response.headers_mut().insert("www-authenticate", "Bearer".parse().unwrap());
        response
    });
    let refused = block_on(client(&locked).list_tools()).unwrap_err();
    let expected =
        ClientError::Http { status: StatusCode::UNAUTHORIZED, www_authenticate: Some("Bearer".parse().unwrap()) };
    assert_eq!(refused, expected);
    assert_eq!(locked.methods(), ["server/discover"]);
}

#[test]
fn pages_are_followed_to_an_end() {
    let paged = |pages: usize| {
        Scripted::new(move |method, _, message| {
            if method == "server/discover" {
                return discovered(message);
            }
            let page: usize = message["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
            let mut list = json!({"ttlMs": 1000 - page, "cacheScope": "public", "resultType": "complete"});
            list["tools"] = json!([{"name": format!("t{page}"), "inputSchema": {"type": "object"}}]);
            if page + 1 < pages {
                list["nextCursor"] = (page + 1).to_string().into();
            }
            result(message, &list)
        })
    };
    let listing = block_on(client(paged(3)).list_tools()).unwrap();
    assert_eq!(listing.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["t0", "t1", "t2"]);
    assert_eq!(listing.ttl_ms, Some(998));
    let endless = block_on(client(paged(usize::MAX)).list_tools()).unwrap();
    assert_eq!((endless.tools.len(), endless.cut), (32, Some(Cut::Pages)));
}

#[test]
fn definitions_are_kept_as_they_are_and_bad_ones_left_out() {
    let good = r#"{"$ref":"http://localhost/elsewhere",  "type":"object","z":1,"a":12345678901234567890123}"#;
    let schemas = [
        good,
        r#"{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
        r#"{"type":"object","items":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
        r#"{"type":"object","properties":{"x-mcp-header":{"type":"array","default":{"x-mcp-header":1}}}}"#,
    ];
    let definition = |(at, schema): (usize, &&str)| format!(r#"{{"name":"t{at}","inputSchema":{schema}}}"#);
    let tools: Vec<_> = schemas.iter().enumerate().map(definition).collect();
    let list = format!(r#"{{"tools":[{},{{"title":"none"}}]}}"#, tools.join(","));
    let server = Scripted::new(move |method, _, message| match method {
        "server/discover" => discovered(message),
        _ => answer(200, "application/json", &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{list}}}"#, message["id"])),
    });
    let listing = block_on(client(&server).list_tools()).unwrap();
    assert_eq!(listing.tools.iter().map(|tool| tool.input_schema.get()).collect::<Vec<_>>(), [good, schemas[3]]);
    assert_eq!(listing.refused.iter().map(|refused| refused.name.as_str()).collect::<Vec<_>>(), ["t1", "t2", ""]);
}

#[test]
fn arguments_of_nested_objects_are_headers_too() {
    let server = Scripted::new(|method, headers, message| {
        if method == "tools/call" {
            assert_eq!(headers["mcp-param-zone"], "-7");
            assert!(!headers.contains_key("mcp-param-no"));
        }
        if method == "server/discover" { discovered(message) } else { result(message, &json!({"content": []})) }
    });
    let schema = json!({"type": "object", "properties": {
        "at": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}}},
        "no": {"type": ["boolean", "null"], "x-mcp-header": "No"}
    }});
    assert!(call(&client(&server), &tool(&schema), &json!({"at": {"zone": -7.0}, "no": null})).is_ok());
}

#[test]
fn a_call_by_an_old_definition_is_made_again_by_the_new_one() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}});
    let new = schema.clone();
    let server = Scripted::new(move |method, headers, message| match method {
        "server/discover" => discovered(message),
        "tools/list" => result(message, &json!({"tools": [{"name": "it", "inputSchema": new}]})),
        _ if headers.contains_key("mcp-param-a") => result(message, &json!({"content": []})),
        _ => error(400, message, -32020, &Value::Null),
    });
    let (old, arguments) = (tool(&json!({"type": "object"})), json!({"a": "x"}));
    assert!(call(&client(&server), &old, &arguments).is_ok());
    let arguments = to_raw_value(&arguments).unwrap();
    assert!(block_on(client(&server).pass_call(&old, &arguments, Map::new(), &Input::default(), None)).is_ok());
}

#[test]
fn answers_are_read_up_to_a_limit() {
    let long = "x".repeat(200_000);
    for kind in ["application/json", "text/event-stream"] {
        let server = Scripted::new(|method, _, message| match method {
            "server/discover" => discovered(message),
            _ => answer(200, kind, &long),
        });
        assert_eq!(call(&client(&server), &tool(&json!({})), &json!({})), Err(ClientError::TooLarge));
    }
}

#[test]
fn many_notices_do_not_use_up_the_room_of_the_answer_and_have_a_limit_of_their_own() {
    let notice =
        format!("data: {}\n\n", json!({"method": "notifications/progress", "params": {"message": "x".repeat(2000)}}));
    let called = |notices: usize| {
        let server = Scripted::new(|method, _, message| match method {
            "server/discover" => discovered(message),
            _ => {
                let end = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}});
                let end = Bytes::from(format!("data: {end}\n\n"));
                let notices = stream::iter(vec![Bytes::from(notice.clone()); notices]);
                let body: BodyStream = Box::pin(notices.chain(stream::iter([end])).map(Ok));
                Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
            }
        });
        call(&client(&server), &tool(&json!({})), &json!({})).map(|called| called.is_error)
    };
    assert_eq!(called(1_000), Ok(false));
    assert_eq!(called(10_000), Err(ClientError::TooLarge));
}

#[test]
fn an_answer_that_comes_packed_is_read_up_to_the_limit() {
    let packed = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for (text, is_read) in [("hi".to_owned(), true), ("x".repeat(1_000_000), false)] {
        let server = Scripted::new(|method, _, message| match method {
            "server/discover" => discovered(message),
            _ => {
                let content = json!([{"type": "text", "text": text}]);
                let answered = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": content}});
                let chunks: Vec<_> =
                    packed(&answered.to_string()).chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
                let body: BodyStream = Box::pin(stream::iter(chunks));
                let head = Response::builder().header("content-type", "application/json");
                head.header("content-encoding", "gzip").body(body).unwrap()
            }
        });
        assert_eq!(call(&client(&server), &tool(&json!({})), &json!({})).is_ok(), is_read);
    }
}

#[test]
fn a_stream_is_read_up_to_its_answer() {
    let server = Scripted::new(|method, _, message| match method {
        "server/discover" => discovered(message),
        _ => {
            let answered = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}});
            let events = format!(
                ": hello\r\nid: 1\r\ndata:\r\n\r\ndata: alive\r\n\r\ndata: {answered}\r\n\r\ndata: nonsense\r\n\r\n"
            );
            answer(200, "text/event-stream", &events)
        }
    });
    assert!(call(&client(&server), &tool(&json!({})), &json!({})).is_ok());
    let silent = Scripted::new(|method, _, message| match method {
        "server/discover" => discovered(message),
        _ => answer(200, "text/event-stream", ": nothing\n\n"),
    });
    assert!(matches!(call(&client(&silent), &tool(&json!({})), &json!({})), Err(ClientError::Malformed(_))));
}

/// A server that takes one and a half seconds for each request.
struct Slow {
    clock: Rc<Cell<Duration>>,
    seen: RefCell<Vec<String>>,
}

impl Transport for Slow {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        self.clock.set(self.clock.get() + Duration::from_millis(1_500));
        // Lets timers see the new time before the response is there.
        turn().await;
        let message: Value = serde_json::from_slice(request.body()).unwrap();
        let method = message["method"].as_str().unwrap().to_owned();
        let nth = self.seen.borrow().len();
        self.seen.borrow_mut().push(method.clone());
        let tools = json!([{"name": format!("tool_{nth}"), "inputSchema": {"type": "object"}}]);
        Ok(match method.as_str() {
            "server/discover" => discovered(&message),
            _ => result(&message, &json!({"tools": tools, "nextCursor": nth.to_string()})),
        })
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.clock.get() + duration;
        while self.clock.get() < until {
            turn().await;
        }
    }
}

/// Lets other futures run once.
async fn turn() {
    let mut is_over = false;
    futures::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_over, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn the_time_for_later_pages_runs_from_the_beginning() {
    let slow = Slow { clock: Rc::default(), seen: RefCell::default() };
    let listing = block_on(client(&slow).list_tools()).unwrap();
    assert_eq!(*slow.seen.borrow(), ["server/discover", "tools/list"]);
    assert_eq!(slow.clock.get(), Duration::from_millis(4_500), "the third request was let go");
    assert_eq!(listing.tools.len(), 1);
    assert_eq!(listing.cut, Some(Cut::Page { number: 2, cause: TransportError::TimedOut.into() }));
}

#[test]
fn an_address_is_asked_as_it_was_given_with_its_slash_or_without() {
    for address in ["http://localhost/mcp", "http://localhost/mcp/", "http://localhost/", "http://localhost/mcp/?key=1"]
    {
        let asked = RefCell::new(Vec::new());
        struct Noting<'a>(&'a RefCell<Vec<String>>);
        impl Transport for Noting<'_> {
            async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
                self.0.borrow_mut().push(request.uri().to_string());
                let message: Value = serde_json::from_slice(request.body()).unwrap();
                Ok(match message["method"].as_str() {
                    Some("server/discover") => discovered(&message),
                    _ => result(&message, &json!({"tools": []})),
                })
            }

            async fn sleep(&self, _: Duration) {
                pending().await
            }
        }
        block_on(Client::new(Noting(&asked), address.parse().unwrap(), options()).list_tools()).unwrap();
        assert_eq!(*asked.borrow(), [address, address]);
    }
}

#[test]
fn a_schema_is_read_under_either_of_its_names() {
    for name in ["inputSchema", "input_schema"] {
        let server = Scripted::new(|method, _, message| match method {
            "server/discover" => discovered(message),
            _ => result(message, &json!({"tools": [{"name": "it", name: {"type": "object", "required": ["a"]}}]})),
        });
        let listing = block_on(client(&server).list_tools()).unwrap();
        assert_eq!(listing.tools[0].input_schema.get(), r#"{"required":["a"],"type":"object"}"#, "{name}");
    }
}
