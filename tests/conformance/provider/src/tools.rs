//! The tools that the suite calls.

use mcp::{Content, Failure, LogLevel, Map, MissingCapability, Notice, Outcome, Tool};
use serde_json::{Value, json, value::to_raw_value};

use crate::{Input, Step, asking, content};

/// The tools listed.
pub fn list() -> Vec<Tool> {
    let simple = [
        ("test_simple_text", "Answers with a text"),
        ("test_image_content", "Answers with a picture"),
        ("test_audio_content", "Answers with a sound"),
        ("test_embedded_resource", "Answers with a resource"),
        ("test_multiple_content_types", "Answers with a text, a picture and a resource"),
        ("test_tool_with_logging", "Logs three lines"),
        ("test_logging_tool", "Logs a line"),
        ("test_tool_with_progress", "Makes progress"),
        ("test_error_handling", "Fails"),
        ("test_missing_capability", "Needs a client that can sample"),
        ("test_streaming_elicitation", "Asks for a name"),
    ];
    let headers = json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}});
    let special = [
        ("test_header_tool", "Has an argument that is also a header", headers),
        ("json_schema_2020_12_tool", "Has a schema with everything", schema_2020_12()),
    ];
    let without_arguments = simple.into_iter().chain(asking::TOOLS.iter().copied());
    without_arguments
        .map(|(name, description)| (name, description, json!({"type": "object", "properties": {}})))
        .chain(special)
        .filter_map(|(name, description, schema)| {
            Some(Tool {
                name: name.to_owned(),
                title: None,
                description: Some(description.to_owned()),
                input_schema: to_raw_value(&schema).ok()?,
                output_schema: None,
                annotations: mcp::Annotations::default(),
                execution: mcp::ToolExecution::default(),
                meta: None,
            })
        })
        .collect()
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"}
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false
    })
}

/// Calls a tool.
pub fn call(name: &str, input: Input<'_>) -> Result<Step, Failure> {
    let contents = match name {
        "test_simple_text" | "test_header_tool" | "json_schema_2020_12_tool" => {
            vec![Content::text("This is a simple text response for testing.")]
        }
        "test_image_content" => vec![content::image()],
        "test_audio_content" => {
            vec![Content::Audio { data: content::WAV.to_owned(), mime_type: "audio/wav".to_owned() }]
        }
        "test_embedded_resource" => {
            let resource = content::text_resource("test://embedded-resource", "text/plain", "An embedded resource.");
            vec![Content::Resource { resource }]
        }
        "test_multiple_content_types" => {
            let uri = "test://mixed-content-resource";
            let resource = content::text_resource(uri, "application/json", r#"{"test":"data"}"#);
            vec![Content::text("Multiple content types test:"), content::image(), Content::Resource { resource }]
        }
        "test_tool_with_logging" => {
            return Ok(live(["Tool execution started", "Tool processing data", "Tool execution completed"].map(log)));
        }
        "test_logging_tool" => return Ok(live([log("Tool called")])),
        "test_tool_with_progress" => return Ok(live([0.0, 50.0, 100.0].map(progress))),
        "test_error_handling" => {
            return Ok(Step::Done(Outcome::error("This tool intentionally returns an error for testing")));
        }
        "test_missing_capability" if !input.capabilities.contains_key("sampling") => {
            let capabilities = Map::from_iter([("sampling".to_owned(), json!({}))]);
            return Err(MissingCapability { capabilities, words: None }.into());
        }
        "test_missing_capability" => vec![Content::text("The client can sample.")],
        _ => return asking::call(name, input),
    };
    Ok(Step::Done(Outcome { content: contents, ..Outcome::default() }))
}

fn log(line: &str) -> Notice {
    Notice::Log { level: LogLevel::Info, logger: None, data: line.into() }
}

fn progress(progress: f64) -> Notice {
    let message = Some(format!("Completed step {progress} of 100"));
    Notice::Progress { progress, total: Some(100.0), message }
}

fn live<const N: usize>(notices: [Notice; N]) -> Step {
    let end = Notice::Done(Ok(Outcome::text("Done.")));
    Step::Live(notices.into_iter().chain([end]).collect())
}
