//! Headers that repeat parts of a request: which arguments of a tool they repeat, and how values are written in them.
//!
//! 2026-07-28, "Streamable HTTP", "Request Metadata". Client and server use the same functions, so they agree.

use std::{collections::HashSet, slice};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, value::RawValue};

use crate::model::Map;

/// The JSON Schema keyword that asks for a header.
const ANNOTATION: &str = "x-mcp-header";
const PARAMETER_PREFIX: &str = "mcp-param-";
const BASE64_PREFIX: &str = "=?base64?";
const BASE64_SUFFIX: &str = "?=";
/// The largest integer that all JSON implementations read alike (2^53 - 1).
const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Writes a value so that it arrives unchanged: in Base64 if a header cannot hold it as it is.
pub(crate) fn encode(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && value.trim_matches([' ', '\t']).len() == value.len()
        && !is_encoded(value);
    if plain {
        HeaderValue::from_str(value).ok()
    } else {
        HeaderValue::from_str(&format!("{BASE64_PREFIX}{}{BASE64_SUFFIX}", BASE64_STANDARD.encode(value))).ok()
    }
}

fn is_encoded(value: &str) -> bool {
    value.strip_prefix(BASE64_PREFIX).is_some_and(|rest| rest.ends_with(BASE64_SUFFIX))
}

/// Reads a header's value; `None` if the header is missing. It is an error if the header is sent twice or is malformed.
pub(crate) fn decode(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("{name} is sent more than once"));
    }
    let text = value.to_str().map_err(|_| format!("{name} has characters that a header cannot have"))?;
    let encoded = text.strip_prefix(BASE64_PREFIX).and_then(|rest| rest.strip_suffix(BASE64_SUFFIX));
    let Some(encoded) = encoded else { return Ok(Some(text.to_owned())) };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| format!("{name} is not Base64"))?;
    String::from_utf8(bytes).map(Some).map_err(|_| format!("{name} is not UTF-8"))
}

/// An argument that a header repeats.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) header: HeaderName,
    /// The names of the properties on the way from the root of the arguments.
    path: Vec<String>,
}

impl Parameter {
    /// The argument's value. `null` counts as missing.
    fn value<'a>(&self, arguments: &'a Map) -> Option<&'a Value> {
        let (first, rest) = self.path.split_first()?;
        let value = rest.iter().try_fold(arguments.get(first)?, |value, name| value.get(name))?;
        (!value.is_null()).then_some(value)
    }

    /// The header's value for these arguments.
    pub(crate) fn header_value(&self, arguments: &Map) -> Option<HeaderValue> {
        encode(&text(self.value(arguments)?)?)
    }

    /// Checks that the header agrees with the argument.
    pub(crate) fn check(&self, headers: &HeaderMap, arguments: &Map) -> Result<(), String> {
        let name = &self.header;
        let said = decode(headers, name)?;
        match (said, self.value(arguments)) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(format!("{name} is missing")),
            (Some(_), None) => Err(format!("{name} is sent, but its argument is missing")),
            (Some(said), Some(value)) => {
                let same = match value {
                    // Numbers are compared by value: 42 equals 42.0.
                    Value::Number(number) => said.parse::<f64>().ok() == number.as_f64(),
                    value => text(value).is_some_and(|text| text == said),
                };
                if same { Ok(()) } else { Err(format!("{name} differs from its argument")) }
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) => {
            let float = number.as_f64()?;
            let whole = number.as_i64().or_else(|| (float.fract() == 0.0).then_some(float as i64))?;
            (whole.abs() <= MAX_SAFE_INTEGER).then(|| whole.to_string())
        }
        _ => None,
    }
}

/// The arguments that headers repeat. The error says why the schema's annotations are invalid.
pub(crate) fn parameters(input_schema: &RawValue) -> Result<Vec<Parameter>, String> {
    // Most schemas have no annotation. A search in the text finds this out without parsing.
    if !input_schema.get().contains(ANNOTATION) {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(input_schema.get()).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    collect(&schema, Some(&[]), &mut found)?;
    let mut names = HashSet::new();
    match found.iter().find(|parameter| !names.insert(&parameter.header)) {
        Some(twice) => Err(format!("{ANNOTATION}: {} is used twice", twice.header)),
        None => Ok(found),
    }
}

/// Collects the annotations in a schema. `path` is `None` where arguments have no fixed place. The recursion is as deep as `serde_json` parses, which
/// is bounded.
fn collect(schema: &Value, path: Option<&[String]>, found: &mut Vec<Parameter>) -> Result<(), String> {
    let Value::Object(schema) = schema else { return Ok(()) };
    if let Some(name) = schema.get(ANNOTATION) {
        found.push(parameter(name, schema.get("type"), path)?);
    }
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            // These keywords hold values, not schemas.
            ("const" | "enum" | "default" | "examples", _) => {}
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let path = path.map(|path| [path, slice::from_ref(name)].concat());
                    collect(property, path.as_deref(), found)?;
                }
            }
            ("$defs" | "definitions" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                schemas.values().try_for_each(|schema| collect(schema, None, found))?;
            }
            (_, Value::Array(schemas)) => schemas.iter().try_for_each(|schema| collect(schema, None, found))?,
            (_, schema) => collect(schema, None, found)?,
        }
    }
    Ok(())
}

fn parameter(name: &Value, kind: Option<&Value>, path: Option<&[String]>) -> Result<Parameter, String> {
    let path = path.filter(|path| !path.is_empty());
    let path =
        path.ok_or_else(|| format!("{ANNOTATION} is set on a schema that is not a property of the arguments"))?;
    let kind = match kind {
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter(|kind| *kind != "null");
            kinds.next().filter(|_| kinds.next().is_none())
        }
        kind => kind,
    };
    if !kind.and_then(Value::as_str).is_some_and(|kind| matches!(kind, "string" | "integer" | "boolean")) {
        return Err(format!("{ANNOTATION} is set on a property that is not a string, an integer or a boolean"));
    }
    let name = name.as_str().filter(|name| !name.is_empty()).ok_or_else(|| format!("{ANNOTATION} has no name"))?;
    let header = HeaderName::from_bytes(format!("{PARAMETER_PREFIX}{name}").as_bytes())
        .map_err(|_| format!("{ANNOTATION} is not the name of a header"))?;
    Ok(Parameter { header, path: path.to_vec() })
}

/// Whether the body has this media type, with any parameters.
pub(crate) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}
