//! The events of a run and their only written form: a server-sent-events frame, the same text in the log and on the wire.
//!
//! Event ids count the characters of the text so far (other events count one). So an id is also a place in the answer, whatever pieces the text was
//! cut into. An executor that takes a run over and gets the same answer again continues at the last logged id. A reader that had seen more than the
//! log holds gets exactly the part that it has not seen ([`after`]).
//!
//! Frames: WHATWG HTML, section 9.2. This module does not know where frames are stored or sent.

mod arguments;
mod data;
mod progress;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::{Cost, Id, Timestamp, ToolResult, Usage};

pub use data::Data;
pub use progress::Progress;

use arguments::Arguments;
use data::Metadata;

/// How far ids jump when an answer is written again from the start. This is more than any batch of events that a dead executor may have sent to a
/// reader without logging it.
pub const RESTART_GAP: u64 = 10_000_000;

/// An event of a run, as its readers see it.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A piece of the answer.
    Token {
        /// The text.
        content: &'a str,
        /// The number of pieces so far, including this one.
        token_count: u64,
    },
    /// A piece of the model's reasoning.
    Thinking {
        /// The text.
        content: &'a str,
    },
    /// The model asks for a tool call.
    ToolRequest {
        /// The tool's name.
        name: &'a str,
        /// The tool, for the person, if it has a name for them.
        title: Option<&'a str>,
        /// The model's id for the call.
        call_id: &'a str,
        /// The arguments, as the model wrote them.
        arguments: &'a str,
    },
    /// A call waits for the person's decision, and so does the run.
    ToolApproval {
        /// The tool's name for the model.
        name: &'a str,
        /// The model's id for the call.
        call_id: &'a str,
        /// The server that would be called.
        server: &'a str,
        /// The tool's name for the person.
        title: &'a str,
        /// As in [`Self::ToolRequest`].
        arguments: &'a str,
        /// Whether the person can allow only this call, not later ones.
        always_asks: bool,
        /// Whether the person is asked because the call may disclose private data to others.
        may_disclose: bool,
        /// The deadline for the decision.
        expires_at: Timestamp,
    },
    /// A call goes on at its server as a task, and the run waits for it.
    ToolTask {
        /// The tool's name for the model.
        name: &'a str,
        /// The model's id for the call.
        call_id: &'a str,
        /// The server that works on it.
        server: &'a str,
        /// The tool's name for the person.
        title: &'a str,
        /// Since when.
        started_at: Timestamp,
    },
    /// How far a call is. Not logged: it is over with the call's result.
    ToolProgress {
        /// The model's id for the call.
        call_id: &'a str,
        /// So much is done; of a task, nobody says it in numbers.
        progress: Option<f64>,
        /// Of so much, if that is known.
        total: Option<f64>,
        /// What is being done; may be empty.
        message: &'a str,
    },
    /// A tool answered.
    ToolResult {
        /// The result as text.
        content: &'a str,
        /// The model's id for the call.
        call_id: &'a str,
        /// The tool's name.
        name: &'a str,
        /// Whether `content` is an error message.
        is_error: bool,
        /// How long the call took.
        duration_ms: u64,
    },
    /// The run failed; the stream ends.
    Error {
        /// The message for the person.
        message: &'a str,
        /// The code for programs.
        code: &'a str,
        /// Whether a retry may help.
        retryable: bool,
    },
    /// The run succeeded or was stopped; the stream ends.
    Complete {
        /// `stop`, `length`, `content_filter` or `cancelled`.
        finish_reason: &'a str,
        /// The tokens that the run used, if the model reported them.
        usage: Option<Usage>,
        /// The answer's message; none if nothing was written.
        message_id: Option<Id>,
        /// How often the run was claimed since its last finished step. More than 1: it was taken over, or it waited.
        attempt: u64,
        /// Who answered, if somebody was asked.
        answered: Option<Answered<'a>>,
    },
    /// The answer is written again: the text since the last tool event does not count.
    Restarted,
    /// The model gets less than it should: its server could not take the whole request, the tools could not be listed, or a document could not be read.
    Shortened {
        /// The message for the person: what was left out.
        message: &'a str,
    },
    /// A provider failed before it said anything, so the next one is asked.
    Switched {
        /// The message for the person: who failed, and who is asked instead.
        message: &'a str,
        /// The provider that is asked from now on.
        provider: &'a str,
    },
    /// The answer cannot be stored, so the stream ends. A later reader may continue the run. Not logged.
    Unkept {
        /// The message for the person.
        message: &'a str,
        /// The code for programs.
        code: &'a str,
    },
    /// An executor began to work. Not logged.
    Processing,
    /// The provider was busy, so the same request is sent again. Not logged.
    Retrying {
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// The time until the next attempt.
        retry_after_ms: u64,
    },
}

