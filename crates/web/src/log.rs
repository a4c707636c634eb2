//! The log: one JSON object a line on standard output, which Spin keeps for each component.
//!
//! Never log a person's words or address, a token or a key.

use std::io::{self, Write};

use domain::Timestamp;
use serde::Serialize;

/// The severity of a log line.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something happened as expected.
    Info,
    /// An operator should look at it some day.
    Warn,
    /// An operator should look at it now.
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
        // `println!` would panic when nobody reads the output.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}
