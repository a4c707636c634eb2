//! The JSON of an event, as its readers get it. Which fields an event has is decided in `event.rs`.

use serde::Serialize;

use super::arguments::Arguments;
use crate::{Cost, Id, Timestamp, Usage};

/// The `data:` of an event of a run.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RunEvent, example = json!({"type": "token", "content": "Hello", "metadata": {"token_count": 1, "run_id": "0199a0c2-9f5a-7e6d-9b4c-7d8e9f0a1b22", "timestamp": "2026-01-01T12:00:00.000Z"}})))]
pub struct Data<'a> {
    /// `token`, `thinking`, `tool_request`, `tool_approval`, `tool_task`, `tool_progress`, `tool_result`, `error`, `complete` or `state`.
    pub(super) r#type: &'static str,
    /// A piece of text of the model (`token`, `thinking`), a tool's name (`tool_request`, `tool_approval`, `tool_task`), its result, what it is doing
    /// (`tool_progress`), what happened (`error`), or the state.
    pub(super) content: &'a str,
    /// What else there is to say. Always `run_id` and `timestamp`, and what the type has.
    pub(super) metadata: Metadata<'a>,
}

/// The metadata of an event. Each says for which types it is there.
#[derive(Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RunEventMetadata))]
pub(super) struct Metadata<'a> {
    /// `token`: the pieces so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) token_count: Option<u64>,
    /// Those of tools: the model's id for the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) call_id: Option<&'a str>,
    /// `tool_approval`, `tool_task`, `tool_result`: the tool's name for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) name: Option<&'a str>,
    /// `tool_approval`, `tool_task`: the tool's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) server: Option<&'a str>,
    /// `tool_request`, `tool_approval`, `tool_task`: the tool's name for the person, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) title: Option<&'a str>,
    /// `tool_request`, `tool_approval`: the object as the model wrote it, whose numbers may have any length and whose names may occur twice; a text if it
    /// wrote none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, value_type = serde_json::Value))]
    pub(super) arguments: Option<Arguments<'a>>,
    /// `tool_approval`: until when the person can decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) expires_at: Option<Timestamp>,
    /// `tool_task`: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) started_at: Option<Timestamp>,
    /// `tool_approval`: only this one call can be allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) always_asks: Option<bool>,
    /// `tool_approval`: the reason for the question. The conversation has read something private, and this call sends others words that the person did not
    /// write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) may_disclose: Option<bool>,
    /// `tool_result`: the call failed or was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) is_error: Option<bool>,
    /// `tool_result`: how long the call took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) duration_ms: Option<u64>,
    /// `tool_progress`: so much is done; absent for a call that goes on at its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) progress: Option<f64>,
    /// `tool_progress`: of so much, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) total: Option<f64>,
    /// `error`: `model_unreachable`, `model_busy`, `run_abandoned` and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) code: Option<&'a str>,
    /// `error`: whether trying again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) retryable: Option<bool>,
    /// `complete`: `stop`, `length`, `content_filter` or `cancelled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) finish_reason: Option<&'a str>,
    /// `complete`: the tokens that were used. `null` means that the model reported none, so it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Usage>))]
    pub(super) usage: Option<Option<Usage>>,
    /// `complete`: the answer; `null` if nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Id>))]
    pub(super) message_id: Option<Option<Id>>,
    /// `complete`: how often the run was claimed since its last finished step. `state` `retrying`: the number of the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) attempt: Option<u64>,
    /// `state` `retrying`: the time until the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) retry_after_ms: Option<u64>,
    /// `complete`: the model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) model: Option<&'a str>,
    /// `complete`: the provider that answered. `state` `switched`: the one that is asked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) provider: Option<&'a str>,
    /// `complete`: what the tokens cost, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) cost: Option<&'a Cost>,
    /// `state` `shortened` and `switched`: what happened, for the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub(super) message: Option<&'a str>,
    /// The run.
    #[cfg_attr(feature = "openapi", schema(value_type = Id))]
    pub(super) run_id: &'a str,
    /// When it happened, by the host's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = Timestamp))]
    pub(super) timestamp: Option<Timestamp>,
}