/// Who answered in a run, and for how much.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The model.
    pub model: &'a str,
    /// The name of its provider.
    pub provider: &'a str,
    /// What the tokens cost, if it is known.
    pub cost: Option<&'a Cost>,
}

impl<'a> Event<'a> {
    /// How much this event adds to the id; `None` for events that are neither logged nor replayed.
    #[must_use]
    pub fn width(&self) -> Option<u64> {
        match self {
            Self::Token { content, .. } | Self::Thinking { content } => {
                Some(u64::try_from(content.chars().count()).unwrap_or(u64::MAX).max(1))
            }
            Self::ToolRequest { .. }
            | Self::ToolApproval { .. }
            | Self::ToolTask { .. }
            | Self::ToolResult { .. }
            | Self::Error { .. }
            | Self::Shortened { .. }
            | Self::Switched { .. }
            | Self::Complete { .. } => Some(1),
            Self::Restarted => Some(RESTART_GAP),
            Self::ToolProgress { .. } | Self::Unkept { .. } | Self::Processing | Self::Retrying { .. } => None,
        }
    }

    /// What a tool's call came to.
    #[must_use]
    pub fn result(name: &'a str, content: &'a str, result: &'a ToolResult) -> Self {
        let (call_id, duration_ms) = (&result.call_id, result.duration_ms.unwrap_or_default());
        Self::ToolResult { content, call_id, name, is_error: result.is_error, duration_ms }
    }

    /// Appends this event as a frame. `id` is the id of the event before; [`Self::width`] is added to it.
    pub fn write(&self, id: &mut u64, run_id: &str, timestamp: Timestamp, frames: &mut String) {
        let id = self.width().map(|width| {
            *id = id.saturating_add(width);
            *id
        });
        let (r#type, content, metadata) = self.parts();
        let metadata = Metadata { run_id, timestamp: Some(timestamp), ..metadata };
        write_frame(id, r#type, &Data { r#type, content, metadata }, frames);
    }

    fn parts(&self) -> (&'static str, &str, Metadata<'_>) {
        match *self {
            Self::Token { content, token_count } => {
                ("token", content, Metadata { token_count: Some(token_count), ..Metadata::default() })
            }
            Self::Thinking { content } => ("thinking", content, Metadata::default()),
            Self::ToolRequest { name, title, call_id, arguments } => (
                "tool_request",
                name,
                Metadata {
                    call_id: Some(call_id),
                    title,
                    arguments: Some(Arguments(arguments)),
                    ..Metadata::default()
                },
            ),
            Self::ToolApproval { name, call_id, server, title, arguments, always_asks, may_disclose, expires_at } => (
                "tool_approval",
                name,
                Metadata {
                    call_id: Some(call_id),
                    name: Some(name),
                    server: Some(server),
                    title: Some(title),
                    arguments: Some(Arguments(arguments)),
                    expires_at: Some(expires_at),
                    always_asks: Some(always_asks),
                    may_disclose: Some(may_disclose),
                    ..Metadata::default()
                },
            ),
            Self::ToolTask { name, call_id, server, title, started_at } => (
                "tool_task",
                name,
                Metadata {
                    call_id: Some(call_id),
                    name: Some(name),
                    server: Some(server),
                    title: Some(title),
                    started_at: Some(started_at),
                    ..Metadata::default()
                },
            ),
            Self::ToolProgress { call_id, progress, total, message } => {
                ("tool_progress", message, Metadata { call_id: Some(call_id), progress, total, ..Metadata::default() })
            }
            Self::ToolResult { content, call_id, name, is_error, duration_ms } => (
                "tool_result",
                content,
                Metadata {
                    call_id: Some(call_id),
                    name: Some(name),
                    is_error: Some(is_error),
                    duration_ms: Some(duration_ms),
                    ..Metadata::default()
                },
            ),
            Self::Error { message, code, retryable } => {
                ("error", message, Metadata { code: Some(code), retryable: Some(retryable), ..Metadata::default() })
            }
            Self::Unkept { message, code } => {
                ("error", message, Metadata { code: Some(code), retryable: Some(true), ..Metadata::default() })
            }
            Self::Complete { finish_reason, usage, message_id, attempt, answered } => (
                "complete",
                "",
                Metadata {
                    finish_reason: Some(finish_reason),
                    usage: Some(usage),
                    message_id: Some(message_id),
                    attempt: Some(attempt),
                    model: answered.map(|answered| answered.model),
                    provider: answered.map(|answered| answered.provider),
                    cost: answered.and_then(|answered| answered.cost),
                    ..Metadata::default()
                },
            ),
            Self::Restarted => ("state", "restarted", Metadata::default()),
            Self::Shortened { message } => {
                ("state", "shortened", Metadata { message: Some(message), ..Metadata::default() })
            }
            Self::Switched { message, provider } => (
                "state",
                "switched",
                Metadata { message: Some(message), provider: Some(provider), ..Metadata::default() },
            ),
            Self::Processing => ("state", "processing", Metadata::default()),
            Self::Retrying { attempt, retry_after_ms } => (
                "state",
                "retrying",
                Metadata {
                    attempt: Some(u64::from(attempt)),
                    retry_after_ms: Some(retry_after_ms),
                    ..Metadata::default()
                },
            ),
        }
    }
}

fn write_frame(id: Option<u64>, r#type: &str, data: &impl serde::Serialize, frames: &mut String) {
    // Our types cannot fail to serialize: they have no maps with odd keys, and a number that JSON has no form for is written as null. Even an
    // empty object would make a valid frame.
    let data = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    if let Some(id) = id {
        frames.push_str("id: ");
        frames.push_str(&id.to_string());
        frames.push('\n');
    }
    frames.push_str("event: ");
    frames.push_str(r#type);
    frames.push_str("\ndata: ");
    frames.push_str(&data);
    frames.push_str("\n\n");
}

/// One logged frame, as [`Event::write`] wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its id.
    pub id: u64,
    /// Its `event:`.
    pub event: &'a str,
    /// Its `data:`, JSON.
    pub data: &'a str,
    /// The whole frame, including the blank line.
    pub text: &'a str,
}

/// Reads only the `call_id` of a frame's metadata.
#[derive(Deserialize)]
struct Called {
    metadata: CalledMetadata,
}

#[derive(Deserialize)]
struct CalledMetadata {
    call_id: String,
}

/// Reads only the `content` of a frame's data.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
}

impl Frame<'_> {
    /// Its text.
    #[must_use]
    pub fn content(&self) -> String {
        serde_json::from_str::<Content<'_>>(self.data).map(|data| data.content.into_owned()).unwrap_or_default()
    }

