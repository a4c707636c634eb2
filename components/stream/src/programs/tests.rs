//! The routes for programs, natively, with providers that answer from a script.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt as _, executor::block_on, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use router_test::{Answer, Fixture, request};
use serde_json::{Value, json};
use storage::{
    limits::{LimitKind, Subject},
    usage::PersonUsage,
};
use web::limits::Rates;

use super::{
    delivery::{Sink, Work},
    upstream::{Opened, Opening, Patience, Unheard},
    *,
};
use crate::router::{
    router,
    tests::{answering, config, scripted},
};

mod accounting;
mod assistants;
mod execution;

/// What a provider sends: status, headers, and its body in pieces. `None` as a piece: the connection breaks.
#[derive(Clone)]
pub(super) struct Sent {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    pieces: Vec<Option<String>>,
}

thread_local! {
    /// What providers answer, one after the other.
    static ANSWERS: RefCell<VecDeque<Sent>> = const { RefCell::new(VecDeque::new()) };
    /// What they were asked: address, headers, body.
    static ASKED: RefCell<Vec<(String, HeaderMap, String)>> = const { RefCell::new(Vec::new()) };
    /// After how many writes the program leaves.
    static LEAVES_AFTER: RefCell<usize> = const { RefCell::new(usize::MAX) };
}

/// Without Spin.
pub(crate) const WAYS: Ways =
    Ways { open: open_scripted, deliver: deliver_at_once, execute: assistants::execute_scripted };

fn open_scripted(request: http::Request<Bytes>, _: Patience) -> Opening {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.to_vec()).unwrap();
    ASKED.with_borrow_mut(|asked| asked.push((head.uri.to_string(), head.headers, body)));
    let sent = ANSWERS.with_borrow_mut(VecDeque::pop_front);
    Box::pin(async move {
        let Sent { status, headers, pieces } = sent.ok_or(Unheard::Silent)?;
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), HeaderValue::from_static(value)));
        let piece = |piece: Option<String>| piece.map(Bytes::from).ok_or(Unheard::Silent);
        Ok(Opened {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: Box::pin(stream::iter(pieces.into_iter().map(piece).collect::<Vec<_>>())),
        })
    })
}

struct Collected {
    bytes: Rc<RefCell<Vec<u8>>>,
    writes_left: usize,
}

impl Sink for Collected {
    fn write(&mut self, bytes: &[u8]) -> bool {
        let is_there = self.writes_left > 0;
        self.writes_left = self.writes_left.saturating_sub(1);
        if is_there {
            self.bytes.borrow_mut().extend_from_slice(bytes);
        }
        is_there
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(true)
    }

    fn break_off(&mut self) {
        self.bytes.borrow_mut().extend_from_slice(b"<broken off>");
    }
}

fn deliver_at_once(mut response: Response, work: Work) -> Response {
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let sink = Collected { bytes: Rc::clone(&bytes), writes_left: LEAVES_AFTER.take() };
    LEAVES_AFTER.set(usize::MAX);
    work(Box::new(sink)).now_or_never().expect("nothing waits");
    *response.body_mut() = Body::from(bytes.take());
    response
}

pub(super) fn answers(sent: impl IntoIterator<Item = Sent>) {
    ANSWERS.set(sent.into_iter().collect());
    ASKED.take();
}

pub(super) fn json_of(status: u16, body: &Value) -> Sent {
    let headers =
        vec![("content-type", "application/json"), ("x-ratelimit-remaining-tokens", "7"), ("retry-after", "3")];
    Sent { status, headers, pieces: vec![Some(body.to_string())] }
}

pub(super) fn events(events: &[&str]) -> Sent {
    let pieces = events.iter().map(|event| Some(format!("data: {event}\n\n")));
    Sent { status: 200, headers: vec![("content-type", "text/event-stream")], pieces: pieces.collect() }
}

pub(super) const WORD: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
pub(super) const END: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
pub(super) const REPORT: &str = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#;

/// A person with a key for models, of an installation whose providers are `default` with `m` and `gpt-*`, and these.
pub(super) struct Test {
    pub(super) fixture: Fixture,
    pub(super) user: domain::User,
    pub(super) key_id: domain::Id,
    pub(super) key: String,
    token: String,
    config: Arc<Config>,
}

