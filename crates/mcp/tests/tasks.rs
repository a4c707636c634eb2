//! Tests calls that become tasks: both halves together in both revisions, and the response to one POST request.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod fixture;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use fixture::{Answered, legacy, modern, send_with};
use futures::{StreamExt, executor::block_on, future::pending, stream};
use http::{Request, Response, StatusCode};
use mcp::{
    Body, BodyStream, CallAnswer, Client, ClientError, ClientOptions, Description, Era, Failure, Implementation, Map,
    Outcome, Provider, Reply, Settings, Task, TaskState, TaskSupport, Tasks, ToolCall, Transport, TransportError,
    respond,
};
use serde_json::{Value, json, value::to_raw_value};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A server whose calls can become a task, which has ended when it is asked about for the third time.
#[derive(Default)]
struct Jobs {
    asked: Cell<u32>,
    cancelled: Cell<bool>,
    updated: RefCell<Map>,
    end: Option<TaskState>,
}

impl Jobs {
    fn now(&self, state: TaskState) -> Task {
        let message = Some(format!("step {}", self.asked.get()));
        let (created_at, updated_at) = ("2026-07-28T12:00:00Z".to_owned(), "2026-07-28T12:00:01Z".to_owned());
        let (ttl, poll) = (Some(Duration::from_secs(60)), Duration::from_secs(2));
        Task { id: "t1".to_owned(), state, message, created_at, updated_at, ttl, poll, session: None }
    }
}

impl Provider for Jobs {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        let tool = |name: &str, support: &str| {
            let tool = json!({"name": name, "inputSchema": {"type": "object"}, "execution": {"taskSupport": support}});
            serde_json::from_value(tool).unwrap()
        };
        let tools = vec![tool("report", "optional"), tool("only", "required"), tool("plain", "forbidden")];
        Ok(Rc::new(Description { tools, has_tasks: true, ..Description::default() }))
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        match call.name.as_str() {
            "plain" => Ok(Reply::Done(Outcome::text("plain"))),
            _ if call.context.takes_task => Ok(Reply::Task(self.now(TaskState::Working))),
            "only" => Err(Failure::OnlyAsTask),
            _ => Ok(Reply::Done(Outcome::text("at once"))),
        }
    }

    async fn task(&self, id: &str) -> Result<Task, Failure> {
        if id != "t1" {
            return Err(Failure::Unknown(id.to_owned()));
        }
        self.asked.set(self.asked.get() + 1);
        let end = || self.end.clone().unwrap_or_else(|| TaskState::Completed(Outcome::text("the report")));
        Ok(self.now(match self.asked.get() {
            _ if self.cancelled.get() => TaskState::Cancelled,
            1 | 2 => TaskState::Working,
            _ => end(),
        }))
    }

    async fn update_task(&self, id: &str, responses: Map) -> Result<(), Failure> {
        *self.updated.borrow_mut() = responses;
        if id == "t1" { Ok(()) } else { Err(Failure::Unknown(id.to_owned())) }
    }

    async fn cancel_task(&self, id: &str) -> Result<(), Failure> {
        self.cancelled.set(true);
        if id == "t1" { Ok(()) } else { Err(Failure::Unknown(id.to_owned())) }
    }
}

/// The connection to the server. A legacy one refuses the newer revision.
struct Wired<'a>(&'a Jobs, Era);

impl Transport for Wired<'_> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        if self.1 == Era::Legacy && request.headers().get("mcp-protocol-version").is_some_and(|it| it == "2026-07-28") {
            let body: BodyStream = Box::pin(stream::empty());
            return Ok(Response::builder().status(400).body(body).unwrap());
        }
        let response = respond(self.0, &Settings::default(), request).await;
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

fn client(jobs: &Jobs, era: Era) -> Client<Wired<'_>> {
    let options = ClientOptions::new(Implementation::default(), 1_000_000);
    Client::new(Wired(jobs, era), "http://localhost/mcp".parse().unwrap(), options)
}