    /// The tool call that it belongs to, if any.
    #[must_use]
    pub fn call_id(&self) -> Option<String> {
        serde_json::from_str::<Called>(self.data).ok().map(|data| data.metadata.call_id)
    }

    fn is_text(&self) -> bool {
        matches!(self.event, "token" | "thinking")
    }
}

/// The logged frames in `frames`, in order. Text that [`Event::write`] did not write is skipped.
pub fn frames(frames: &str) -> impl Iterator<Item = Frame<'_>> {
    frames.split_inclusive("\n\n").filter_map(|text| {
        let mut lines = text.lines();
        let id = lines.next()?.strip_prefix("id: ")?.parse().ok()?;
        let event = lines.next()?.strip_prefix("event: ")?;
        let data = lines.next()?.strip_prefix("data: ")?;
        Some(Frame { id, event, data, text })
    })
}

/// The part of the frames that a reader has not seen, if it has seen everything up to `last_seen`.
///
/// If the reader has seen a part of a piece of text, the piece is cut.
#[must_use]
pub fn after(frames_text: &str, last_seen: u64) -> Cow<'_, str> {
    let mut start = frames_text.len();
    for frame in frames(frames_text) {
        let offset = frame.text.as_ptr() as usize - frames_text.as_ptr() as usize;
        if frame.id <= last_seen {
            continue;
        }
        start = offset;
        if frame.is_text()
            && let Some(cut) = cut(&frame, last_seen)
        {
            let rest = frames_text.get(offset + frame.text.len()..).unwrap_or_default();
            return Cow::Owned(cut + rest);
        }
        break;
    }
    Cow::Borrowed(frames_text.get(start..).unwrap_or_default())
}

/// The frame without the characters up to `last_seen`; `None` if it has no such characters.
fn cut(frame: &Frame<'_>, last_seen: u64) -> Option<String> {
    let mut data: serde_json::Map<String, Value> = serde_json::from_str(frame.data).ok()?;
    let Some(Value::String(content)) = data.get("content") else { return None };
    let begin = frame.id.checked_sub(u64::try_from(content.chars().count()).ok()?)?;
    let seen = usize::try_from(last_seen.checked_sub(begin)?).ok()?;
    if seen == 0 {
        return None;
    }
    let rest: String = content.chars().skip(seen).collect();
    data.insert("content".to_owned(), Value::String(rest));
    let mut text = String::with_capacity(frame.text.len());
    write_frame(Some(frame.id), frame.event, &data, &mut text);
    Some(text)
}

#[cfg(test)]
mod tests;
