//! OpenAI's Chat Completions, streamed: the request as JSON, the answer from bytes to pieces.
//!
//! Pure: bytes in, pieces out. Who sends the request, who is told about a piece and what happens on an error is not decided here.
//! The reader is tolerant, because "OpenAI-compatible" means many servers: it asks for nothing it does not need (docs/adr/0005).

pub mod request;
pub mod round;
mod wire;

pub use request::{RequestMessage, RequestTool, chat_request};
pub use round::{CompletionError, Piece, Round, ToolCallRequest, Usage};