fn call(client: &Client<Wired<'_>>, name: &str, tasks: Tasks) -> Result<CallAnswer, ClientError> {
    let listing = block_on(client.list_tools()).unwrap();
    let mut tool = listing.tools.into_iter().find(|tool| tool.name == name).unwrap();
    // Listings of 2026-07-28 do not have this, but a caller may know it from the other revision.
    if name == "only" {
        tool.execution.task_support = TaskSupport::Required;
    }
    let arguments = to_raw_value(&json!({})).unwrap();
    block_on(client.call_tool_or_task(&tool, &arguments, Map::new(), None, tasks))
}

#[test]
fn a_task_is_asked_about_until_it_has_a_result_in_both_revisions() {
    for era in [Era::Modern, Era::Legacy] {
        let jobs = Jobs::default();
        let client = client(&jobs, era);
        let CallAnswer::Task(task) = call(&client, "report", Tasks::Wanted).unwrap() else { panic!("no task") };
        assert_eq!((task.id.as_str(), &task.state), ("t1", &TaskState::Working));
        assert_eq!((task.ttl, task.poll), (Some(Duration::from_secs(60)), Duration::from_secs(2)));
        let working = block_on(client.task("t1", None)).unwrap();
        assert_eq!((working.state, working.message.as_deref()), (TaskState::Working, Some("step 1")));
        assert_eq!(block_on(client.task("t1", None)).unwrap().state, TaskState::Working);
        let ended = block_on(client.task("t1", None)).unwrap();
        assert_eq!(ended.state, TaskState::Completed(Outcome::text("the report")), "{era:?}");
        let unknown = block_on(client.task("t2", None)).unwrap_err();
        assert!(matches!(unknown, ClientError::Protocol { code: -32602, .. }), "{unknown}");
    }
}

#[test]
fn a_task_that_failed_says_how_and_one_that_is_stopped_is_cancelled() {
    for era in [Era::Modern, Era::Legacy] {
        let failed = TaskState::Failed { code: -32050, message: "it broke".to_owned() };
        let jobs = Jobs { end: Some(failed.clone()), asked: Cell::new(2), ..Jobs::default() };
        assert_eq!(block_on(client(&jobs, era).task("t1", None)).unwrap().state, failed, "{era:?}");
        let jobs = Jobs::default();
        let client = client(&jobs, era);
        block_on(client.cancel_task("t1", None)).unwrap();
        assert!(jobs.cancelled.get());
        assert_eq!(block_on(client.task("t1", None)).unwrap().state, TaskState::Cancelled, "{era:?}");
    }
}

#[test]
fn what_becomes_a_task_is_what_the_caller_wants_as_far_as_the_revision_lets_it() {
    let is_task = |era, name, tasks| {
        let jobs = Jobs::default();
        call(&client(&jobs, era), name, tasks).map(|answer| matches!(answer, CallAnswer::Task(_)))
    };
    for (era, name, tasks, expected) in [
        // The server decides, if the client understands tasks.
        (Era::Modern, "report", Tasks::IfNeeded, true),
        (Era::Modern, "report", Tasks::Never, false),
        // The client decides, and must ask for a task if the tool requires one.
        (Era::Legacy, "report", Tasks::Wanted, true),
        (Era::Legacy, "report", Tasks::IfNeeded, false),
        (Era::Legacy, "only", Tasks::IfNeeded, true),
        (Era::Legacy, "plain", Tasks::Wanted, false),
    ] {
        assert_eq!(is_task(era, name, tasks), Ok(expected), "{era:?} {name} {tasks:?}");
    }
    let refused = is_task(Era::Modern, "only", Tasks::Never).unwrap_err();
    assert!(matches!(refused, ClientError::Protocol { code: -32021, .. }), "{refused}");
}

fn ask(request: Request<Bytes>) -> Answered {
    send_with(&Jobs::default(), &Settings::default(), request)
}

/// A request of 2026-07-28 about a task, from a client that declares that it understands tasks or not.
fn about(method: &str, mut params: Value, declares: bool) -> Request<Bytes> {
    if declares {
        params["_meta"] = json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}}});
    }
    let id = params["taskId"].as_str().unwrap_or_default().to_owned();
    let mut request = modern(method, params);
    request.headers_mut().insert("mcp-name", id.parse().unwrap());
    request
}

