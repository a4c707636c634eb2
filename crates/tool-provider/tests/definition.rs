//! `#[tool]` makes a definition and a call of a function.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::time::Duration;

use futures::executor::block_on;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Progress, Structured, Tool, tool};

#[derive(Deserialize, JsonSchema)]
struct Roll {
    /// How many sides the die has.
    sides: u32,
    label: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Rolled {
    value: u32,
}

/// Rolls a die. Use it whenever
/// chance should decide.
///
/// It knows
/// - six sides
/// - twenty sides
#[tool(title = "Roll a die", secret = "seed", cache_ms = 1_000, read_only, closed_world)]
async fn roll(arguments: Roll, context: &Context) -> Result<Structured<Rolled>, Failure> {
    context.secret("seed")?;
    match (arguments.sides, arguments.label) {
        (0, _) => Err(Failure::InvalidArguments("A die has sides.".to_owned())),
        (sides, _) => Ok(Structured(Rolled { value: sides })),
    }
}

/// Says nothing.
#[tool(additive, always_asks)]
async fn silence(_: Roll) -> Result<String, Failure> {
    Ok(String::new())
}

fn context(secrets: &[(&str, &str)]) -> Context {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Context { id: "1".to_owned(), preferences: Vec::new(), deadline: Duration::from_secs(1), secrets }
}

#[test]
fn a_functions_comments_types_and_attributes_are_its_definition() {
    let definition = roll::definition();
    assert_eq!((definition.name, definition.title), ("roll", Some("Roll a die")));
    assert_eq!(
        definition.description,
        "Rolls a die. Use it whenever chance should decide.\n\nIt knows\n- six sides\n- twenty sides"
    );
    assert_eq!((definition.secrets, definition.cache_ms), (&["seed"] as &[_], Some(1_000)));
    let hints = (definition.read_only, definition.destructive, definition.idempotent, definition.open_world);
    assert_eq!((hints, definition.always_asks), ((true, false, true, false), false));
    let schema: serde_json::Value = serde_json::from_str(&definition.input_schema).unwrap();
    assert_eq!(schema.pointer("/required"), Some(&serde_json::json!(["sides"])));
    assert_eq!(schema.pointer("/properties/sides/description"), Some(&"How many sides the die has.".into()));
    assert!(definition.output_schema.is_some_and(|schema| schema.contains("value")));
}

#[test]
fn a_tool_that_says_nothing_of_itself_may_do_anything() {
    let definition = silence::definition();
    let hints = (definition.read_only, definition.destructive, definition.idempotent, definition.open_world);
    assert_eq!((hints, definition.output_schema), ((false, false, false, true), None));
    assert!(definition.always_asks);
}

#[test]
fn a_call_reads_its_arguments_and_gives_text_and_structure() {
    let answer = block_on(roll::call(r#"{"sides":6}"#, &context(&[("seed", "s")]), &Progress::default())).unwrap();
    assert_eq!((answer.text.as_str(), answer.structured.as_deref()), (r#"{"value":6}"#, Some(r#"{"value":6}"#)));
    let failed = |arguments, secrets: &[_]| {
        block_on(roll::call(arguments, &context(secrets), &Progress::default())).unwrap_err()
    };
    assert!(matches!(failed("{}", &[]), Failure::InvalidArguments(words) if words.contains("sides")));
    assert!(matches!(failed(r#"{"sides":6}"#, &[]), Failure::NotConfigured(words) if words.contains("seed")));
    assert!(matches!(failed(r#"{"sides":0}"#, &[("seed", "s")]), Failure::InvalidArguments(_)));
}
