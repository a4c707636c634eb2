//! The relay that the app is compared with. It parses a model's answer chunk by chunk and writes it as our events, with the same crates as the
//! app. No session, no database, no log.
//!
//! It is served twice: natively by the benchmark, and as a component by the host that serves the app. The difference between the two is the cost
//! of the sandbox; the difference between the component and the app is the cost of the app.

#[cfg(target_family = "wasm")]
mod component;
mod turn;

pub use turn::frames;

use serde::Deserialize;
use serde_json::{Value, json};

/// The content of every message.
pub const MESSAGE: &str = "hello";

/// The query of `GET /events`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// The model's name.
    pub model: String,
}

/// The request to the model, sent directly and by the relays.
#[must_use]
pub fn completion(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": MESSAGE}]})
}
