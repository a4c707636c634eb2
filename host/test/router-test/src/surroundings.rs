//! The world outside a component: scripted tool servers, and paused time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::pending,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use cache::Clock;
use domain::Id;
use futures::{StreamExt as _, stream};
use http::{HeaderValue, Request, Response, header};
use mcp::{
    Answer, Body, BodyStream, Completion, CompletionRequest, Content, Context, Description, Failure, Features,
    InputNeeded, Map, Notice, Outcome, PromptContent, PromptMessage, Provider, Reply, ResourceBody, ResourceContents,
    Role, Settings, Task, TaskState, Tool, ToolCall, Transport, TransportError, respond,
};
use serde_json::{Value, json};
use tokio::{
    task::{LocalSet, spawn_local},
    time::Instant,
};

use crate::AuthorizationServer;

/// A scripted tool server.
#[derive(Clone, Default, Debug)]
pub struct ToolServer {
    /// Its tools, as the protocol writes them.
    pub tools: Vec<Value>,
    /// How long it says that its list is valid.
    pub ttl_ms: Option<u64>,
    /// How long its answer takes. `None`: for ever.
    pub takes: Option<Duration>,
    /// Why it cannot be reached.
    pub fault: Option<TransportError>,
    /// The message with which every call fails, if it is to fail.
    pub not_configured: Option<&'static str>,
    /// What it has besides tools. Everything of it says by which name or URI it was asked for, and with what in `_meta`.
    pub features: Features,
    /// Whether calls and prompts ask the caller for a name first, with the state `asked`.
    pub asks: bool,
    /// How often a call tells how far it is, each time in very many words and [`TELLS_EVERY`], before it ends.
    pub tells: u32,
    /// How often a call that has become a task is asked about until it has ended. `None`: none becomes one.
    pub lasts: Option<u32>,
    /// What was asked of its task; the same for all clones.
    pub task: Rc<ScriptedTask>,
    /// Whether it knows nothing of the revision 2026-07-28.
    pub is_legacy: bool,
    /// Who makes the tokens without which it answers nothing.
    pub guard: Option<AuthorizationServer>,
}

/// What was asked of a server's task.
#[derive(Default, Debug)]
pub struct ScriptedTask {
    /// How often it was asked about.
    pub asked: Cell<u32>,
    /// Whether it was to be stopped.
    pub is_stopped: Cell<bool>,
}

impl ToolServer {
    /// A quick server with these tools, which take no arguments.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
        Self { tools: names.iter().map(tool).collect(), takes: Some(Duration::from_millis(20)), ..Self::default() }
    }

    /// What the caller is asked, if it has not answered.
    fn asked(&self, context: &Context) -> Result<Option<InputNeeded>, Failure> {
        if !self.asks {
            return Ok(None);
        }
        match (context.request_state.as_deref(), context.input_responses.get("name")) {
            (Some("asked"), Some(_)) => Ok(None),
            (None, None) => {
                let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
                let params = json!({ "mode": "form", "message": "What is your name?", "requestedSchema": schema });
                let request = json!({ "method": "elicitation/create", "params": params });
                let requests = Map::from_iter([("name".to_owned(), request)]);
                Ok(Some(InputNeeded { requests, state: Some("asked".to_owned()) }))
            }
            (state, _) => Err(Failure::InvalidState(format!("{state:?}"))),
        }
    }
}

