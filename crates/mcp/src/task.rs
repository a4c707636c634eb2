//! Tasks: calls that continue after their request. In 2026-07-28 they are the extension `io.modelcontextprotocol/tasks` (SEP-2663), and the server
//! decides which calls become tasks. In 2025-11-25 ("Tasks") they are part of the protocol, and the client asks for them. This module reads and
//! writes the spellings of both revisions.
//!
//! What a server says about a task is untrusted, so it is limited here, before it is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    client::CallResult,
    lenient,
    model::Map,
    provider::Outcome,
    server::Presented,
    wire::{Era, RpcError, TASKS_EXTENSION},
};

/// The longest id of a task. It is stored, and sent in a header, where servers accept some thousand bytes. Real servers use UUIDs.
const MAX_TASK_ID_BYTES: usize = 1024;
/// The longest status message of a task. It is longer than what people are shown, so that secrets can be removed before it is cut further.
const MAX_TASK_MESSAGE_CHARS: usize = 2_000;
/// The shortest poll interval, whatever the server says. A person who waits needs no faster updates.
const MIN_POLL: Duration = Duration::from_secs(1);
/// The longest poll interval. A person sees the end of a task after this time at the latest.
const MAX_POLL: Duration = Duration::from_secs(60);
/// The poll interval if the server names none. The examples in its specification have this value.
pub const DEFAULT_POLL: Duration = Duration::from_secs(5);
/// The longest lifetime of a task, also of one that its server keeps for ever. Nobody waits longer than a month.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The longest timestamp. RFC 3339 needs about thirty characters.
const MAX_TIME_CHARS: usize = 40;
/// The longest error message of a failed task. Like a status message, it is cut further before people see it.
const MAX_ERROR_CHARS: usize = 8_000;

/// A call that continues on its server.
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// The id that the server gave the task.
    pub id: String,
    /// The state.
    pub state: TaskState,
    /// The server's message about the state, on one line.
    pub message: Option<String>,
    /// When the task was made, as the server says (RFC 3339).
    pub created_at: String,
    /// When the task last changed, as the server says (RFC 3339).
    pub updated_at: String,
    /// How long the server keeps the task, counted from when it was made. `None`: for ever, as far as the server says.
    pub ttl: Option<Duration>,
    /// How long to wait before asking about the task again.
    pub poll: Duration,
    /// The connection in which the task was made. The client half needs it to ask about the task. Opaque. Only set in the answer to a call.
    pub session: Option<String>,
}

/// The state of a task.
#[derive(Clone, PartialEq, Debug)]
pub enum TaskState {
    /// The server is working on it.
    Working,
    /// The task waits for answers to these requests. Empty in 2025-11-25, which sends such requests in another way.
    InputRequired(Map),
    /// The task has a result, possibly that of a tool that failed.
    Completed(Outcome),
    /// The task failed with an error of the protocol.
    Failed {
        /// The JSON-RPC error code.
        code: i64,
        /// The server's message.
        message: String,
    },
    /// The task was cancelled.
    Cancelled,
}

impl TaskState {
    /// Whether the state is final.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        !matches!(self, Self::Working | Self::InputRequired(_))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired(_) => "input_required",
            Self::Completed(_) => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Whether a call may become a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tasks {
    /// Never. The client does not declare that it understands tasks.
    #[default]
    Never,
    /// Only if the tool requires it or the server decides so.
    IfNeeded,
    /// Whenever the server allows it.
    Wanted,
}

/// The answer to a call.
#[derive(Clone, PartialEq, Debug)]
pub enum CallAnswer {
    /// The result.
    Result(CallResult),
    /// The call continues as a task, and its result is requested later.
    Task(Task),
}

/// How a tool can be called in 2025-11-25 ("Tool-Level Negotiation"). In 2026-07-28 the server decides for each call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolExecution {
    /// Whether calls become tasks.
    #[serde(rename = "taskSupport", default, deserialize_with = "lenient::field")]
    pub task_support: TaskSupport,
}