impl Test {
    pub(super) fn new(providers: &str) -> Self {
        let fixture = Fixture::default();
        let _ = fixture.person("first@example.org");
        let (user, token) = fixture.person("ada@example.org");
        let (key_id, key) = fixture.api_key(&user, "models:call models:use:*");
        Self { fixture, user, key_id, key, token, config: config(providers, "") }
    }

    pub(super) fn with_rates(mut self, rates: [&str; 3]) -> Self {
        self.config = Arc::new(Config { rates: Rates::parse(rates), ..(*self.config).clone() });
        self
    }

    pub(super) fn send(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let router = router(self.fixture.new_instance(), Arc::clone(&self.config), scripted, WAYS);
        router_test::send(router, request(method, path, key, body))
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(&self.key), Some(&body))
    }

    pub(super) fn chat(&self, body: Value) -> Answer {
        self.post("/v1/chat/completions", body)
    }

    pub(super) fn usage(&self) -> PersonUsage {
        let since = domain::Timestamp::from_millis(0);
        block_on(self.fixture.app.store().usage_of(self.user.id, since)).unwrap().unwrap()
    }

    pub(super) fn budget(&self, subject: Subject, tokens: u64) {
        let limits = [(LimitKind::TokensPerDay, tokens)];
        block_on(self.fixture.app.store().set_limits(&subject, false, &limits)).unwrap();
    }

    /// What is left of the first budget.
    pub(super) fn left(&self) -> u64 {
        block_on(self.fixture.app.store().budgets_of(self.user.id, Some(self.key_id))).unwrap()[0].left
    }
}

pub(super) fn asked() -> Vec<(String, HeaderMap, String)> {
    ASKED.take()
}