impl Provider for ToolServer {
    async fn describe(&self) -> Result<Rc<Description>, Failure> {
        let tools: Vec<Tool> =
            self.tools.iter().map(|tool| serde_json::from_value(tool.clone()).expect("a tool")).collect();
        let Features { instructions, resources, templates, prompts, has_completions } = self.features.clone();
        Ok(Rc::new(Description {
            name: "scripted".into(),
            tools,
            has_tasks: self.lasts.is_some(),
            ttl_ms: self.ttl_ms,
            instructions,
            resources,
            templates,
            prompts,
            has_completions,
            tells_features: true,
            ..Description::default()
        }))
    }

    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        if uri.ends_with("/nothing") {
            return Err(Failure::Unknown(uri.to_owned()));
        }
        let body = ResourceBody::Text(format!("{uri} {}", Value::Object(context.meta)));
        Ok(Answer::Done(vec![ResourceContents { uri: uri.to_owned(), mime_type: None, body }]))
    }

    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        if let Some(needed) = self.asked(&context)? {
            return Ok(Answer::NeedsInput(needed));
        }
        let (arguments, meta) = (Value::Object(arguments), Value::Object(context.meta));
        let content = Content::text(format!("{name} {arguments} {meta}"));
        let messages = vec![PromptMessage { role: Role::User, content }];
        Ok(Answer::Done(PromptContent { description: None, messages }))
    }

    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let others = Value::Object(request.others);
        let values = vec![format!("{:?} {} {} {others}", request.reference, request.argument, request.value)];
        Ok(Completion { values, ..Completion::default() })
    }

    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure> {
        if let Some(words) = self.not_configured {
            return Err(Failure::NotConfigured(words.to_owned()));
        }
        if let Some(needed) = self.asked(&call.context)? {
            return Ok(Reply::NeedsInput(needed));
        }
        if self.lasts.is_some() {
            let task = self.now(TaskState::Working);
            return if call.context.takes_task { Ok(Reply::Task(task)) } else { Err(Failure::OnlyAsTask) };
        }
        let meta = Value::Object(call.context.meta).to_string();
        let outcome = Outcome::text(format!("{} {} {meta}", call.name, call.arguments));
        if self.tells == 0 {
            return Ok(Reply::Done(outcome));
        }
        let total = Some(f64::from(self.tells));
        let told = stream::iter(0..self.tells).then(move |done| {
            let message = Some(format!("\u{1b}{done} {meta}{}", "x".repeat(10_000)));
            async move {
                tokio::time::sleep(TELLS_EVERY).await;
                Notice::Progress { progress: f64::from(done), total, message }
            }
        });
        Ok(Reply::Live(Box::pin(told.chain(stream::iter([Notice::Done(Ok(outcome))])))))
    }

    async fn task(&self, id: &str) -> Result<Task, Failure> {
        if id != TASK_ID {
            return Err(Failure::Unknown(id.to_owned()));
        }
        let asked = self.task.asked.replace(self.task.asked.get() + 1) + 1;
        Ok(self.now(match self.lasts {
            _ if self.task.is_stopped.get() => TaskState::Cancelled,
            Some(lasts) if asked >= lasts => TaskState::Completed(Outcome::text("the report")),
            _ => TaskState::Working,
        }))
    }

    async fn cancel_task(&self, _: &str) -> Result<(), Failure> {
        self.task.is_stopped.set(true);
        Ok(())
    }
}

/// The only task of a server.
const TASK_ID: &str = "t1";

impl ToolServer {
    fn now(&self, state: TaskState) -> Task {
        let message = Some(format!("step {}", self.task.asked.get()));
        let time = "2026-07-28T12:00:00Z".to_owned();
        let (id, ttl, poll) = (TASK_ID.to_owned(), Some(Duration::from_secs(3_600)), Duration::from_secs(1));
        Task { id, state, message, created_at: time.clone(), updated_at: time, ttl, poll, session: None }
    }
}

/// The time between two progress messages of a tool: shorter than any client needs.
const TELLS_EVERY: Duration = Duration::from_millis(10);

/// Everything outside a component. Clones share it.
#[derive(Clone)]
pub struct Surroundings(Rc<Inside>);

struct Inside {
    started: Instant,
    servers: RefCell<BTreeMap<String, ToolServer>>,
    authorities: RefCell<BTreeMap<String, AuthorizationServer>>,
    pages: RefCell<BTreeMap<String, (u16, Bytes)>>,
    asked: RefCell<Vec<String>>,
    proofs: RefCell<Vec<String>>,
    logged: RefCell<String>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Runs a test on paused time: time passes only when all tasks wait.
pub fn paused<F: Future<Output = ()>>(test: impl FnOnce(Surroundings) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&runtime.expect("a runtime can be made"), async {
        let inside = Inside {
            started: Instant::now(),
            servers: RefCell::default(),
            authorities: RefCell::default(),
            pages: RefCell::default(),
            asked: RefCell::default(),
            proofs: RefCell::default(),
            logged: RefCell::default(),
        };
        test(Surroundings(Rc::new(inside))).await;
    });
}

