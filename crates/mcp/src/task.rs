//! A call that goes on after its request, as a task: in 2026-07-28 the extension `io.modelcontextprotocol/tasks` (SEP-2663), whose tasks the server
//! makes of its own accord; in 2025-11-25 ("Tasks") part of the protocol, and the client asks for one. Both spell the same things differently, which
//! is known here and nowhere else.
//!
//! What a server says of a task is somebody else's, so it is cut here, before anybody keeps it.

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

/// The longest id of a task: it is kept, and sent in a header, of which servers take some thousand bytes. Those of real servers are UUIDs.
const MAX_TASK_ID_BYTES: usize = 1024;
/// The longest words of a server about a task that are read. Whoever shows them shows less, and can look for secrets in them before.
const MAX_TASK_MESSAGE_CHARS: usize = 2_000;
/// The shortest time between two questions about a task, whatever its server says: as often as somebody who waits sees something move.
const MIN_POLL: Duration = Duration::from_secs(1);
/// The longest: a person who looks at a task that has ended waits no longer than this.
const MAX_POLL: Duration = Duration::from_secs(60);
/// What is taken where a server says nothing: what its specification has in its examples.
pub const DEFAULT_POLL: Duration = Duration::from_secs(5);
/// The longest life of a task, also of one that its server keeps for ever: nobody waits for longer than a month.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A time as servers write it (RFC 3339) has some thirty characters.
const MAX_TIME_CHARS: usize = 40;
/// The longest words about a failed task that are read, likewise.
const MAX_ERROR_CHARS: usize = 8_000;

/// A call that goes on at its server.
#[derive(Clone, PartialEq, Debug)]
pub struct Task {
    /// Its server's name for it.
    pub id: String,
    /// How far it is.
    pub state: TaskState,
    /// What its server says about that, on one line.
    pub message: Option<String>,
    /// When it was made, as its server says it (RFC 3339).
    pub created_at: String,
    /// When it last changed, likewise.
    pub updated_at: String,
    /// For how long from its making its server keeps it. `None`: for ever, as far as the server says.
    pub ttl: Option<Duration>,
    /// How long to wait before it is asked about again.
    pub poll: Duration,
    /// Where it was made, as the client half wants to know it when it asks. Only of an answer to a call, and opaque.
    pub session: Option<String>,
}

/// How far a task is.
#[derive(Clone, PartialEq, Debug)]
pub enum TaskState {
    /// It is worked on.
    Working,
    /// It waits for answers to these requests. 2025-11-25 asks them in another way, so there are none here then.
    InputRequired(Map),
    /// It has a result, be it that of a tool that failed.
    Completed(Outcome),
    /// It has failed otherwise.
    Failed {
        /// JSON-RPC's code.
        code: i64,
        /// The server's words.
        message: String,
    },
    /// It was stopped.
    Cancelled,
}

impl TaskState {
    /// Whether nothing more comes.
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

/// What a call may become besides a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tasks {
    /// Nothing: no server is told that tasks are understood.
    #[default]
    Never,
    /// A task, where the tool cannot be called otherwise or its server decides so.
    IfNeeded,
    /// A task, wherever there can be one.
    Wanted,
}

/// What a call comes to.
#[derive(Clone, PartialEq, Debug)]
pub enum CallAnswer {
    /// A result.
    Result(CallResult),
    /// It goes on, and its result is asked for later.
    Task(Task),
}

/// How a tool can be called in 2025-11-25 ("Tool-Level Negotiation"). In 2026-07-28 the server decides with each call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolExecution {
    /// As a task.
    #[serde(rename = "taskSupport", default, deserialize_with = "lenient::field")]
    pub task_support: TaskSupport,
}

impl ToolExecution {
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a tool is called as a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskSupport {
    /// It is not, and nothing said means the same.
    #[default]
    Forbidden,
    /// Its caller decides.
    Optional,
    /// It is called in no other way.
    Required,
}

impl TaskSupport {
    /// Whether a client of 2025-11-25 asks for a task.
    pub(crate) const fn asks(self, tasks: Tasks) -> bool {
        matches!((self, tasks), (Self::Required, Tasks::IfNeeded | Tasks::Wanted) | (Self::Optional, Tasks::Wanted))
    }
}

/// The extension as a client declares it.
pub(crate) fn declaration() -> Value {
    Value::Object(Map::from_iter([(TASKS_EXTENSION.to_owned(), Value::Object(Map::new()))]))
}

/// Whether declared capabilities have the extension.
pub(crate) fn is_declared(capabilities: &Map) -> bool {
    capabilities.get("extensions").and_then(|extensions| extensions.get(TASKS_EXTENSION)).is_some_and(Value::is_object)
}

/// A task as either revision writes it.
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

/// The task in which 2025-11-25 packs the answer to a call.
#[derive(Deserialize)]
struct Packed {
    task: Box<RawValue>,
}

impl Task {
    /// Reads what a server says of a task, or why that is none.
    pub(crate) fn read(json: &RawValue) -> Result<Self, String> {
        let read: Read = serde_json::from_str(json.get()).map_err(|error| error.to_string())?;
        if read.task_id.is_empty() || read.task_id.len() > MAX_TASK_ID_BYTES {
            return Err(format!("a task's id has 1 to {MAX_TASK_ID_BYTES} bytes, and this one {}", read.task_id.len()));
        }
        let state = match read.status.as_str() {
            "working" => TaskState::Working,
            "input_required" => TaskState::InputRequired(read.input_requests),
            "completed" => TaskState::Completed(CallResult::read(read.result.unwrap_or_default()).into()),
            "failed" => failed(read.error.unwrap_or_else(|| RpcError::new(crate::wire::INTERNAL_ERROR, ""))),
            "cancelled" => TaskState::Cancelled,
            other => return Err(format!("a task is {:?}", cut(other, MAX_TIME_CHARS))),
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

    /// The same of an answer to a call in 2025-11-25; `None`: it is no task.
    pub(crate) fn read_packed(json: &RawValue) -> Option<Result<Self, String>> {
        let packed: Packed = serde_json::from_str(json.get()).ok()?;
        packed.task.get().starts_with('{').then(|| Self::read(&packed.task))
    }

    /// For how long it is waited for at most.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.ttl.unwrap_or(MAX_TTL).min(MAX_TTL)
    }

    /// As it is sent in answer to a call, without what belongs to its end.
    pub(crate) fn created(&self, era: Era) -> Value {
        match era {
            Era::Modern => Value::Object(self.written(era)),
            Era::Legacy => serde_json::json!({"task": self.written(era)}),
        }
    }

    /// As it is sent when it is asked about; in 2026-07-28 with what it came to.
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
            // Where nothing is said, it is for ever: then that is said.
            (ttl, self.ttl.map_or(Value::Null, ms)),
            (poll, ms(self.poll)),
        ];
        said.into_iter().chain(message).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// How a task failed. Other people's words.
pub(crate) fn failed(error: RpcError) -> TaskState {
    TaskState::Failed { code: error.code, message: cut(&error.message, MAX_ERROR_CHARS) }
}

/// A number of milliseconds that is one.
fn milliseconds(ms: f64) -> Option<Duration> {
    (ms >= 0.0).then(|| Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or(MAX_TTL))
}

/// On one line and cut.
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
