//! The events of a run and their one written form: a server-sent-events frame, the same text in the log and on the wire.
//!
//! Event ids count the characters of what was said (other events count one). So the place in an answer and the id of the
//! event that brings it are the same thing, however the text was cut into pieces: an executor that takes a run over and
//! hears the same answer again goes on at the id where the log ends, and a reader that had already seen more than the
//! log is given exactly what it has not seen ([`after`]).
//!
//! Frames: WHATWG HTML, section 9.2. Nothing here knows where frames are kept or sent.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Value, value::RawValue};

use crate::{Id, Timestamp, Usage};

/// How far ids jump when an answer is written again from the start: more than any batch of events that
/// a dead executor may have sent to a reader without having logged it.
pub const RESTART_GAP: u64 = 10_000_000;

/// What can happen in a run, as its readers see it.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A piece of the answer.
    Token {
        /// The text.
        content: &'a str,
        /// Pieces so far, this one included.
        token_count: u64,
    },
    /// A piece of the model's reasoning.
    Thinking {
        /// The text.
        content: &'a str,
    },
    /// The model wants a tool called.
    ToolRequest {
        /// The tool.
        name: &'a str,
        /// The model's id for the call.
        call_id: &'a str,
        /// What it is to be called with, as the model wrote it.
        arguments: &'a str,
    },
    /// A call waits for the person's decision, and the run with it.
    ToolApproval {
        /// The tool, as the model calls it.
        name: &'a str,
        /// The model's id for the call.
        call_id: &'a str,
        /// Where it would be called.
        server: &'a str,
        /// The tool, for the person.
        title: &'a str,
        /// As in [`Self::ToolRequest`].
        arguments: &'a str,
        /// Nothing but this call can be allowed.
        always_asks: bool,
        /// Whether it is asked about because others would hear something in it that may be private.
        may_disclose: bool,
        /// After this it is too late to decide.
        expires_at: Timestamp,
    },
    /// How far a call is. Not logged: it is over with the call's result.
    ToolProgress {
        /// The model's id for the call.
        call_id: &'a str,
        /// So much is done.
        progress: f64,
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
        /// The tool.
        name: &'a str,
        /// Whether `content` says what went wrong.
        is_error: bool,
        /// How long the call took.
        duration_ms: u64,
    },
    /// The run failed; the stream ends.
    Error {
        /// For the person.
        message: &'a str,
        /// For programs.
        code: &'a str,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// The run ended well or was stopped; the stream ends.
    Complete {
        /// `stop`, `length`, `content_filter` or `cancelled`.
        finish_reason: &'a str,
        /// What it used, if the model said.
        usage: Option<Usage>,
        /// The answer's message, unless nothing was written.
        message_id: Option<Id>,
        /// How often the run was claimed since its last finished step; above 1 it was taken over, or waited for the person.
        attempt: u64,
    },
    /// The answer is being written again: what was said since the last tool event does not count.
    Restarted,
    /// The model's server could not take all that was to be sent, and was asked with less.
    Shortened {
        /// For the person: what is missing.
        message: &'a str,
    },
    /// What is said cannot be kept; the stream ends, and whoever reads the run later may have it go on. Not logged.
    Unkept {
        /// For the person.
        message: &'a str,
        /// For programs.
        code: &'a str,
    },
    /// Work began. Not logged.
    Processing,
    /// The provider was busy; the same request is sent again. Not logged.
    Retrying {
        /// Which try comes next, from 2.
        attempt: u32,
        /// How long until then.
        retry_after_ms: u64,
    },
}

/// The written form: `data:` of a frame.
#[derive(Serialize)]
struct Data<'a> {
    r#type: &'static str,
    content: &'a str,
    metadata: Metadata<'a>,
}

#[derive(Default, Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    always_asks: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    may_disclose: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    /// `null` says that the model did not tell, so it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Option<Id>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    run_id: &'a str,
    timestamp: Option<Timestamp>,
}