impl Surroundings {
    /// Puts a server at a host's name.
    pub fn set(&self, host: &str, server: ToolServer) {
        self.0.servers.borrow_mut().insert(host.to_owned(), server);
    }

    /// Puts an authorization server at a host's name.
    pub fn set_authority(&self, host: &str, server: AuthorizationServer) {
        self.0.authorities.borrow_mut().insert(host.to_owned(), server);
    }

    /// Puts an answer at an address without its scheme, for whoever shows a proof if it is within the installation.
    pub fn set_page(&self, address: &str, status: u16, body: impl Into<Bytes>) {
        self.0.pages.borrow_mut().insert(address.to_owned(), (status, body.into()));
    }

    /// What was proven to servers of the installation since the last time: to which, for whom (an id or `nobody`), in which run or request.
    #[must_use]
    pub fn proofs(&self) -> Vec<String> {
        self.0.proofs.take()
    }

    /// The requests since the last time: host and method, in order.
    pub fn asked(&self) -> Vec<String> {
        self.0.asked.take()
    }

    /// The messages to the operator.
    #[must_use]
    pub fn logged(&self) -> String {
        self.0.logged.borrow().clone()
    }
}

impl Clock for Surroundings {
    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }
}

impl Transport for Surroundings {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let method = message.get("method").and_then(Value::as_str).unwrap_or(request.method().as_str()).to_owned();
        self.0.asked.borrow_mut().push(format!("{host} {method}"));
        let authority = self.0.authorities.borrow().get(&host).cloned();
        if let Some(authority) = authority {
            return Ok(authority.answer(&request).map(whole));
        }
        let page = self.0.pages.borrow().get(&format!("{host}{}", request.uri().path())).cloned();
        let server = self.0.servers.borrow().get(&host).cloned();
        if page.is_none() && server.is_none() {
            return Err(TransportError::NoName(host));
        }
        if let Some(component) = host.strip_suffix(".spin.internal") {
            let proof = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let proof = proof.and_then(|proof| proof.strip_prefix(&format!("Bearer {component} "))).unwrap_or_default();
            self.0.proofs.borrow_mut().push(format!("{component} {proof}"));
            if proof.is_empty() {
                let refused = Response::builder().status(401).body(whole(Bytes::new()));
                return refused.map_err(|error| TransportError::Connection(error.to_string()));
            }
        }
        if let Some((status, body)) = page {
            let answer = Response::builder().status(status).body(whole(body));
            return answer.map_err(|error| TransportError::Connection(error.to_string()));
        }
        let Some(server) = server else { return Err(TransportError::NoName(host)) };
        match server.takes {
            Some(takes) => tokio::time::sleep(takes).await,
            None => pending().await,
        }
        if let Some(fault) = server.fault {
            return Err(fault);
        }
        if let Some(guard) = &server.guard {
            if request.uri().path().starts_with("/.well-known/") {
                return Ok(guard.answer(&request).map(whole));
            }
            if let Some(refusal) = guard.guard(&request) {
                return Ok(refusal.map(whole));
            }
        }
        if server.is_legacy && request.headers().get("mcp-protocol-version").is_some_and(|it| it == "2026-07-28") {
            let answer = Response::builder().status(400).body(Box::pin(stream::empty()) as BodyStream);
            return answer.map_err(|error| TransportError::Connection(error.to_string()));
        }
        let answer = respond(&server, &Settings::default(), request).await;
        Ok(answer.map(|body| match body {
            Body::Empty => Box::pin(stream::empty()) as BodyStream,
            Body::Json(json) => Box::pin(stream::iter([Ok(Bytes::from(json))])),
            Body::Events(events) => Box::pin(events.map(Ok)),
        }))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn whole(body: Bytes) -> BodyStream {
    Box::pin(stream::iter([Ok(body)]))
}

impl tool_catalogue::Host for Surroundings {
    async fn prove(&self, component: &str, user_id: Option<Id>, request_id: &str) -> Option<HeaderValue> {
        let user_id = user_id.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
        HeaderValue::try_from(format!("Bearer {component} {user_id} {request_id}")).ok()
    }

    fn log(&self, message: &str, fields: Value) {
        self.0.logged.borrow_mut().push_str(&format!("{message} {fields}\n"));
    }
}