impl ToolExecution {
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether calls of a tool become tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskSupport {
    /// Never. This is the default.
    #[default]
    Forbidden,
    /// If the caller asks for it.
    Optional,
    /// Always.
    Required,
}

impl TaskSupport {
    /// Whether a client of 2025-11-25 asks for a task.
    pub(crate) const fn asks(self, tasks: Tasks) -> bool {
        matches!((self, tasks), (Self::Required, Tasks::IfNeeded | Tasks::Wanted) | (Self::Optional, Tasks::Wanted))
    }
}

/// The declaration of the extension among the capabilities.
pub(crate) fn declaration() -> Value {
    Value::Object(Map::from_iter([(TASKS_EXTENSION.to_owned(), Value::Object(Map::new()))]))
}

/// Whether these capabilities declare the extension.
pub(crate) fn is_declared(capabilities: &Map) -> bool {
    capabilities.get("extensions").and_then(|extensions| extensions.get(TASKS_EXTENSION)).is_some_and(Value::is_object)
}

/// A task in the spelling of either revision.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    task_id: String,
    status: String,
    #[serde(default, deserialize_with = "lenient::field")]
    status_message: Option<String>,
    #[serde(default, deserialize_with = "lenient::field")]
    created_at: String,
    #[serde(default, deserialize_with = "lenient::field")]
    last_updated_at: String,
    #[serde(default, deserialize_with = "lenient::field")]
    ttl_ms: Option<f64>,
    #[serde(default, deserialize_with = "lenient::field")]
    ttl: Option<f64>,
    #[serde(default, deserialize_with = "lenient::field")]
    poll_interval_ms: Option<f64>,
    #[serde(default, deserialize_with = "lenient::field")]
    poll_interval: Option<f64>,
    #[serde(default, deserialize_with = "lenient::field")]
    input_requests: Map,
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<RpcError>,
}

/// The answer to a call that became a task, in 2025-11-25.
#[derive(Deserialize)]
struct Packed {
    task: Box<RawValue>,
}

impl Task {
    /// Reads a task from a server. The error says why it is invalid.
    pub(crate) fn read(json: &RawValue) -> Result<Self, String> {
        let read: Read = serde_json::from_str(json.get()).map_err(|error| error.to_string())?;
        if read.task_id.is_empty() || read.task_id.len() > MAX_TASK_ID_BYTES {
            return Err(format!(
                "a task's id must have 1 to {MAX_TASK_ID_BYTES} bytes, and this one has {}",
                read.task_id.len()
            ));
        }
        let state = match read.status.as_str() {
            "working" => TaskState::Working,
            "input_required" => TaskState::InputRequired(read.input_requests),
            "completed" => TaskState::Completed(CallResult::read(read.result.unwrap_or_default()).into()),
            "failed" => failed(read.error.unwrap_or_else(|| RpcError::new(crate::wire::INTERNAL_ERROR, ""))),
            "cancelled" => TaskState::Cancelled,
            other => return Err(format!("the status {:?} of a task is unknown", cut(other, MAX_TIME_CHARS))),
        };
        let poll = read.poll_interval_ms.or(read.poll_interval).and_then(milliseconds).unwrap_or(DEFAULT_POLL);
        Ok(Self {
            id: read.task_id,
            state,
            message: read.status_message.map(|words| cut(&words, MAX_TASK_MESSAGE_CHARS)).filter(|it| !it.is_empty()),
            created_at: cut(&read.created_at, MAX_TIME_CHARS),
            updated_at: cut(&read.last_updated_at, MAX_TIME_CHARS),
            ttl: read.ttl_ms.or(read.ttl).and_then(milliseconds).map(|ttl| ttl.min(MAX_TTL)),
            poll: poll.clamp(MIN_POLL, MAX_POLL),
            session: None,
        })
    }

    /// Reads a task from the answer to a call in 2025-11-25. `None`: the answer is no task.
    pub(crate) fn read_packed(json: &RawValue) -> Option<Result<Self, String>> {
        let packed: Packed = serde_json::from_str(json.get()).ok()?;
        packed.task.get().starts_with('{').then(|| Self::read(&packed.task))
    }

