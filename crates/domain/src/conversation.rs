//! Conversations and the messages in them.

use serde::{Deserialize, Serialize};

use crate::{ConversationSettings, Id, Timestamp};

/// A conversation of one person with the assistant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversation {
    /// Its id.
    pub id: Id,
    /// Shown in the list. It is empty until the first message sets it.
    pub title: String,
    /// The model to ask; the installation's default if absent.
    pub model: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the person last wrote in it or changed it.
    pub updated_at: Timestamp,
    /// The run that is answering now, if any.
    pub active_run_id: Option<Id>,
    /// After how many days without use it is deleted, if its person has said so. A rule of the installation may be shorter.
    pub retention_days: Option<u32>,
    /// A chat that no list shows, and that is deleted soon after it was left.
    pub is_temporary: bool,
    /// When it is deleted unless it is used before; `None`: it is kept.
    pub expires_at: Option<Timestamp>,
    /// The id of its settings, another one after each change; `None`: everything is as usual.
    pub settings_id: Option<Id>,
    /// How the model is to answer. Lists do not read it.
    pub settings: ConversationSettings,
}

/// The author of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum MessageRole {
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool; the message is its result.
    Tool,
}

impl MessageRole {
    /// The text that is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads the text that [`Self::as_str`] returns.
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

/// A message of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: Id,
    /// The conversation that it belongs to.
    pub conversation_id: Id,
    /// The run that it started, or that wrote it.
    pub run_id: Id,
    /// Its number in the conversation, from 1 and without gaps.
    pub position: i64,
    /// Its author.
    pub role: MessageRole,
    /// The text. It may be empty if the model only called tools.
    pub content: String,
    /// The calls that the model asked for, in the model's order (assistant only).
    pub tool_calls: Vec<ToolCall>,
    /// The call that it answers, and how the call went (tool only).
    pub tool_result: Option<ToolResult>,
    /// Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, `cancelled`, `error` (assistant only).
    pub finish_reason: Option<String>,
    /// The model's reasoning before this text, for people and for servers that want it back.
    pub reasoning: Option<String>,
    /// JSON that the model's server sent for its own use. It is sent back with the message; only the code that builds requests reads it.
    pub echo: Option<String>,
    /// The files that the person attached, in their order (user only). One that was deleted is not there.
    pub files: Vec<AttachedFile>,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A file that is attached to a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttachedFile {
    /// Its id.
    pub id: Id,
    /// Its name, as the person's device had it.
    pub name: String,
    /// Its media type, by its content.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Its bytes.
    pub size: u64,
}

/// The most files of a message: more than a model looks at.
pub const MAX_FILES_OF_MESSAGE: usize = 10;

/// The server of the tools that read the files of a conversation, which is part of the app.
pub const FILES_SERVER: &str = "files";

/// The longest name of a file that models are told.
const MAX_SHOWN_NAME_CHARS: usize = 100;
/// The random part at the end of an id.
const WORD_CHARS: usize = 12;

/// A file's name as models are told it: with nothing in it that could end its quotation marks, its line or a remark.
#[must_use]
pub fn shown_file_name(name: &str) -> String {
    let is_safe =
        |letter: char| !letter.is_control() && !matches!(letter, '"' | '<' | '>' | '(' | ')' | '\u{2028}' | '\u{2029}');
    name.chars().take(MAX_SHOWN_NAME_CHARS).map(|letter| if is_safe(letter) { letter } else { '_' }).collect()
}

/// The word that marks where a file begins and ends in a prompt, and by which models may name it.
#[must_use]
pub fn file_word(id: Id) -> String {
    let id = id.to_string();
    id.get(id.len().saturating_sub(WORD_CHARS)..).unwrap_or_default().to_owned()
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolCall {
    /// The model's id for it, unique within the run.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// JSON text. It may be malformed, because the model wrote it.
    pub arguments: String,
}
