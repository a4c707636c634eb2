//! OpenAI's Chat Completions, streamed: the request as JSON, the answer from bytes to pieces.
//!
//! Pure: bytes in, pieces out. Who sends the request, who is told about a piece and what happens on an error is not decided here.
//! The reader is tolerant, because "OpenAI-compatible" means many servers: it asks for nothing it does not need (docs/adr/0005, 0019).

mod body;
mod calls;
mod kept;
mod loose;
mod nesting;
mod provider_error;
mod redaction;
mod repair;
pub mod request;
pub mod round;
mod thinking;
mod wire;

pub use calls::ToolCallRequest;
pub use provider_error::ProviderError;
pub use redaction::Withheld;
pub use request::{RequestMessage, RequestTool, chat_request};
pub use round::{CompletionError, Piece, Round, Usage};
