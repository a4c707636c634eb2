//! OpenAI's Chat Completions, streamed: the request as JSON, the answer from bytes to pieces.
//!
//! Pure: bytes in, pieces out. Who sends the request, who is told about a piece and what happens on an error is not decided here.
//! The reader is tolerant, because "OpenAI-compatible" means many servers: it asks for nothing it does not need (docs/adr/0005, 0019).

pub mod address;
mod body;
mod calls;
pub mod dialect;
mod kept;
pub mod learning;
mod loose;
mod names;
mod nesting;
mod provider_error;
mod redaction;
mod repair;
pub mod request;
pub mod round;
pub mod schema;
mod thinking;
mod turns;
mod wire;

pub use address::Address;
pub use calls::ToolCallRequest;
pub use dialect::Dialect;
pub use learning::{Lesson, Sent};
pub use provider_error::ProviderError;
pub use redaction::Withheld;
pub use request::{Answer, Call, ChatRequest, Echo, Part, Tool};
pub use round::{CompletionError, Piece, Round, Usage};
