//! Conversations and the messages in them.

use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

/// A conversation of one person with the assistant.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its id.
    pub id: Id,
    /// Shown in the list; empty until the first message gives it one.
    pub title: String,
    /// The model to ask; the installation's default when absent.
    pub model: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the person last wrote or changed it.
    pub updated_at: Timestamp,
    /// The run that is answering right now.
    pub active_run_id: Option<Id>,
}

/// Whose words a message holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The person's.
    User,
    /// The model's.
    Assistant,
    /// A tool's result.
    Tool,
}

impl MessageRole {
    /// As stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// From what [`Self::as_str`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// Where it belongs.
    pub conversation_id: Id,
    /// The run that it set off, or that wrote it.
    pub run_id: Id,
    /// 1 for the first of its conversation, then upwards without a gap.
    pub position: i64,
    /// Whose words.
    pub role: MessageRole,
    /// The text; may be empty when the model only called tools.
    pub content: String,
    /// What the model asked for, in its order (assistant only).
    pub tool_calls: Vec<ToolCall>,
    /// What it is the result of (tool only).
    pub tool_result: Option<ToolResult>,
    /// Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, `cancelled`, `error` (assistant only).
    pub finish_reason: Option<String>,
    /// What the model thought before it said this; for people, and for servers that want it back.
    pub reasoning: Option<String>,
    /// What its server sent along for itself, to be sent back with it: JSON that nobody but whoever builds requests reads.
    pub echo: Option<String>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Message {
    /// The call whose result this is.
    #[must_use]
    pub fn tool_call_id(&self) -> Option<&str> {
        self.tool_result.as_ref().map(|result| result.call_id.as_str())
    }
}

/// Which call a message answers, and how the call went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolResult {
    /// The model's id for the call.
    pub call_id: String,
    /// Whether it failed or was not made.
    pub is_error: bool,
    /// How long it took; absent when an earlier release stored it.
    pub duration_ms: Option<u64>,
    /// The tool's name for people, if it has one.
    pub title: Option<String>,
}

/// A tool call as the model wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's id for it, unique within the run.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text, which may be malformed: it is the model's.
    pub arguments: String,
}
