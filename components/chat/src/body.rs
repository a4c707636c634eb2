//! The JSON of conversations, messages and runs, as it is sent.

use domain::{
    Conversation, ConversationSettings, Cost, Decision, Id, Message, MessageRole, ModelSettings, NamedAssistant, Run,
    RunFailure, RunState, Timestamp, ToolCall, ToolResult, Usage,
};
use serde::Serialize;

/// A conversation in a list.
#[derive(Serialize)]
pub(crate) struct ListedConversation {
    id: Id,
    title: String,
    model: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    active_run_id: Option<Id>,
    temporary: bool,
    retention_days: Option<u32>,
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
pub(crate) struct ConversationBody {
    #[serde(flatten)]
    listed: ListedConversation,
    assistant: Option<NamedAssistant>,
    settings: ModelSettings,
}

impl From<Conversation> for ConversationBody {
    fn from(mut conversation: Conversation) -> Self {
        let ConversationSettings { assistant, model, .. } = std::mem::take(&mut conversation.settings);
        Self { listed: conversation.into(), assistant, settings: model }
    }
}

#[derive(Serialize)]
pub(crate) struct MessageBody {
    id: Id,
    conversation_id: Id,
    run_id: Id,
    role: MessageRole,
    content: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_error: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
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
            created_at: message.created_at,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct RunBody {
    id: Id,
    conversation_id: Id,
    message_id: Id,
    state: RunState,
    model: String,
    events_url: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    error: Option<RunFailure>,
    usage: Option<Usage>,
    provider: Option<String>,
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

#[derive(Serialize)]
pub(crate) struct QueuedBody {
    pub(crate) run: RunBody,
}

#[derive(Serialize)]
pub(crate) struct DecidedBody {
    pub(crate) call_id: String,
    pub(crate) decision: Decision,
    pub(crate) run: RunBody,
}

#[derive(Serialize)]
pub(crate) struct SentBody {
    pub(crate) message: MessageBody,
    pub(crate) run: RunBody,
}