#[test]
fn each_revision_says_in_its_own_place_that_there_are_tasks() {
    let discovered = ask(modern("server/discover", json!({}))).json()["result"]["capabilities"].take();
    assert!(discovered["extensions"][EXTENSION].is_object() && discovered["tasks"].is_null(), "{discovered}");
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let initialized = ask(legacy("initialize", hello)).json()["result"]["capabilities"].take();
    assert!(initialized["tasks"]["requests"]["tools"]["call"].is_object() && initialized["extensions"].is_null());
    let listed = |request| ask(request).json()["result"]["tools"][1]["execution"].take();
    assert_eq!(listed(legacy("tools/list", json!({}))), json!({"taskSupport": "required"}));
    assert_eq!(listed(modern("tools/list", json!({}))), Value::Null);
}

#[test]
fn whoever_does_not_say_that_they_understand_tasks_gets_none() {
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let refused = ask(about(method, json!({"taskId": "t1", "inputResponses": {}}), false));
        assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, -32021), "{method}");
        assert!(refused.json()["error"]["data"]["requiredCapabilities"]["extensions"][EXTENSION].is_object());
    }
    let called = ask(modern("tools/call", json!({"name": "report", "task": {"ttl": 1}}))).json();
    assert_eq!(called["result"]["resultType"], "complete", "the wish of the older revision means nothing");
    let refused = ask(legacy("tools/call", json!({"name": "only"})));
    assert_eq!(refused.code(), -32601);
    assert_eq!(ask(legacy("tools/call", json!({"name": "plain", "task": {}}))).code(), -32601);
}

#[test]
fn methods_of_the_other_revision_are_unknown_and_so_are_tasks_that_do_not_exist() {
    for method in ["tasks/result", "tasks/list"] {
        assert_eq!(ask(about(method, json!({"taskId": "t1"}), true)).code(), -32601, "{method}");
    }
    assert_eq!(ask(legacy("tasks/update", json!({"taskId": "t1", "inputResponses": {}}))).code(), -32601);
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        assert_eq!(ask(about(method, json!({"taskId": "t2", "inputResponses": {}}), true)).code(), -32602, "{method}");
        assert_eq!(ask(about(method, json!({"inputResponses": {}}), true)).code(), -32602, "{method}");
    }
    let mut request = about("tasks/get", json!({"taskId": "t1"}), true);
    request.headers_mut().insert("mcp-name", "t2".parse().unwrap());
    assert_eq!(ask(request).code(), -32020);
}

#[test]
fn acknowledgements_are_empty_and_answers_reach_the_task() {
    let jobs = Jobs::default();
    let responses = json!({"name": {"action": "accept", "content": {}}});
    let params = json!({"taskId": "t1", "inputResponses": responses});
    let updated = send_with(&jobs, &Settings::default(), about("tasks/update", params, true)).json();
    let cancelled = send_with(&jobs, &Settings::default(), about("tasks/cancel", json!({"taskId": "t1"}), true)).json();
    for acknowledged in [updated, cancelled] {
        let mut result = acknowledged["result"].as_object().unwrap().clone();
        result.remove("_meta");
        assert_eq!(Value::Object(result), json!({"resultType": "complete"}));
    }
    assert_eq!(Value::Object(jobs.updated.take()), responses);
    let again = send_with(&jobs, &Settings::default(), legacy("tasks/cancel", json!({"taskId": "t1"})));
    assert_eq!(again.code(), -32602, "2025-11-25 does not cancel what has ended");
}

