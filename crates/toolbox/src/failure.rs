//! All failures of a call: their messages for the model and the person, and the codes for the audit. Both are written only here.

use std::fmt;

use mcp::{FailureKind, InputNeeded};
use permissions::Action;
use serde_json::Value;

use crate::{InvalidArguments, KnownTool, cut, execution::CALL_LIMIT, policy::exact_pattern};

/// The longest part of another party's message in a failure.
pub const MAX_CAUSE_CHARS: usize = 2_000;

/// Where an operator finds out why a component ended.
const SEE_LOG: &str = "The log of the component names the reason";

/// Why the world could not make a call, or the call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallFailure {
    /// The server does not know the tool, although it listed it.
    #[error("its server no longer has it")]
    Unknown,
    /// The server does not accept the arguments.
    #[error("its server does not take these arguments: {0}")]
    InvalidArguments(String),
    /// The server lacks a setting, an account or the like.
    #[error("it is not set up here: {0}")]
    NotConfigured(String),
    /// Something that the tool uses failed.
    #[error("it failed: {0}")]
    Upstream(String),
    /// The tool needs input from the person.
    #[error("{}", asks(&questions(.0)))]
    InputNeeded(InputNeeded),
    /// The tool needs input from the person, and knows that it cannot be asked for here.
    #[error("{}", asks(.question))]
    Unanswerable {
        /// The tool's question.
        question: String,
        /// The capabilities that the gateway's client would have to declare, in the protocol's form.
        capabilities: mcp::Map,
    },
    /// The time limit was reached.
    #[error("it took longer than {} s and was given up; whether it took effect is not known", CALL_LIMIT.as_secs())]
    TimedOut,
    /// The call continues as a task on its server, and the caller cannot ask about it later.
    #[error(
        "it takes longer than {} s and continues as a task, and this client does not declare that it understands tasks (the extension \
         io.modelcontextprotocol/tasks), so its server was asked to stop it; whether it took effect is not known",
        CALL_LIMIT.as_secs()
    )]
    Outlasts,
    /// The server no longer knows the call's task.
    #[error("its server no longer knows the task of this call; whether it took effect is not known")]
    TaskLost,
    /// The component ended during the call, because this tool or another one that ran in it at the same time trapped or computed without end.
    #[error("{}; whether it took effect is not known. {SEE_LOG}", ended(component, *seconds))]
    Crashed {
        /// The component.
        component: String,
        /// How long the call had run.
        seconds: u64,
    },
    /// The installation has no such component.
    #[error("it is not part of this installation: spin.toml has no component {component}")]
    NotInstalled {
        /// The component.
        component: String,
    },
    /// The result is too large.
    #[error("its answer is too large; whether it took effect is not known")]
    TooLarge,
    /// The server cannot be reached.
    #[error("its server cannot be reached: {0}")]
    Unreachable(String),
}

