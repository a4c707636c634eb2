//! OpenAI's Responses, streamed and without state at the server: writes the request, and reads the answer into the same [`completions::Round`] as Chat
//! Completions.
//!
//! Pure: bytes in, pieces out. What a conversation must look like for the strictest server, and what is learned from refusals, is the same as for Chat
//! Completions and stays there; this crate knows only what is different on the wire (docs/adr/0046). Of tools of the server's own it asks for none.
//!
//! Source: OpenAI's API reference, "Responses" and "Streaming events".

mod events;
mod places;
mod reader;
mod request;

pub use reader::Reader;
pub use request::write;
