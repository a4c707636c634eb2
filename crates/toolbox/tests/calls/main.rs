//! Tests the crate from outside: names of tools, permissions, arguments and results, and all steps of a call in a scripted world.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod arguments;
mod catalog;
mod content;
mod execution;
mod exposure;
mod hostile_schemas;
mod policy;
mod tasks;
mod world;

use serde_json::{Value, value::RawValue};
use toolbox::{Annotations, KnownTool};

/// A tool with a name and defaults for everything else.
fn tool(server: &str, name: &str) -> KnownTool {
    KnownTool {
        server: server.to_owned(),
        name: name.to_owned(),
        title: None,
        description: String::new(),
        input_schema: raw(&serde_json::json!({"type": "object"})),
        output_schema: None,
        is_mended: false,
        annotations: Annotations::default(),
        remote: false,
        built_in: false,
        reads_private: false,
        always_asks: false,
        task_support: toolbox::TaskSupport::Forbidden,
        result_ttl_ms: None,
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}
