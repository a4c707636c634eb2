//! The port to whatever offers tools, resources and prompts: a composed provider in the adapter, many servers in the gateway.

use std::{pin::Pin, rc::Rc};

use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    model::{Content, LogLevel, Map, Prompt, PromptMessage, Resource, ResourceContents, ResourceTemplate, Tool},
    task::Task,
};

/// What a server offers.
///
/// Everything but `describe` and `call_tool` may be left out: a server that lists no resources, prompts or completions is not asked for any.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Provider {
    /// What there is. Asked for with every request, so it should be at hand.
    async fn describe(&self) -> Result<Rc<Description>, Failure>;

    /// Calls a tool. The name need not be one of the list: [`Failure::Unknown`] says so.
    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure>;

    /// How far a task is. [`Failure::Unknown`]: there is none of this id, or not for this caller.
    async fn task(&self, id: &str) -> Result<Task, Failure> {
        Err(Failure::Unknown(id.to_owned()))
    }

    /// The same when the task has ended, for which this waits; or when the provider will wait no longer.
    async fn ended_task(&self, id: &str) -> Result<Task, Failure> {
        self.task(id).await
    }

    /// Answers what a task has asked, by the keys of [`crate::TaskState::InputRequired`]. Anybody can send anything here; other keys mean nothing.
    async fn update_task(&self, id: &str, responses: Map) -> Result<(), Failure> {
        let _ = responses;
        Err(Failure::Unknown(id.to_owned()))
    }

    /// Has a task stopped. One that has ended stays as it is.
    async fn cancel_task(&self, id: &str) -> Result<(), Failure> {
        Err(Failure::Unknown(id.to_owned()))
    }

    /// Reads a resource of the list, or one that a template stands for.
    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let _ = context;
        Err(Failure::Unknown(uri.to_owned()))
    }

    /// Fills in a prompt.
    async fn get_prompt(&self, name: &str, arguments: Map, context: Context) -> Result<Answer<PromptContent>, Failure> {
        let _ = (arguments, context);
        Err(Failure::Unknown(name.to_owned()))
    }

    /// Proposes values for an argument of a prompt or a variable of a template.
    async fn complete(&self, request: CompletionRequest) -> Result<Completion, Failure> {
        let _ = request;
        Ok(Completion::default())
    }
}

/// What a server is and has.
#[derive(Clone, Default, Debug)]
pub struct Description {
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// Its version.
    pub version: String,
    /// What a model should know to use it.
    pub instructions: Option<String>,
    /// Its tools.
    pub tools: Vec<Tool>,
    /// Its resources.
    pub resources: Vec<Resource>,
    /// Patterns of resources that are not listed.
    pub templates: Vec<ResourceTemplate>,
    /// Its prompts.
    pub prompts: Vec<Prompt>,
    /// It can propose values ([`Provider::complete`]).
    pub has_completions: bool,
    /// Its replies may have log lines ([`Notice::Log`]).
    pub has_logging: bool,
    /// Calls may become tasks ([`Reply::Task`]).
    pub has_tasks: bool,
    /// For how long the lists stay as they are. `None`: nobody knows, so they are stale at once.
    pub ttl_ms: Option<u64>,
    /// The lists are this caller's and not to be shown to others.
    pub private: bool,
    /// `tools/list` also tells [`Features`] in its `_meta`, for a [`crate::Client`]: one request is enough to know all there is.
    pub tells_features: bool,
}

impl Description {
    /// What there is besides tools.
    pub(crate) fn features(&self) -> Features {
        Features {
            instructions: self.instructions.clone(),
            resources: self.resources.clone(),
            templates: self.templates.clone(),
            prompts: self.prompts.clone(),
            has_completions: self.has_completions,
        }
    }
}

/// What a server has besides tools.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Features {
    /// What a model should know to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Its resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// Patterns of resources that are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<ResourceTemplate>,
    /// Its prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Prompt>,
    /// It can propose values for arguments.
    #[serde(default)]
    pub has_completions: bool,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// A JSON object, `{}` if none was sent. Not checked against the tool's schema.
    pub arguments: Box<RawValue>,
    /// What came with it.
    pub context: Context,
}

/// What comes with a request.
#[derive(Clone, Default, Debug)]
pub struct Context {
    /// The request's `_meta`, as sent.
    pub meta: Map,
    /// The caller's answers to [`InputNeeded::requests`], by the same keys. Anybody can send anything here.
    pub input_responses: Map,
    /// [`InputNeeded::state`], as the caller sent it back. Anybody can send anything here.
    pub request_state: Option<String>,
    /// What the caller can be asked for, as declared with this request. In 2025-11-25 nothing, for nobody remembers `initialize`.
    pub client_capabilities: Map,
    /// The caller takes a task instead of a result.
    pub takes_task: bool,
    /// The caller wants to hear of progress; if not, none need be made.
    pub wants_progress: bool,
    /// The least bad log line that the caller wants to hear, if any.
    pub log_level: Option<LogLevel>,
}

/// What a call comes to.
pub enum Reply {
    /// A result.
    Done(Outcome),
    /// Notices while it works, and [`Notice::Done`] or [`Notice::Task`] as the last. Dropped when the caller has left.
    Live(Pin<Box<dyn Stream<Item = Notice>>>),
    /// The caller is to answer something and then to call again.
    NeedsInput(InputNeeded),
    /// It goes on as a task, which can be asked about from now on. Only for those who take one ([`Context::takes_task`]).
    Task(Task),
}

