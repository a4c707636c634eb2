//! Results as each revision wants them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    model::{Implementation, Map},
    provider::{Description, Failure, FailureKind, Outcome},
    server::MAX_OUTCOME_BYTES,
    wire::{self, Era, META_FAILURE, META_SERVER_INFO},
};

/// For how long and for whom a result may be kept.
#[derive(Clone, Copy)]
pub(crate) struct Cache {
    pub(crate) ttl_ms: u64,
    pub(crate) private: bool,
}

impl Cache {
    /// What is right for anything that nobody knows more about.
    pub(crate) const NEVER: Self = Self { ttl_ms: 0, private: true };

    pub(crate) fn of(description: &Description) -> Self {
        Self { ttl_ms: description.ttl_ms.unwrap_or(0), private: description.private }
    }
}

/// Everything that makes a result a message.
#[derive(Clone)]
pub(crate) struct Frame {
    pub(crate) era: Era,
    pub(crate) id: Value,
    /// Who answers; only modern results say so.
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallToolResult<'a> {
    content: &'a [crate::Content],
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<&'a Value>,
    is_error: bool,
}

impl Frame {
    /// A complete result. `cache` is for those that the modern revision calls cacheable.
    pub(crate) fn complete(&self, result: impl Serialize, cache: Option<Cache>) -> Vec<u8> {
        self.complete_with(result, cache, Map::new())
    }

    /// The same, with this in `_meta`.
    pub(crate) fn complete_with(&self, result: impl Serialize, cache: Option<Cache>, meta: Map) -> Vec<u8> {
        self.stamp(result, "complete", cache, meta)
    }

    pub(crate) fn input_required(&self, result: impl Serialize) -> Vec<u8> {
        self.stamp(result, "input_required", None, Map::new())
    }

    /// A call that failed, in words, and which kind of failure it is.
    pub(crate) fn failed(&self, failure: &Failure) -> Vec<u8> {
        self.result(Outcome::error(failure.to_string()), failure.kind())
    }

    fn stamp(&self, result: impl Serialize, result_type: &'static str, cache: Option<Cache>, mut meta: Map) -> Vec<u8> {
        let cache = cache.filter(|_| self.era == Era::Modern);
        let server = self.server.as_ref().filter(|_| self.era == Era::Modern);
        meta.extend(server.map(|server| (META_SERVER_INFO.to_owned(), json!(server))));
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

    fn result(&self, mut outcome: Outcome, failure: Option<FailureKind>) -> Vec<u8> {
        outcome.content = outcome.content.into_iter().map(crate::Content::known).collect();
        // Before 2026-07-28 it could only be an object.
        let sent = outcome.structured.as_ref().filter(|it| self.era == Era::Modern || it.is_object());
        let in_words = outcome.structured.as_ref().filter(|_| outcome.content.is_empty() || sent.is_none());
        if let Some(text) = in_words.map(ToString::to_string) {
            let text = crate::Content::text(text);
            if !outcome.content.contains(&text) {
                outcome.content.push(text);
            }
        }
        let result = CallToolResult { content: &outcome.content, structured_content: sent, is_error: outcome.is_error };
        let meta = failure.map(|kind| (META_FAILURE.to_owned(), json!(kind)));
        let message = self.stamp(result, "complete", None, meta.into_iter().collect());
        if message.len() <= MAX_OUTCOME_BYTES {
            return message;
        }
        let words = format!("The result is larger than {MAX_OUTCOME_BYTES} bytes and was not sent.");
        self.result(Outcome::error(words), Some(FailureKind::TooLarge))
    }
}
