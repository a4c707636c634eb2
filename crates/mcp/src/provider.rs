//! The port to the code that offers tools, resources and prompts: one provider in the adapter, many servers in the gateway.

use std::{pin::Pin, rc::Rc};

use futures::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    model::{Content, LogLevel, Map, Prompt, PromptMessage, Resource, ResourceContents, ResourceTemplate, Tool},
    task::Task,
};

/// A server's tools, resources and prompts.
///
/// Only `describe` and `call_tool` are required. The other methods are called only if the description has resources, prompts, completions or tasks.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Provider {
    /// The description. Most requests need it, so it must be at hand.
    async fn describe(&self) -> Result<Rc<Description>, Failure>;

    /// Calls a tool. The name may be unknown: then the result is [`Failure::Unknown`].
    async fn call_tool(&self, call: ToolCall) -> Result<Reply, Failure>;

    /// The state of a task. [`Failure::Unknown`] if no task has this id, or if the task belongs to another caller.
    async fn task(&self, id: &str) -> Result<Task, Failure> {
        Err(Failure::Unknown(id.to_owned()))
    }

    /// Like [`Self::task`], but waits until the task has ended, or for as long as the provider is willing to wait.
    async fn ended_task(&self, id: &str) -> Result<Task, Failure> {
        self.task(id).await
    }

    /// Answers the requests of a task, by the keys of [`crate::TaskState::InputRequired`]. The answers are untrusted. Unknown keys are ignored.
    async fn update_task(&self, id: &str, responses: Map) -> Result<(), Failure> {
        let _ = responses;
        Err(Failure::Unknown(id.to_owned()))
    }

    /// Stops a task. A task that has ended does not change.
    async fn cancel_task(&self, id: &str) -> Result<(), Failure> {
        Err(Failure::Unknown(id.to_owned()))
    }

    /// Reads a resource that is listed or that matches a template.
    async fn read_resource(&self, uri: &str, context: Context) -> Result<Answer<Vec<ResourceContents>>, Failure> {
        let _ = context;
        Err(Failure::Unknown(uri.to_owned()))
    }

    /// Fills a prompt with arguments.
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

/// A server's names, lists and capabilities.
#[derive(Clone, Default, Debug)]
pub struct Description {
    /// The name for programs.
    pub name: String,
    /// The display name.
    pub title: Option<String>,
    /// The version.
    pub version: String,
    /// Instructions for the model.
    pub instructions: Option<String>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// The resources.
    pub resources: Vec<Resource>,
    /// Templates of resources that are not listed.
    pub templates: Vec<ResourceTemplate>,
    /// The prompts.
    pub prompts: Vec<Prompt>,
    /// Whether [`Provider::complete`] proposes values.
    pub has_completions: bool,
    /// Whether replies may contain log messages ([`Notice::Log`]).
    pub has_logging: bool,
    /// Whether calls may become tasks ([`Reply::Task`]).
    pub has_tasks: bool,
    /// How long clients may cache the lists. `None`: unknown, so clients must not cache them.
    pub ttl_ms: Option<u64>,
    /// Whether the lists are for this caller only and must not be shown to others.
    pub private: bool,
    /// Whether `tools/list` also carries the [`Features`] in its `_meta`, so that a [`crate::Client`] needs only one request.
    pub tells_features: bool,
}

impl Description {
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

/// A server's features besides its tools.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Features {
    /// Instructions for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    /// Templates of resources that are not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<ResourceTemplate>,
    /// The prompts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Prompt>,
    /// Whether the server proposes values for arguments.
    #[serde(default)]
    pub has_completions: bool,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// The arguments: a JSON object, `{}` if none was sent. Not checked against the tool's schema.
    pub arguments: Box<RawValue>,
    /// The context of the request.
    pub context: Context,
}

/// The context of a request.
#[derive(Clone, Default, Debug)]
pub struct Context {
    /// The request's `_meta`, as sent.
    pub meta: Map,
    /// The caller's answers to [`InputNeeded::requests`], by the same keys. They are untrusted.
    pub input_responses: Map,
    /// [`InputNeeded::state`], as the caller sent it back. It is untrusted.
    pub request_state: Option<String>,
    /// The client capabilities that this request declares. In 2025-11-25 there are none, because the server does not remember `initialize`.
    pub client_capabilities: Map,
    /// Whether the caller accepts a task instead of a result.
    pub takes_task: bool,
    /// Whether the caller wants progress. If not, the provider need not report any.
    pub wants_progress: bool,
    /// The lowest severity of log messages that the caller wants. `None`: it wants none.
    pub log_level: Option<LogLevel>,
}

/// The reply to a call.
pub enum Reply {
    /// The result.
    Done(Outcome),
    /// Notices during the call. The last is [`Notice::Done`] or [`Notice::Task`]. The stream is dropped when the caller has left.
    Live(Pin<Box<dyn Stream<Item = Notice>>>),
    /// The caller must answer requests and then call again.
    NeedsInput(InputNeeded),
    /// The call continues as a task, which the caller can ask about from now on. Only for callers that accept tasks ([`Context::takes_task`]).
    Task(Task),
}