    /// How long the task's end is awaited at most.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.ttl.unwrap_or(MAX_TTL).min(MAX_TTL)
    }

    /// The task as the answer to a call, without its result.
    pub(crate) fn created(&self, era: Era) -> Value {
        match era {
            Era::Modern => Value::Object(self.written(era)),
            Era::Legacy => serde_json::json!({"task": self.written(era)}),
        }
    }

    /// The task as the answer to a request about it. In 2026-07-28 it contains its requests, result or error.
    pub(crate) fn detailed(&self, era: Era) -> Map {
        let mut fields = self.written(era);
        if era == Era::Modern {
            let end = match &self.state {
                TaskState::InputRequired(requests) => Some(("inputRequests", Value::Object(requests.clone()))),
                TaskState::Completed(outcome) => {
                    let presented = Presented::new(outcome.clone(), era);
                    Some(("result", serde_json::to_value(presented).unwrap_or_default()))
                }
                TaskState::Failed { code, message } => {
                    Some(("error", serde_json::json!({"code": code, "message": message})))
                }
                TaskState::Working | TaskState::Cancelled => None,
            };
            fields.extend(end.map(|(name, value)| (name.to_owned(), value)));
        }
        fields
    }

    fn written(&self, era: Era) -> Map {
        let (ttl, poll) = match era {
            Era::Modern => ("ttlMs", "pollIntervalMs"),
            Era::Legacy => ("ttl", "pollInterval"),
        };
        let ms = |duration: Duration| Value::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        let message = self.message.as_deref().map(|message| ("statusMessage", Value::from(message)));
        let said = [
            ("taskId", Value::from(self.id.as_str())),
            ("status", Value::from(self.state.name())),
            ("createdAt", Value::from(self.created_at.as_str())),
            ("lastUpdatedAt", Value::from(self.updated_at.as_str())),
            // `null` says that the task is kept for ever, so it must not be left out.
            (ttl, self.ttl.map_or(Value::Null, ms)),
            (poll, ms(self.poll)),
        ];
        said.into_iter().chain(message).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The state of a failed task. The message is untrusted, so it is cut.
pub(crate) fn failed(error: RpcError) -> TaskState {
    TaskState::Failed { code: error.code, message: cut(&error.message, MAX_ERROR_CHARS) }
}

/// A duration in milliseconds. Negative numbers and NaN are `None`.
fn milliseconds(ms: f64) -> Option<Duration> {
    (ms >= 0.0).then(|| Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(MAX_TTL))
}

/// A text on one line, cut.
fn cut(text: &str, max_chars: usize) -> String {
    text.trim().chars().take(max_chars).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &Value) -> Result<Task, String> {
        Task::read(&serde_json::value::to_raw_value(json).unwrap())
    }

    #[test]
    fn both_revisions_say_the_same_of_a_task() {
        let of = |more: Value| {
            let mut task = serde_json::json!({"taskId": "t1", "status": "working", "statusMessage": "at\nwork"});
            task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&task).unwrap()
        };
        let new = of(serde_json::json!({"ttlMs": 60_000, "pollIntervalMs": 2_000}));
        let old = of(serde_json::json!({"ttl": 60_000, "pollInterval": 2_000}));
        assert_eq!(new, old);
        assert_eq!((new.ttl, new.poll), (Some(Duration::from_secs(60)), Duration::from_secs(2)));
        assert_eq!(new.message.as_deref(), Some("at work"));
    }

    #[test]
    fn what_a_server_says_of_a_task_is_kept_within_limits() {
        let polls =
            [(0.0, MIN_POLL), (-1.0, DEFAULT_POLL), (1e300, MAX_POLL), (2_500.5, Duration::from_micros(2_500_500))];
        for (said, kept) in polls {
            let task = read(&serde_json::json!({"taskId": "t", "status": "working", "pollIntervalMs": said})).unwrap();
            assert_eq!(task.poll, kept, "{said}");
        }
        let task =
            serde_json::json!({"taskId": "t", "status": "working", "ttlMs": 1e300, "statusMessage": "x".repeat(9_999)});
        let task = read(&task).unwrap();
        assert_eq!((task.ttl, task.lifetime()), (Some(MAX_TTL), MAX_TTL));
        assert_eq!(task.message.unwrap().len(), MAX_TASK_MESSAGE_CHARS);
        let nothing =
            read(&serde_json::json!({"taskId": "t", "status": "working", "ttlMs": null, "pollIntervalMs": "1"}));
        assert_eq!(nothing.map(|task| (task.ttl, task.poll)), Ok((None, DEFAULT_POLL)));
        for wrong in [
            serde_json::json!({"taskId": "", "status": "working"}),
            serde_json::json!({"taskId": "t".repeat(MAX_TASK_ID_BYTES + 1), "status": "working"}),
            serde_json::json!({"taskId": 7, "status": "working"}),
            serde_json::json!({"taskId": "t", "status": "sleeping"}),
            serde_json::json!({"status": "working"}),
            serde_json::json!([]),
        ] {
            assert!(read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_task_came_to_is_inlined_in_the_new_revision_and_left_to_another_request_in_the_old() {
        let outcome = Outcome::text("done");
        let task = Task {
            state: TaskState::Completed(outcome),
            ..read(&serde_json::json!({"taskId": "t", "status": "working"})).unwrap()
        };
        assert_eq!(task.detailed(Era::Modern)["result"]["content"][0]["text"], "done");
        assert!(task.created(Era::Modern).get("result").is_none());
        assert!(task.detailed(Era::Legacy).get("result").is_none());
        assert_eq!(task.created(Era::Legacy)["task"]["taskId"], "t");
    }
}