/// Why a call has no result from its tool.
#[derive(Debug)]
pub enum ToolFailure<'t> {
    /// There is no such tool.
    UnknownTool(&'t str),
    /// The arguments are not valid.
    InvalidArguments(&'t KnownTool, InvalidArguments),
    /// The user's roles do not allow it.
    NotPermitted(&'t KnownTool),
    /// The settings of the conversation leave it out.
    NotChosen(&'t KnownTool),
    /// A policy forbids it.
    Denied(&'t KnownTool),
    /// A person's approval is needed, and nobody can be asked here.
    CannotAsk(&'t KnownTool),
    /// The person declined the call.
    Declined(&'t KnownTool),
    /// The person did not decide in time.
    Expired(&'t KnownTool),
    /// There were too many calls. With the milliseconds until the next is allowed.
    TooMany(&'t KnownTool, u64),
    /// The call was begun before by an executor that did not see its end. With the tool's name, and the tool if it is still listed.
    NotRepeated(&'t str, Option<&'t KnownTool>),
    /// The call failed in the world.
    Call(&'t KnownTool, CallFailure),
}

impl fmt::Display for ToolFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTool(name) => write!(f, "There is no tool named {}.", cut(name, 128)),
            Self::InvalidArguments(tool, cause) => {
                write!(f, "The arguments for {} are not valid, so it was not called:\n{cause}", tool.title())
            }
            Self::NotPermitted(tool) => write!(
                f,
                "The person's role does not allow {}. It was not called. An administrator can allow it: the permission is {}.",
                tool.title(),
                Action::CallTool { server: &tool.server, tool: &tool.name }.needs()
            ),
            Self::NotChosen(tool) => write!(
                f,
                "This conversation does not use {}. It was not called. The person can choose it in the settings of the conversation.",
                tool.title()
            ),
            Self::Denied(tool) => write!(f, "{} is not allowed here. It was not called.", tool.title()),
            Self::CannotAsk(tool) if tool.always_asks => {
                let title = tool.title();
                write!(
                    f,
                    "{title} needs a person's approval every time, and nobody can be asked here. It was not called. It can be used in the chat."
                )
            }
            Self::CannotAsk(tool) => write!(
                f,
                "{} needs a person's approval, and nobody can be asked here. It was not called. To make it callable from here, \
                 set the tool policy {} to allow.",
                tool.title(),
                exact_pattern(tool)
            ),
            Self::Declined(tool) => {
                write!(
                    f,
                    "The person declined this call of {}. It was not made; do not make it again unasked.",
                    tool.title()
                )
            }
            Self::Expired(tool) => {
                write!(f, "Nobody approved this call of {} in time. It was not made.", tool.title())
            }
            Self::TooMany(tool, retry_after_ms) => {
                let seconds = retry_after_ms.div_ceil(1_000).max(1);
                write!(
                    f,
                    "There were too many tool calls, so {} was not called. Try again in {seconds} s.",
                    tool.title()
                )
            }
            Self::NotRepeated(name, tool) => write!(
                f,
                "This call of {} was started before a restart. It is unknown whether it took effect, so it was not repeated.",
                tool.map_or_else(|| cut(name, 128), |tool| tool.title().to_owned())
            ),
            Self::Call(tool, CallFailure::TimedOut) if tool.reads_only() => {
                let seconds = CALL_LIMIT.as_secs();
                write!(
                    f,
                    "{}: it took longer than {seconds} s and was given up. It only reads, so it can be called again.",
                    tool.title()
                )
            }
            Self::Call(tool, CallFailure::Crashed { component, seconds }) if tool.reads_only() => {
                let ended = ended(component, *seconds);
                write!(f, "{}: {ended}. It only reads, so it can be called again. {SEE_LOG}.", tool.title())
            }
            Self::Call(tool, CallFailure::TooLarge) if tool.reads_only() => {
                write!(f, "{}: its answer is too large; ask for less.", tool.title())
            }
            Self::Call(tool, cause) => write!(f, "{}: {}.", tool.title(), cut(&cause.to_string(), MAX_CAUSE_CHARS)),
        }
    }
}

/// The questions of a request for input, in the tool's words.
fn questions(needed: &InputNeeded) -> String {
    let message = |request: &Value| Some(request.pointer("/params/message")?.as_str()?.trim().to_owned());
    let messages: Vec<String> = needed.requests.values().filter_map(message).collect();
    messages.join(" ")
}

/// Tells the model what to do: it can ask the person, and the tool may have an argument for the answer.
fn asks(question: &str) -> String {
    let question = if question.is_empty() { "it does not say what".to_owned() } else { format!("{question:?}") };
    format!(
        "it asks something before it can go on, which cannot be answered here: {question}. \
         If one of its arguments takes the answer, ask the person and call it again with that"
    )
}

fn ended(component: &str, seconds: u64) -> String {
    format!("its component, {component}, ended after {seconds} s while it worked")
}

/// The outcome of a call, for the audit and for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the codes say it, and `ToolFailure` says more")]
pub enum AuditCode {
    /// The tool answered.
    Ok,
    /// The tool answered that it failed.
    ToolError,
    /// The result came from the cache.
    Cached,
    /// A person was asked for approval.
    ApprovalAsked,
    /// The call continues as a task on its server.
    Task,
    /// A call that may change something is about to be made for a client that may leave before it ends.
    Begun,
    /// The tool needs input from the person first.
    InputAsked,
    UnknownTool,
    InvalidArguments,
    NotPermitted,
    NotChosen,
    Denied,
    CannotAsk,
    Declined,
    Expired,
    TooMany,
    NotRepeated,
    GoneTool,
    RefusedArguments,
    NotConfigured,
    UpstreamFailed,
    TimedOut,
    TooLarge,
    Unreachable,
}

impl AuditCode {
    /// The code for a failure that the tool itself named.
    #[must_use]
    pub const fn of_tool(failure: FailureKind) -> Self {
        match failure {
            FailureKind::InvalidArguments => Self::RefusedArguments,
            FailureKind::NotConfigured => Self::NotConfigured,
            FailureKind::UpstreamFailed => Self::UpstreamFailed,
            FailureKind::TimedOut => Self::TimedOut,
            FailureKind::TooLarge => Self::TooLarge,
        }
    }

    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Cached => "cached",
            Self::ApprovalAsked => "approval_asked",
            Self::Task => "task",
            Self::Begun => "begun",
            Self::InputAsked => "input_asked",
            Self::UnknownTool => "unknown_tool",
            Self::InvalidArguments => "invalid_arguments",
            Self::NotPermitted => "not_permitted",
            Self::NotChosen => "not_chosen",
            Self::Denied => "denied",
            Self::CannotAsk => "cannot_ask",
            Self::Declined => "declined",
            Self::Expired => "approval_expired",
            Self::TooMany => "rate_limited",
            Self::NotRepeated => "not_repeated",
            Self::GoneTool => "gone_tool",
            Self::RefusedArguments => "refused_arguments",
            Self::NotConfigured => "not_configured",
            Self::UpstreamFailed => "upstream_failed",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
        }
    }
}

impl ToolFailure<'_> {
    /// The code for the audit.
    #[must_use]
    pub const fn code(&self) -> AuditCode {
        match self {
            Self::UnknownTool(_) => AuditCode::UnknownTool,
            Self::InvalidArguments(..) => AuditCode::InvalidArguments,
            Self::NotPermitted(_) => AuditCode::NotPermitted,
            Self::NotChosen(_) => AuditCode::NotChosen,
            Self::Denied(_) => AuditCode::Denied,
            Self::CannotAsk(_) => AuditCode::CannotAsk,
            Self::Declined(_) => AuditCode::Declined,
            Self::Expired(_) => AuditCode::Expired,
            Self::TooMany(..) => AuditCode::TooMany,
            Self::NotRepeated(..) => AuditCode::NotRepeated,
            Self::Call(_, cause) => match cause {
                CallFailure::Unknown => AuditCode::GoneTool,
                CallFailure::InvalidArguments(_) => AuditCode::RefusedArguments,
                CallFailure::NotConfigured(_) => AuditCode::NotConfigured,
                CallFailure::InputNeeded(_) | CallFailure::Unanswerable { .. } => AuditCode::InputAsked,
                CallFailure::Upstream(_) | CallFailure::Crashed { .. } => AuditCode::UpstreamFailed,
                CallFailure::TimedOut | CallFailure::Outlasts => AuditCode::TimedOut,
                CallFailure::TaskLost => AuditCode::UpstreamFailed,
                CallFailure::TooLarge => AuditCode::TooLarge,
                CallFailure::Unreachable(_) | CallFailure::NotInstalled { .. } => AuditCode::Unreachable,
            },
        }
    }
}
