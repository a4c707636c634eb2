//! The relay that the app is compared with: it parses what a model says, chunk by chunk, and writes it again as our events, with the very
//! crates that the app does it with. No session, no database, no log.
//!
//! It is served twice: by the benchmark natively, and as a component by the host that serves the app. What the second costs more than the
//! first is the sandbox; what the app costs more than the second is the app.

#[cfg(target_family = "wasm")]
mod component;
mod turn;

pub use turn::frames;

use serde::Deserialize;
use serde_json::{Value, json};

/// What every message says.
pub const MESSAGE: &str = "hello";

/// The query of `GET /events`.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// The model's name.
    pub model: String,
}

/// What the model is asked, directly and by the relays.
#[must_use]
pub fn completion(model: &str) -> Value {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": MESSAGE}]})
}
