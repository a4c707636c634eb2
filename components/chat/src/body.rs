//! The JSON of conversations, messages and runs, as it is sent.

use domain::{
    AttachedFile, Conversation, ConversationSettings, Cost, Decision, Id, Message, MessageRole, ModelSettings,
    NamedAssistant, Run, RunFailure, RunState, Timestamp, ToolCall, ToolResult, Usage,
};
use serde::Serialize;

/// A conversation in a list.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ListedConversation, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "title": "Plans for spring", "model": null, "created_at": "2026-01-01T12:00:00.000Z", "updated_at": "2026-01-01T12:00:00.000Z", "active_run_id": null, "temporary": false, "retention_days": null, "expires_at": null})))]
pub(crate) struct ListedConversation {
    id: Id,
    /// Empty until the first message sets it, and of a temporary chat.
    title: String,
    /// The model that answers; null: the default of the installation.
    model: Option<String>,
    created_at: Timestamp,
    /// When it was last written in or changed.
    updated_at: Timestamp,
    /// The run that is answering now.
    active_run_id: Option<Id>,
    /// A chat that no list shows and that goes thirty minutes after its last use.
    temporary: bool,
    /// The person's own wish: after how many days without use it is deleted.
    retention_days: Option<u32>,
    /// When it is deleted unless it is used before; null: it is kept.
    expires_at: Option<Timestamp>,
}

impl From<Conversation> for ListedConversation {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id,
            title: conversation.title,
            model: conversation.model,
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
            active_run_id: conversation.active_run_id,
            temporary: conversation.is_temporary,
            retention_days: conversation.retention_days,
            expires_at: conversation.expires_at,
        }
    }
}

/// A conversation with its settings, which may be long.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Conversation, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "title": "Plans for spring", "model": null, "created_at": "2026-01-01T12:00:00.000Z", "updated_at": "2026-01-01T12:00:00.000Z", "active_run_id": null, "temporary": false, "retention_days": null, "expires_at": null, "assistant": null, "settings": {"instructions": "Be brief.", "temperature": 0.7, "max_output_tokens": 500, "reasoning_effort": null, "tools": null}})))]
pub(crate) struct ConversationBody {
    #[serde(flatten)]
    listed: ListedConversation,
    /// The assistant whose settings it has.
    assistant: Option<NamedAssistant>,
    settings: ModelSettings,
}

impl From<Conversation> for ConversationBody {
    fn from(mut conversation: Conversation) -> Self {
        let ConversationSettings { assistant, model, .. } = std::mem::take(&mut conversation.settings);
        Self { listed: conversation.into(), assistant, settings: model }
    }
}

/// A message of a conversation.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Message, example = json!({"id": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "conversation_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "run_id": "0199a0c2-9f5a-7e6d-9b4c-7d8e9f0a1b22", "role": "assistant", "content": "It is seven in Lima.", "finish_reason": "stop", "created_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct MessageBody {
    id: Id,
    conversation_id: Id,
    /// The run that it began, or that wrote it.
    run_id: Id,
    role: MessageRole,
    /// The text. Empty if the model only called tools.
    content: String,
    /// `assistant`: the calls that the model asked for, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    /// `tool`: the call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    tool_call_id: Option<String>,
    /// `tool`: the call failed or was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    tool_error: Option<bool>,
    /// `tool`: how long the call took, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    duration_ms: Option<u64>,
    /// `tool`: the tool's name for people, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    title: Option<String>,
    /// `assistant`: why the model stopped: `stop`, `length`, `content_filter`, `tool_calls`, `cancelled` or `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    finish_reason: Option<String>,
    /// `assistant`: the model's reasoning before the message, the same text as in the events `thinking`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(nullable = false))]
    reasoning: Option<String>,
    /// `user`: the files that are attached. One that was deleted is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<AttachedFile>,
    created_at: Timestamp,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let (tool_call_id, tool_error, duration_ms, title) = match message.tool_result {
            Some(ToolResult { call_id, is_error, duration_ms, title }) => {
                (Some(call_id), Some(is_error), duration_ms, title)
            }
            None => (None, None, None, None),
        };
        Self {
            id: message.id,
            conversation_id: message.conversation_id,
            run_id: message.run_id,
            role: message.role,
            content: message.content,
            tool_calls: message.tool_calls,
            tool_call_id,
            tool_error,
            duration_ms,
            title,
            finish_reason: message.finish_reason,
            reasoning: message.reasoning,
            files: message.files,
            created_at: message.created_at,
        }
    }
}

/// The work of answering one message.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Run, example = json!({"id": "0199a0c2-9f5a-7e6d-9b4c-7d8e9f0a1b22", "conversation_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "message_id": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "state": "complete", "model": "gpt-4.1-mini", "events_url": "/api/runs/0199a0c2-9f5a-7e6d-9b4c-7d8e9f0a1b22/events", "created_at": "2026-01-01T12:00:00.000Z", "updated_at": "2026-01-01T12:00:04.000Z", "error": null, "usage": {"prompt_tokens": 120, "completion_tokens": 9, "total_tokens": 129}, "provider": "default", "cost": {"amount": 6.2e-05, "currency": "USD"}})))]
pub(crate) struct RunBody {
    id: Id,
    conversation_id: Id,
    /// The message that it answers.
    message_id: Id,
    state: RunState,
    /// The model that it asks.
    model: String,
    /// Where its events are.
    events_url: String,
    created_at: Timestamp,
    /// When it was last claimed, or ended.
    updated_at: Timestamp,
    /// Why it failed.
    error: Option<RunFailure>,
    /// What it used so far. It grows while the run calls tools.
    usage: Option<Usage>,
    /// The provider that answered, or was asked last.
    provider: Option<String>,
    /// What its tokens cost, if they have a price.
    cost: Option<Cost>,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            conversation_id: run.conversation_id,
            message_id: run.message_id,
            state: run.state,
            model: run.model,
            events_url: format!("/api/runs/{}/events", run.id),
            created_at: run.created_at,
            updated_at: run.updated_at,
            error: run.failure,
            usage: run.usage,
            provider: run.provider,
            cost: run.cost,
        }
    }
}

/// A run that was queued.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = QueuedRun))]
pub(crate) struct QueuedBody {
    pub(crate) run: RunBody,
}

/// A decision, and the run that it is about.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DecidedCall))]
pub(crate) struct DecidedBody {
    /// The model's id for the call.
    pub(crate) call_id: String,
    pub(crate) decision: Decision,
    pub(crate) run: RunBody,
}

/// A message, and the run that answers it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SentMessage))]
pub(crate) struct SentBody {
    pub(crate) message: MessageBody,
    pub(crate) run: RunBody,
}
