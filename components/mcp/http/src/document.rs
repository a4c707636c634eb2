//! The text of a document, JSON or YAML, as a JSON value of bounded size. Must not know OpenAPI beyond its version.

use serde_json::Value;
use serde_saphyr::{
    budget, options,
    options::{AliasLimits, DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

/// What a document may have: every node has two bytes or more, and those of documents of two MiB have some ten.
const NODES_MAX: usize = 400_000;
/// How many nodes aliases may become. Anchors are rare in these documents, and what they hold is small.
const ALIAS_NODES_MAX: usize = 100_000;
/// How deep nodes may lie in each other. The deepest of large public APIs have a third.
const DEPTH_MAX: usize = 64;

/// The versions that are read; what is new in the last one is left out.
const VERSIONS: [&str; 3] = ["3.0", "3.1", "3.2"];

/// Reads a document of OpenAPI 3.
///
/// # Errors
/// In words, why it cannot be used.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    let value = if text.trim_start().starts_with('{') {
        // JSON with tabs is no YAML; YAML in braces is no JSON.
        serde_json::from_str(text).or_else(|error| yaml(text).map_err(|_| format!("it is no JSON: {error}")))?
    } else {
        yaml(text)?
    };
    let version = match value.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        // YAML without quotes.
        Some(Value::Number(version)) => version.to_string(),
        _ if value.get("swagger").is_some() => return Err("it is Swagger 2.0: convert it to OpenAPI 3".to_owned()),
        _ => return Err("it has no `openapi: 3...`".to_owned()),
    };
    let is_read =
        |known: &&str| version.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if VERSIONS.iter().any(is_read) {
        return Ok(value);
    }
    Err(format!("it is OpenAPI {}: {} are read", crate::value::cut(&version, 20), VERSIONS.join(", ")))
}

fn yaml(text: &str) -> Result<Value, String> {
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = ALIAS_NODES_MAX;
    let options = options! {
        budget: budget! {
            max_events: NODES_MAX.saturating_mul(2),
            max_nodes: NODES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_recorded_anchor_events: ALIAS_NODES_MAX,
            max_total_scalar_bytes: crate::folder::DOCUMENT_BYTES_MAX.saturating_mul(2),
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: aliases,
        // As in JSON.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        // YAML 1.2, core schema, which OpenAPI prescribes: `no` and `on` are words, `0123` and `1_000` no numbers.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // JSON has no `.inf`: one of them is no reason to do without the document.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    crate::yaml::read(text, options).map_err(|error| format!("it is no YAML: {error}"))
}
