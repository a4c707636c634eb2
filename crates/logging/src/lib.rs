//! The log: one JSON object a line on standard output, which the host keeps for each component. Every line begins with the same fields;
//! `docs/logs.md` names all messages and what else is in them.
//!
//! Never log a person's words or address, a token or a key.

mod levels;

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU8, Ordering},
};

use domain::Timestamp;
use serde::Serialize;
use trace_context::Scope;

pub use levels::{InvalidLevels, Level, least};

/// The least severe level that is written, as a number. It is the same for all of an instance.
static LEAST: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// The fields of every line, in this order. The ids are there if the line belongs to a request.
#[derive(Serialize)]
struct Line<'a, F> {
    timestamp: Timestamp,
    level: Level,
    component: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(flatten)]
    fields: F,
}

/// Writes only lines of this level and of more severe ones from now on.
pub fn write_from(level: Level) {
    LEAST.store(level as u8, Ordering::Relaxed);
}

/// Writes a line. `fields` is an object, and has none of the fields that every line has. Nothing is written if nobody reads.
pub fn log(component: &str, level: Level, message: &str, fields: impl Serialize) {
    if (level as u8) < LEAST.load(Ordering::Relaxed) {
        return;
    }
    let scope = trace_context::current();
    if let Ok(mut text) = line(component, level, message, scope.as_deref(), fields) {
        text.push('\n');
        // `println!` would panic when nobody reads the output.
        let _ = io::stdout().write_all(text.as_bytes());
    }
}

fn line(
    component: &str,
    level: Level,
    message: &str,
    scope: Option<&Scope>,
    fields: impl Serialize,
) -> serde_json::Result<String> {
    serde_json::to_string(&Line {
        timestamp: Timestamp::now(),
        level,
        component,
        message,
        trace_id: scope.map(|scope| scope.trace.trace_id()),
        span_id: scope.map(|scope| scope.trace.span_id()),
        request_id: scope.and_then(|scope| scope.request_id.as_deref()),
        fields,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trace_context::TraceContext;

    use super::*;

    #[test]
    fn every_line_begins_with_the_same_fields_in_the_same_order() {
        let trace = TraceContext::continued(Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let scope = Scope { trace, request_id: Some("r1".to_owned()) };
        let text = line("chat", Level::Warn, "something", Some(&scope), json!({ "cause": "c" })).unwrap();
        let places = ["timestamp", "level", "component", "message", "trace_id", "span_id", "request_id", "cause"]
            .map(|name| text.find(&format!("\"{name}\":")).unwrap());
        assert!(places.is_sorted() && text.starts_with("{\"timestamp\":"), "{text}");
        assert!(
            text.contains("\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"") && text.contains("\"level\":\"warn\"")
        );
        let outside = line("chat", Level::Info, "something", None, json!({})).unwrap();
        assert!(!outside.contains("_id") && !outside.contains('\n'), "{outside}");
    }
}
