//! The log: one JSON object a line on standard output, which Spin keeps for each component.
//!
//! Never write here what a person said, a token, a key or an address of a person.

use std::io::{self, Write};

use domain::Timestamp;
use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What happened.
    Info,
    /// Somebody should look at it some day.
    Warn,
    /// Somebody should look at it now.
    Error,
}

#[derive(Serialize)]
struct Line<'a, F> {
    timestamp: Timestamp,
    level: Level,
    component: &'a str,
    message: &'a str,
    #[serde(flatten)]
    fields: F,
}

/// Writes a line. `fields` is an object.
pub fn log(component: &str, level: Level, message: &str, fields: impl Serialize) {
    let line = Line { timestamp: Timestamp::now(), level, component, message, fields };
    if let Ok(mut text) = serde_json::to_string(&line) {
        text.push('\n');
        // Not println!, which panics when nobody reads.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