/// Something that happens during a call.
#[derive(Debug)]
pub enum Notice {
    /// How far it is. What does not go up is not passed on.
    Progress {
        /// So much is done.
        progress: f64,
        /// Of so much.
        total: Option<f64>,
        /// What is being done.
        message: Option<String>,
    },
    /// A line of a log.
    Log {
        /// How bad it is.
        level: LogLevel,
        /// Who says it.
        logger: Option<String>,
        /// Anything.
        data: Value,
    },
    /// The end: it goes on as a task. Only for those who take one ([`Context::takes_task`]).
    Task(Task),
    /// The end.
    Done(Result<Outcome, Failure>),
}

/// A tool's result.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Outcome {
    /// For the model.
    pub content: Vec<Content>,
    /// For programs. If there is no `content`, this is sent as text as well.
    pub structured: Option<Value>,
    /// The tool failed, and `content` says how.
    pub is_error: bool,
}

impl Outcome {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Content::text(text)], ..Self::default() }
    }

    /// A failure in words that a model can act on.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }
}

/// A result, or what is missing for one.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<T> {
    /// The result.
    Done(T),
    /// The caller is to answer something and then to ask again.
    NeedsInput(InputNeeded),
}

/// What the caller is to answer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct InputNeeded {
    /// Requests (`{"method", "params"}`) of `elicitation/create`, `sampling/createMessage` or `roots/list`, by keys of the provider's choice.
    /// Those that the caller did not declare the capability for are not sent.
    pub requests: Map,
    /// Sent back with the answers. It goes through the caller's hands: what must not be changed must be signed.
    pub state: Option<String>,
}

/// A prompt, filled in.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromptContent {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its messages.
    pub messages: Vec<PromptMessage>,
}

/// A value that is being typed.
#[derive(Clone, PartialEq, Debug)]
pub struct CompletionRequest {
    /// What it belongs to.
    pub reference: CompletionReference,
    /// The argument's name.
    pub argument: String,
    /// What there is of the value.
    pub value: String,
    /// The other arguments, as far as they are known.
    pub others: Map,
    /// What came with it.
    pub meta: Map,
}

/// What a value belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompletionReference {
    /// The prompt of this name.
    Prompt(String),
    /// The resource or template of this URI.
    Resource(String),
}

/// Proposed values.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The best first; not more than 100 are sent.
    pub values: Vec<String>,
    /// So many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// There are more.
    #[serde(default)]
    pub has_more: bool,
}

/// Why there is no result.
///
/// A failed tool call is a result with `isError`, in these words, so that the model can do better; only [`Failure::Unknown`],
/// [`Failure::InvalidState`], [`Failure::MissingCapability`] and [`Failure::OnlyAsTask`] are errors of the protocol.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such tool, resource or prompt.
    #[error("Unknown: {0}")]
    Unknown(String),
    /// Arguments that it does not take.
    #[error("Invalid arguments: {0}")]
    InvalidArguments(String),
    /// Something that was to be set up is not.
    #[error("Not configured: {0}")]
    NotConfigured(String),
    /// A server behind it failed.
    #[error("The service behind this failed: {0}")]
    UpstreamFailed(String),
    /// It took too long.
    #[error("This took too long and was given up.")]
    TimedOut,
    /// The result is too large.
    #[error("The result is too large.")]
    TooLarge,
    /// [`Context::request_state`] or an answer in [`Context::input_responses`] is not what it must be.
    #[error("Invalid request state: {0}")]
    InvalidState(String),
    /// The caller must be able to do something that it did not declare.
    #[error(transparent)]
    MissingCapability(#[from] MissingCapability),
    /// The caller would have to take a task ([`Context::takes_task`]), and does not.
    #[error("This tool is called as a task only")]
    OnlyAsTask,
    /// A fault of the provider's own.
    #[error("{0}")]
    Internal(String),
}

/// Which kind of failure a result with `isError` is. Not of the protocol, whose clients read the words: a server made of this crate says it in the
/// result's `_meta`, for who knows the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// [`Failure::InvalidArguments`].
    InvalidArguments,
    /// [`Failure::NotConfigured`].
    NotConfigured,
    /// [`Failure::UpstreamFailed`].
    UpstreamFailed,
    /// [`Failure::TimedOut`].
    TimedOut,
    /// [`Failure::TooLarge`].
    TooLarge,
}

impl Failure {
    /// Its kind, if it is one that is told as a result.
    pub(crate) const fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::InvalidArguments(_) => Some(FailureKind::InvalidArguments),
            Self::NotConfigured(_) => Some(FailureKind::NotConfigured),
            Self::UpstreamFailed(_) => Some(FailureKind::UpstreamFailed),
            Self::TimedOut => Some(FailureKind::TimedOut),
            Self::TooLarge => Some(FailureKind::TooLarge),
            Self::Unknown(_)
            | Self::InvalidState(_)
            | Self::MissingCapability(_)
            | Self::OnlyAsTask
            | Self::Internal(_) => None,
        }
    }
}

/// What the caller must be able to do and did not declare.
#[derive(Clone, Default, PartialEq, Debug, thiserror::Error)]
#[error("{}", missing_in_words(.capabilities, .words))]
pub struct MissingCapability {
    /// The capabilities, such as `{"sampling": {}}`.
    pub capabilities: Map,
    /// What is said instead of their names, if anything is: what would be asked. Clients before 2026-07-28 get nothing else.
    pub words: Option<String>,
}

fn missing_in_words(capabilities: &Map, words: &Option<String>) -> String {
    words.clone().unwrap_or_else(|| {
        let names = capabilities.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("The client must declare these capabilities: {names}")
    })
}
