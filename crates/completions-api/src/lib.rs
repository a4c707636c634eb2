//! Chat Completions as a server has them (OpenAI's API reference, "Create chat completion"): what a program asks an assistant, read and checked; and the
//! answer in that API's form, made of the events of a run as they come.
//!
//! Must not know who asks, where a run is stored, or how an answer is sent.

mod answer;
mod request;
mod response_format;

pub use answer::{Answer, Ending, Failure};
pub use request::{AssistantRequest, InvalidRequest};
pub use response_format::{InvalidFormat, Wanted};