/// An object in the model's own letters, since a person is asked about it: a number that was read would be rounded, and a name that is there
/// twice would be there once. What is no object is a string.
struct Arguments<'a>(&'a str);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.trim();
        if text.is_empty() {
            return serializer.serialize_map(Some(0))?.end();
        }
        if !text.starts_with('{') || serde_json::from_str::<&RawValue>(text).is_err() {
            return serializer.serialize_str(self.0);
        }
        // JSON has line ends between its parts only, where a space says the same; here one would end the event.
        match RawValue::from_string(text.replace(['\n', '\r'], " ")) {
            Ok(object) => object.serialize(serializer),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl Event<'_> {
    /// How far this event moves the id on; `None` for what is neither logged nor replayed.
    #[must_use]
    pub fn width(&self) -> Option<u64> {
        match self {
            Self::Token { content, .. } | Self::Thinking { content } => {
                Some(u64::try_from(content.chars().count()).unwrap_or(u64::MAX).max(1))
            }
            Self::ToolRequest { .. }
            | Self::ToolApproval { .. }
            | Self::ToolResult { .. }
            | Self::Error { .. }
            | Self::Shortened { .. }
            | Self::Complete { .. } => Some(1),
            Self::Restarted => Some(RESTART_GAP),
            Self::ToolProgress { .. } | Self::Unkept { .. } | Self::Processing | Self::Retrying { .. } => None,
        }
    }

    /// Appends this event as a frame. `id` is the one before it and is moved on.
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
            Self::ToolRequest { name, call_id, arguments } => (
                "tool_request",
                name,
                Metadata { call_id: Some(call_id), arguments: Some(Arguments(arguments)), ..Metadata::default() },
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
            Self::ToolProgress { call_id, progress, total, message } => (
                "tool_progress",
                message,
                Metadata { call_id: Some(call_id), progress: Some(progress), total, ..Metadata::default() },
            ),
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
            Self::Complete { finish_reason, usage, message_id, attempt } => (
                "complete",
                "",
                Metadata {
                    finish_reason: Some(finish_reason),
                    usage: Some(usage),
                    message_id: Some(message_id),
                    attempt: Some(attempt),
                    ..Metadata::default()
                },
            ),
            Self::Restarted => ("state", "restarted", Metadata::default()),
            Self::Shortened { message } => {
                ("state", "shortened", Metadata { message: Some(message), ..Metadata::default() })
            }
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

fn write_frame(id: Option<u64>, r#type: &str, data: &impl Serialize, frames: &mut String) {
    // None of our types can fail to serialize (no maps with odd keys; a number that is none is written as null); an empty object would still be a frame.
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
    /// All of it, the blank line included.
    pub text: &'a str,
}

/// Reads the `call_id` of a frame's metadata without the rest.
#[derive(Deserialize)]
struct Called {
    metadata: CalledMetadata,
}

#[derive(Deserialize)]
struct CalledMetadata {
    call_id: String,
}

/// Reads the `content` of a frame's data without the rest.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
}

impl Frame<'_> {
    /// What was said in it.
    #[must_use]
    pub fn content(&self) -> String {
        serde_json::from_str::<Content<'_>>(self.data).map(|data| data.content.into_owned()).unwrap_or_default()
    }

    /// The call it is about, if it is about one.
    #[must_use]
    pub fn call_id(&self) -> Option<String> {
        serde_json::from_str::<Called>(self.data).ok().map(|data| data.metadata.call_id)
    }

    fn is_text(&self) -> bool {
        matches!(self.event, "token" | "thinking")
    }
}

/// The logged frames in `frames`, in order. What [`Event::write`] did not write is passed over.
pub fn frames(frames: &str) -> impl Iterator<Item = Frame<'_>> {
    frames.split_inclusive("\n\n").filter_map(|text| {
        let mut lines = text.lines();
        let id = lines.next()?.strip_prefix("id: ")?.parse().ok()?;
        let event = lines.next()?.strip_prefix("event: ")?;
        let data = lines.next()?.strip_prefix("data: ")?;
        Some(Frame { id, event, data, text })
    })
}

/// What of `frames` a reader has not seen who has seen everything up to `last_seen`.
///
/// A piece of text that it has seen a part of is cut.
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

/// The frame without the characters up to `last_seen`, if it holds any.
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

/// How far a run has come, read from its log: what an executor needs that takes it over.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The id of the last logged event.
    pub last_id: u64,
    /// Pieces of text logged in the whole run.
    pub token_count: u64,
    /// What was said since the last tool event.
    pub text: String,
    /// What was thought since then.
    pub thinking: String,
    /// The calls that the person was asked about.
    pub approvals_asked: Vec<String>,
}

impl Progress {
    /// Reads one more batch of the log; batches come in order. What an executor logged that was thought dead is not read twice.
    pub fn read(&mut self, batch: &str) {
        for frame in frames(&after(batch, self.last_id)) {
            self.last_id = frame.id;
            match frame.event {
                "token" => {
                    self.text.push_str(&frame.content());
                    self.token_count += 1;
                }
                "thinking" => self.thinking.push_str(&frame.content()),
                // Of these, one alone takes back what was said.
                "state" if frame.content() != "restarted" => {}
                other => {
                    self.text.clear();
                    self.thinking.clear();
                    if other == "tool_approval" {
                        self.approvals_asked.extend(frame.call_id());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
