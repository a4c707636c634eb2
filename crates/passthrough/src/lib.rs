//! A program's request that goes on to a provider of models as it came, and the provider's answer that goes back as it came.
//!
//! What is looked at is what decides (the model, whether it streams) and what is counted (tokens). Everything else passes unread, so whatever a provider
//! understands works, also what this release has never heard of. Must not send anything, and must not know who asks.

mod answer;
mod endpoint;
mod references;
mod request;
mod tokens;
mod tools;
mod usage;
mod words;

pub use answer::{Answer, is_failure};
pub use endpoint::Endpoint;
pub use request::{Additions, InvalidRequest, Request};
pub use usage::Usage;