/// An event during a call.
#[derive(Debug)]
pub enum Notice {
    /// Progress. A value that is not higher than the last is not sent.
    Progress {
        /// The amount done so far.
        progress: f64,
        /// The total amount, if it is known.
        total: Option<f64>,
        /// A text about the current step.
        message: Option<String>,
    },
    /// A log message.
    Log {
        /// The severity.
        level: LogLevel,
        /// The name of the logger.
        logger: Option<String>,
        /// Any JSON value.
        data: Value,
    },
    /// The end: the call continues as a task. Only for callers that accept tasks ([`Context::takes_task`]).
    Task(Task),
    /// The end: the call has a result or failed.
    Done(Result<Outcome, Failure>),
}

/// A tool's result.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Outcome {
    /// The content, for the model.
    pub content: Vec<Content>,
    /// The structured result, for programs. If `content` is empty, this is also sent as text.
    pub structured: Option<Value>,
    /// Whether the tool failed. If so, `content` says why.
    pub is_error: bool,
}

impl Outcome {
    /// A result that is a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![Content::text(text)], ..Self::default() }
    }

    /// A failure, as a text that the model can act on.
    pub fn error(text: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(text) }
    }
}

/// A result, or the input that it needs.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<T> {
    /// The result.
    Done(T),
    /// The caller must answer requests and then ask again.
    NeedsInput(InputNeeded),
}

/// Requests that the caller must answer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct InputNeeded {
    /// Requests (`{"method", "params"}`) of `elicitation/create`, `sampling/createMessage` or `roots/list`, by keys that the provider chooses. A
    /// request is not sent if the caller did not declare the capability for it.
    pub requests: Map,
    /// The caller sends it back with the answers. The caller can change it, so sign whatever must not change.
    pub state: Option<String>,
}

/// A prompt, filled with arguments.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromptContent {
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The messages.
    pub messages: Vec<PromptMessage>,
}

/// A request to complete a value.
#[derive(Clone, PartialEq, Debug)]
pub struct CompletionRequest {
    /// The prompt or resource that the value belongs to.
    pub reference: CompletionReference,
    /// The argument's name.
    pub argument: String,
    /// The beginning of the value.
    pub value: String,
    /// The values of the other arguments, as far as they are known.
    pub others: Map,
    /// The request's `_meta`.
    pub meta: Map,
}

/// The prompt or resource that a value belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompletionReference {
    /// The prompt with this name.
    Prompt(String),
    /// The resource or template with this URI.
    Resource(String),
}

/// Proposed values.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// The values, best first. At most 100 are sent.
    pub values: Vec<String>,
    /// The total number of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more values.
    #[serde(default)]
    pub has_more: bool,
}

/// Why there is no result.
///
/// A failed tool call is a result with `isError` and this message, so that the model can react. Only [`Failure::Unknown`], [`Failure::InvalidState`],
/// [`Failure::MissingCapability`] and [`Failure::OnlyAsTask`] are protocol errors.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Failure {
    /// There is no such tool, resource or prompt.
    #[error("Unknown: {0}")]
    Unknown(String),
    /// The arguments are not valid.
    #[error("Invalid arguments: {0}")]
    InvalidArguments(String),
    /// A setting is missing.
    #[error("Not configured: {0}")]
    NotConfigured(String),
    /// A server that the tool uses failed.
    #[error("The service behind this failed: {0}")]
    UpstreamFailed(String),
    /// The time limit was reached.
    #[error("This took too long and was given up.")]
    TimedOut,
    /// The result is too large.
    #[error("The result is too large.")]
    TooLarge,
    /// [`Context::request_state`] or an answer in [`Context::input_responses`] is not valid.
    #[error("Invalid request state: {0}")]
    InvalidState(String),
    /// The caller did not declare a capability that is needed.
    #[error(transparent)]
    MissingCapability(#[from] MissingCapability),
    /// The call needs a task, and the caller does not accept tasks ([`Context::takes_task`]).
    #[error("This tool can only be called as a task")]
    OnlyAsTask,
    /// A fault in the provider itself.
    #[error("{0}")]
    Internal(String),
}

/// The kind of failure of a result with `isError`. It is not part of the protocol: a server built with this crate adds it to the result's `_meta`,
/// for clients that know the key.
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
    /// The kind that is sent with the result, if this failure has one.
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

/// Capabilities that the caller needs and did not declare.
#[derive(Clone, Default, PartialEq, Debug, thiserror::Error)]
#[error("{}", missing_in_words(.capabilities, .words))]
pub struct MissingCapability {
    /// The capabilities, such as `{"sampling": {}}`.
    pub capabilities: Map,
    /// A message instead of their names, such as the question that would be asked. Clients before 2026-07-28 get only the message.
    pub words: Option<String>,
}

fn missing_in_words(capabilities: &Map, words: &Option<String>) -> String {
    words.clone().unwrap_or_else(|| {
        let names = capabilities.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("The client must declare these capabilities: {names}")
    })
}