#[test]
fn the_result_of_a_task_says_in_the_older_revision_whose_it_is() {
    let jobs = Jobs { asked: Cell::new(2), ..Jobs::default() };
    let result = send_with(&jobs, &Settings::default(), legacy("tasks/result", json!({"taskId": "t1"}))).json();
    assert_eq!(result["result"]["content"][0]["text"], "the report");
    assert_eq!(result["result"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"], "t1");
    let early = ask(legacy("tasks/result", json!({"taskId": "t1"}))).json();
    assert!(early["error"]["message"].as_str().unwrap().contains("not ended"), "{early}");
}

/// A server of 2025-11-25 that keeps sessions and knows a task only in the session in which it was made.
#[derive(Default)]
struct Keeping {
    sessions: Cell<u32>,
    seen: RefCell<Vec<String>>,
    /// Keeps no sessions instead, and knows its tasks everywhere.
    is_stateless: bool,
    /// The status of its tasks.
    status: Option<&'static str>,
}

impl Transport for &Keeping {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let session = request.headers().get("mcp-session-id").and_then(|it| it.to_str().ok()).unwrap_or("none");
        let method = message["method"].as_str().unwrap_or(request.method().as_str());
        self.seen.borrow_mut().push(format!("{method} {session}"));
        let task = json!({"taskId": "t1", "status": self.status.unwrap_or("working"), "pollInterval": 1_000});
        let result = match method {
            "initialize" => {
                self.sessions.set(self.sessions.get() + 1);
                json!({"protocolVersion": "2025-11-25", "capabilities": {"tasks": {"requests": {"tools": {"call": {}}}}}})
            }
            "tools/list" => json!({"tools": [{"name": "report", "execution": {"taskSupport": "required"}}]}),
            "tools/call" if message["params"]["task"].is_object() => json!({"task": task}),
            "tasks/get" if session == "s1" || self.is_stateless => task,
            "tasks/get" | "tasks/result" => Value::Null,
            _ => json!({}),
        };
        let mut answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        if result.is_null() || method == "server/discover" {
            let code = match method {
                "tasks/get" => -32602,
                "tasks/result" => -32603,
                _ => -32601,
            };
            let error = json!({"code": code, "message": "no"});
            answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
        }
        let body: BodyStream = Box::pin(stream::iter([Ok(Bytes::from(answer.to_string()))]));
        let mut response = Response::builder();
        if !self.is_stateless {
            response = response.header("mcp-session-id", format!("s{}", self.sessions.get()));
        }
        Ok(response.body(body).unwrap())
    }

    async fn sleep(&self, _: Duration) {
        pending().await
    }
}

fn client_of(server: &Keeping) -> Client<&Keeping> {
    let options = ClientOptions::new(Implementation::default(), 1_000_000);
    Client::new(server, "http://localhost/mcp".parse().unwrap(), options)
}

/// Makes a call that becomes a task.
fn made(client: &Client<&Keeping>) -> mcp::Task {
    let tool = block_on(client.list_tools()).unwrap().tools.remove(0);
    let arguments = to_raw_value(&json!({})).unwrap();
    let called = block_on(client.call_tool_or_task(&tool, &arguments, Map::new(), None, Tasks::Wanted)).unwrap();
    let CallAnswer::Task(task) = called else { panic!("no task") };
    task
}

#[test]
fn a_question_about_a_task_needs_no_greeting() {
    let server = Keeping { is_stateless: true, ..Keeping::default() };
    let task = made(&client_of(&server));
    server.seen.borrow_mut().clear();
    assert_eq!(block_on(client_of(&server).task("t1", task.session.as_deref())).unwrap().state, TaskState::Working);
    assert_eq!(server.seen.take(), ["tasks/get none"]);
}

#[test]
fn a_result_that_cannot_be_had_now_is_no_failure_of_its_task() {
    let server = Keeping::default();
    let task = made(&client_of(&server));
    let asked = |status| {
        let server = Keeping { status: Some(status), sessions: Cell::new(1), ..Keeping::default() };
        block_on(client_of(&server).task("t1", task.session.as_deref())).map(|task| task.state)
    };
    assert!(matches!(asked("completed"), Err(mcp::ClientError::Protocol { code: -32603, .. })));
    assert!(matches!(asked("failed"), Ok(TaskState::Failed { code: -32603, .. })));
}

#[test]
fn a_task_is_asked_about_in_the_session_in_which_it_was_made_which_is_not_ended() {
    let server = Keeping::default();
    let first = client_of(&server);
    let task = made(&first);
    block_on(first.close());
    assert!(!server.seen.borrow().iter().any(|seen| seen.starts_with("DELETE")), "{:?}", server.seen.borrow());
    // Another instance, much later.
    let later = client_of(&server);
    assert_eq!(block_on(later.task("t1", task.session.as_deref())).unwrap().state, TaskState::Working);
    assert_eq!(server.seen.borrow().last().map(String::as_str), Some("tasks/get s1"));
    assert_eq!(server.sessions.get(), 1);
    let elsewhere = client_of(&server);
    assert!(block_on(elsewhere.task("t1", None)).is_err(), "in a session of its own it is not known");
}
