//! OpenAI's Chat Completions, streamed: writes the request as JSON, and parses the response from bytes to pieces.
//!
//! Pure: bytes in, pieces out. It neither sends requests nor reports pieces, and does not decide what happens on an error. The parser is
//! tolerant, because many different servers are "OpenAI-compatible": it requires only the fields it uses (docs/adr/0005, 0019).

pub mod addition;
mod body;
mod calls;
mod complaint;
pub mod dialect;
mod generation;
mod kept;
pub mod learning;
mod loose;
mod names;
mod nesting;
mod numbers;
mod provider_error;
mod redaction;
mod repair;
pub mod request;
pub mod round;
pub mod schema;
mod thinking;
mod turns;
mod wire;
mod wishes;

pub use calls::ToolCallRequest;
pub use dialect::Dialect;
pub use generation::{Generation, JsonFormat};
pub use learning::{Lesson, Sent};
pub use provider_error::{ProviderError, Reported};
pub use redaction::{Withheld, without_credentials_of};
pub use repair::repaired;
pub use request::{Answer, Call, ChatRequest, Echo, FunctionTool, Part, Said};
pub use round::{CompletionError, Piece, Round, Usage};
