//! The types of the assistant's domain: conversations, messages, runs and the events of a run.
//!
//! Pure: no storage, no HTTP, no Spin. Rows and wire formats belong to other crates, except the event frame, which is the same text in the database
//! and on the wire ([`event`]).

pub mod conversation;
pub mod event;
pub mod id;
pub mod limits;
pub mod memory;
pub mod prices;
pub mod run;
pub mod settings;
pub mod time;
pub mod tokens;
pub mod tool;
pub mod user;

pub use conversation::{
    AttachedFile, Conversation, FILES_SERVER, MAX_FILES_OF_MESSAGE, Message, MessageRole, ToolCall, ToolResult,
    file_word, shown_file_name,
};
pub use id::Id;
pub use memory::Memory;
pub use run::{Cost, Run, RunFailure, RunState, RunStep, Usage};
pub use settings::{
    AssistantContents, ConversationSettings, ModelSettings, NamedAssistant, ReasoningEffort, ResponseFormat,
    Temperature,
};
pub use time::Timestamp;
pub use tool::{Decision, Effect};
pub use user::User;
