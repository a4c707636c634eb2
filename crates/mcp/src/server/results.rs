//! Writes results in the form of each revision.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    model::{Content, Implementation, Map},
    provider::{Description, Failure, FailureKind, Outcome},
    server::MAX_OUTCOME_BYTES,
    task::{Task, TaskState},
    wire::{self, Era, META_FAILURE, META_RELATED_TASK, META_SERVER_INFO},
};

/// How long and for whom a result may be cached.
#[derive(Clone, Copy)]
pub(crate) struct Cache {
    pub(crate) ttl_ms: u64,
    pub(crate) private: bool,
}

impl Cache {
    /// The safe choice for results about which nothing is known.
    pub(crate) const NEVER: Self = Self { ttl_ms: 0, private: true };

    pub(crate) fn of(description: &Description) -> Self {
        Self { ttl_ms: description.ttl_ms.unwrap_or(0), private: description.private }
    }
}

/// Turns results into JSON-RPC messages.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) era: Era,
    pub(crate) id: Value,
    /// The server's name and version. Only modern results have them.
    pub(crate) server: Option<Implementation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamped<R> {
    #[serde(flatten)]
    result: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_scope: Option<&'static str>,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map,
}

/// The result of a call as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Presented {
    content: Vec<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Value>,
    is_error: bool,
}

impl Presented {
    /// Adapts the result to the revision.
    pub(crate) fn new(outcome: Outcome, era: Era) -> Self {
        let Outcome { content, structured, is_error } = outcome;
        let mut content: Vec<Content> = content.into_iter().map(Content::known).collect();
        // Before 2026-07-28 a structured result must be an object.
        let is_sent = structured.as_ref().is_some_and(|it| era == Era::Modern || it.is_object());
        let in_words = structured.as_ref().filter(|_| content.is_empty() || !is_sent);
        if let Some(text) = in_words.map(|structured| Content::text(structured.to_string()))
            && !content.contains(&text)
        {
            content.push(text);
        }
        Self { content, structured_content: structured.filter(|_| is_sent), is_error }
    }
}

impl Frame {
    /// A complete result. `cache` is for results that the modern revision calls cacheable.
    pub(crate) fn complete(&self, result: impl Serialize, cache: Option<Cache>) -> Vec<u8> {
        self.complete_with(result, cache, None)
    }

    /// Like [`Self::complete`], with another entry in `_meta`.
    pub(crate) fn complete_with(
        &self,
        result: impl Serialize,
        cache: Option<Cache>,
        more: Option<(&str, Value)>,
    ) -> Vec<u8> {
        self.stamp(result, "complete", cache, more)
    }

    pub(crate) fn input_required(&self, result: impl Serialize) -> Vec<u8> {
        self.stamp(result, "input_required", None, None)
    }

    /// A failed call: the message, and the kind of failure.
    pub(crate) fn failed(&self, failure: &Failure) -> Vec<u8> {
        self.result(Outcome::error(failure.to_string()), failure.kind().map(kind))
    }

    /// The task that a call has become.
    pub(crate) fn created(&self, task: &Task) -> Vec<u8> {
        self.stamp(task.created(self.era), "task", None, None)
    }

    /// The state of a task.
    pub(crate) fn task(&self, task: Task) -> Vec<u8> {
        let message = self.complete(task.detailed(self.era), None);
        if message.len() <= MAX_OUTCOME_BYTES {
            return message;
        }
        self.complete(Task { state: TaskState::Completed(too_large()), ..task }.detailed(self.era), None)
    }

    /// The result of a task, as 2025-11-25 requests it.
    pub(crate) fn task_result(&self, outcome: Outcome, id: &str) -> Vec<u8> {
        self.result(outcome, Some((META_RELATED_TASK, json!({"taskId": id}))))
    }

    fn stamp(
        &self,
        result: impl Serialize,
        result_type: &'static str,
        cache: Option<Cache>,
        more: Option<(&str, Value)>,
    ) -> Vec<u8> {
        let cache = cache.filter(|_| self.era == Era::Modern);
        let server = self.server.as_ref().filter(|_| self.era == Era::Modern);
        let mut meta = Map::new();
        meta.extend(server.map(|server| (META_SERVER_INFO.to_owned(), json!(server))));
        meta.extend(more.map(|(key, value)| (key.to_owned(), value)));
        let stamped = Stamped {
            result,
            result_type: (self.era == Era::Modern).then_some(result_type),
            ttl_ms: cache.map(|cache| cache.ttl_ms),
            cache_scope: cache.map(|cache| if cache.private { "private" } else { "public" }),
            meta,
        };
        wire::result(&self.id, stamped)
    }

    pub(crate) fn outcome(&self, outcome: Outcome) -> Vec<u8> {
        self.result(outcome, None)
    }

    fn result(&self, outcome: Outcome, more: Option<(&str, Value)>) -> Vec<u8> {
        let message = self.stamp(Presented::new(outcome, self.era), "complete", None, more);
        if message.len() <= MAX_OUTCOME_BYTES {
            return message;
        }
        let presented = Presented::new(too_large(), self.era);
        self.stamp(presented, "complete", None, Some(kind(FailureKind::TooLarge)))
    }
}

/// The entry in `_meta` for the kind of failure.
fn kind(kind: FailureKind) -> (&'static str, Value) {
    (META_FAILURE, json!(kind))
}

fn too_large() -> Outcome {
    Outcome::error(format!("The result is larger than {MAX_OUTCOME_BYTES} bytes and was not sent."))
}