fn hi(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

pub(super) fn streaming(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": true})
}

const NEAR: &str = r#"[{"name": "near", "base_url": "http://near.example/v1", "priority": 1, "models": ["gpt-*"]}]"#;

#[test]
fn a_request_goes_to_the_provider_with_its_key_and_the_answer_comes_back_byte_for_byte() {
    let test = Test::new("");
    let answer = json!({"id": "c", "choices": [{"message": {"content": "Hello"}}], "of_tomorrow": 1,
        "usage": {"prompt_tokens": 9, "completion_tokens": 4}});
    answers([json_of(200, &answer)]);
    let mut body = hi("m");
    body["of_tomorrow"] = json!({"x": [1.0]});
    let answered = test.chat(body.clone());
    assert_eq!((answered.status, answered.text), (StatusCode::OK, answer.to_string()));
    assert_eq!(answered.headers[header::CONTENT_TYPE], "application/json");
    let foreign = ["x-ratelimit-remaining-tokens", "retry-after"];
    assert!(foreign.iter().all(|name| !answered.headers.contains_key(*name)), "{:?}", answered.headers);
    let asked = asked();
    let [(address, headers, sent)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((address.as_str(), sent), ("https://own.example/v1/chat/completions", &body.to_string()));
    assert_eq!(headers[header::AUTHORIZATION], "Bearer k", "not the program's");
    assert!(answered.headers.contains_key("ratelimit-policy") || test.config.rates == Rates::default());
    assert!(answered.headers.contains_key("x-request-id"));
}

#[test]
fn a_stream_comes_as_it_was_sent_and_reports_tokens_only_to_those_who_ask() {
    let test = Test::new("");
    answers([events(&[WORD, END, REPORT, "[DONE]"])]);
    let answered = test.chat(streaming("m"));
    assert_eq!(answered.text, format!("data: {WORD}\n\ndata: {END}\n\ndata: [DONE]\n\n"));
    assert_eq!(
        (&answered.headers["content-type"], &answered.headers["x-accel-buffering"]),
        (&HeaderValue::from_static("text/event-stream"), &HeaderValue::from_static("no"))
    );
    assert!(asked()[0].2.contains(r#""stream_options":{"include_usage":true}"#));
    let mut body = streaming("m");
    body["stream_options"] = json!({"include_usage": true});
    answers([events(&[WORD, END, REPORT, "[DONE]"])]);
    assert!(test.chat(body).text.contains(REPORT));
    let programs = test.usage().programs;
    assert_eq!((programs[0].prompt_tokens, programs[0].completion_tokens), (18, 8));
}

#[test]
fn a_server_that_does_not_know_the_field_we_add_is_asked_without_it() {
    let test = Test::new("");
    let refusal = json!({"error": {"message": "Unrecognized request argument: stream_options"}});
    answers([json_of(400, &refusal), events(&[WORD, END, "[DONE]"])]);
    assert_eq!(test.chat(streaming("m")).status, StatusCode::OK);
    let asked: Vec<bool> = asked().iter().map(|(.., body)| body.contains("stream_options")).collect();
    assert_eq!(asked, [true, false]);
    answers([events(&[WORD, END, "[DONE]"])]);
    assert_eq!(test.chat(streaming("m")).status, StatusCode::OK);
    assert!(!self::asked()[0].2.contains("stream_options"), "it is remembered");
    // One that the program sent is its own.
    let mut body = streaming("m");
    body["stream_options"] = json!({"include_usage": true});
    answers([json_of(400, &refusal)]);
    assert_eq!(test.chat(body).json, refusal);
}

#[test]
fn the_next_provider_is_asked_before_the_first_byte_of_an_answer_and_not_after() {
    let test = Test::new(NEAR);
    let broken = Sent { status: 200, headers: vec![], pieces: vec![None] };
    let nothing = Sent { status: 200, headers: vec![], pieces: vec![] };
    let failed = events(&[r#"{"error":{"message":"overloaded"}}"#]);
    for first in [json_of(503, &json!({"error": {}})), json_of(400, &json!({"error": {}})), broken, nothing, failed] {
        answers([first, events(&[WORD, END, "[DONE]"])]);
        let answered = test.chat(streaming("gpt-5"));
        assert!(answered.status == StatusCode::OK && answered.text.contains("Hello"), "{}", answered.text);
        let asked: Vec<String> = asked().into_iter().map(|(address, ..)| address).collect();
        assert_eq!(asked, ["http://near.example/v1/chat/completions", "https://own.example/v1/chat/completions"]);
    }
    let mut breaks_off = events(&[WORD]);
    breaks_off.pieces.push(None);
    answers([breaks_off, events(&[WORD, END])]);
    let answered = test.chat(streaming("gpt-5")).text;
    assert!(answered.starts_with(&format!("data: {WORD}\n\ndata: {{\"error\":")), "{answered}");
    assert!(answered.contains("provider_broke_off") && asked().len() == 1);
    let half = Sent { pieces: vec![Some("{\"choices\":".to_owned()), None], ..json_of(200, &Value::Null) };
    answers([half]);
    assert_eq!(test.chat(hi("m")).text, "{\"choices\":<broken off>");
}

#[test]
fn a_provider_speaks_for_itself_about_the_request_and_never_about_our_key() {
    let test = Test::new("");
    let wrong = json!({"error": {"message": "max_tokens is too large", "type": "invalid_request_error", "param": "max_tokens", "code": null}});
    answers([json_of(400, &wrong)]);
    let refused = test.chat(hi("m"));
    assert_eq!(
        (refused.status.as_u16(), &refused.json, &refused.headers["retry-after"]),
        (400, &wrong, &HeaderValue::from_static("3"))
    );
    answers([json_of(401, &json!({"error": {"message": "Incorrect API key provided: k"}}))]);
    let refused = test.chat(hi("m"));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (502, &json!("provider_key_refused")));
    answers([Sent {
        status: 503,
        headers: vec![("content-type", "text/html")],
        pieces: vec![Some("<html>".to_owned())],
    }]);
    let refused = test.chat(hi("m"));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["type"]), (503, &json!("server_error")));
    answers([]);
    let refused = test.chat(hi("m"));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (504, &json!("provider_silent")));
    answers([json_of(
        429,
        &json!({"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}),
    )]);
    let refused = test.chat(hi("m"));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (502, &json!("provider_account_empty")));
    let far = r#"[{"name": "far", "base_url": "http://far.example/v1", "models": ["x"]}]"#;
    let mut test = Test::new("");
    test.config = config(far, r#"{"far": "planted-key-1"}"#);
    answers([json_of(403, &json!({"error": {"message": "planted-key-1 may not"}}))]);
    let refused = test.chat(hi("x"));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["message"]), (403, &json!("[secret] may not")));
}

#[test]
fn a_provider_whose_api_is_the_requests_is_asked_first() {
    let both = r#"[{"name": "chats", "base_url": "http://chats.example/v1", "models": ["x"]},
        {"name": "responds", "base_url": "http://responds.example/v1", "dialect": "responses", "models": ["x"]}]"#;
    let test = Test::new(both);
    for (path, first) in [("chat/completions", "chats"), ("responses", "responds")] {
        answers([json_of(200, &json!({"output": [], "usage": {"input_tokens": 3, "output_tokens": 2}}))]);
        let answered = test.post(&format!("/v1/{path}"), json!({"model": "x", "input": "hi"}));
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
        let asked = asked();
        assert_eq!(asked[0].0, format!("http://{first}.example/v1/{path}"));
        assert_eq!(asked[0].2.contains(r#""store":false"#), path == "responses");
    }
    answers([json_of(404, &json!({"detail": "Not Found"})), json_of(404, &json!({"detail": "Not Found"}))]);
    let test = Test::new("");
    let refused = test.post("/v1/responses", json!({"model": "m", "input": "hi"}));
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (400, &json!("api_not_offered")));
    let kept = test.post("/v1/responses", json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"}));
    assert_eq!((kept.status.as_u16(), &kept.json["error"]["param"]), (400, &json!("previous_response_id")));
}

#[test]
fn models_are_those_that_the_keys_person_may_use() {
    answering(&[("https://own.example/v1/models", 200, json!({"data": [{"id": "gpt-5"}]}))]);
    let test = Test::new(r#"[{"name": "near", "base_url": "http://near.example/v1", "models": ["org/llama"]}]"#);
    let list = test.send(Method::GET, "/v1/models", Some(&test.key), None);
    let model = |id: &str, owner: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": owner});
    let all = [model("m", "default"), model("gpt-5", "default"), model("org/llama", "near")];
    assert_eq!(list.json, json!({"object": "list", "data": all}));
    let one = |key: &str, id: &str| test.send(Method::GET, &format!("/v1/models/{id}"), Some(key), None);
    assert_eq!(one(&test.key, "org/llama").json, model("org/llama", "near"));
    let unknown = one(&test.key, "nobody/has");
    assert_eq!((unknown.status.as_u16(), &unknown.json["error"]["code"]), (404, &json!("model_not_found")));
    let (_, narrow) = test.fixture.api_key(&test.user, "models:call models:use:org/*");
    let list = test.send(Method::GET, "/v1/models", Some(&narrow), None);
    assert_eq!(list.json["data"], json!([model("org/llama", "near")]));
    assert_eq!((one(&narrow, "m").status.as_u16(), one(&narrow, "org/llama").status.as_u16()), (404, 200));
}

#[test]
fn whoever_may_not_is_told_in_the_form_that_clients_read() {
    let test = Test::new("");
    let error =
        |answer: Answer| (answer.status.as_u16(), answer.json["error"]["code"].as_str().unwrap_or_default().to_owned());
    let with = |key: Option<&str>| error(test.send(Method::POST, "/v1/chat/completions", key, Some(&hi("m"))));
    answers([]);
    assert_eq!(with(None), (401, "invalid_api_key".to_owned()));
    let stranger = test.send(Method::GET, "/v1/models", Some("sk-of-somebody-else"), None);
    assert!(stranger.json["error"]["message"].as_str().unwrap().contains("API key of this installation"));
    assert_eq!(with(Some("eak_wrong")), (401, "invalid_api_key".to_owned()));
    let (_, narrow) = test.fixture.api_key(&test.user, "conversations:read models:use:*");
    assert_eq!(with(Some(&narrow)), (403, "insufficient_scope".to_owned()));
    let (_, other_model) = test.fixture.api_key(&test.user, "models:call models:use:gpt-*");
    assert_eq!(with(Some(&other_model)), (403, "insufficient_scope".to_owned()));
    assert_eq!(error(test.chat(hi("unknown"))), (404, "model_not_found".to_owned()));
    assert_eq!(error(test.chat(json!({"messages": []}))), (400, "invalid_request".to_owned()));
    assert_eq!(asked().len(), 0, "nobody was asked");
    assert_eq!(test.usage().model_requests, 0);
    // A session does, too.
    answers([events(&[WORD, END, REPORT])]);
    let answered = test.send(Method::POST, "/v1/chat/completions", Some(&test.token), Some(&streaming("m")));
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
}
