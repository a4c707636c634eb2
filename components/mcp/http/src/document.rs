//! Parses a document, JSON or YAML, to a JSON value of limited size. It knows only the version of OpenAPI.

use serde_json::Value;
use serde_saphyr::{
    budget, options,
    options::{AliasLimits, DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

/// The most nodes. A node has at least two bytes; in documents of two MiB it has about ten.
const NODES_MAX: usize = 400_000;
/// The most nodes from aliases. Anchors are rare in these documents and contain little.
const ALIAS_NODES_MAX: usize = 100_000;
/// The deepest nesting. The deepest of large public APIs have a third of it.
const DEPTH_MAX: usize = 64;

/// The accepted versions. What is new in the last one is left out.
const VERSIONS: [&str; 3] = ["3.0", "3.1", "3.2"];

/// Parses a document of OpenAPI 3.
///
/// # Errors
/// The reason why it cannot be used.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    let value = if text.trim_start().starts_with('{') {
        // JSON with tabs is not YAML, and YAML in braces is not JSON.
        serde_json::from_str(text).or_else(|error| yaml(text).map_err(|_| format!("it is not JSON: {error}")))?
    } else {
        yaml(text)?
    };
    let version = match value.get("openapi") {
        Some(Value::String(version)) => version.clone(),
        // YAML reads an unquoted version as a number.
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
        // YAML 1.2 with the core schema, which OpenAPI requires: `no` and `on` are strings, and so are `0123` and `1_000`.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        // JSON has no `.inf`, but that is no reason to refuse the document.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    crate::yaml::read(text, options).map_err(|error| format!("it is not YAML: {error}"))
}
