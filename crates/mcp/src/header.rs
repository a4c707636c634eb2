//! Parts of a request that are said in its headers as well: how values are written there and which arguments of a tool are.
//!
//! 2026-07-28, "Streamable HTTP", "Request Metadata". Both halves use the same functions, so they agree.

use std::{collections::HashSet, slice};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, value::RawValue};

use crate::model::Map;

/// The extension of JSON Schema that asks for a header.
const ANNOTATION: &str = "x-mcp-header";
const PARAMETER_PREFIX: &str = "mcp-param-";
const BASE64_PREFIX: &str = "=?base64?";
const BASE64_SUFFIX: &str = "?=";
/// Integers beyond this are not the same number everywhere (2^53 - 1).
const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Writes a value so that it gets through unchanged.
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

/// Reads a value, if it is the only one of its name and well-formed.
pub(crate) fn decode(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("{name} is there more than once"));
    }
    let text = value.to_str().map_err(|_| format!("{name} has characters that a header cannot have"))?;
    let encoded = text.strip_prefix(BASE64_PREFIX).and_then(|rest| rest.strip_suffix(BASE64_SUFFIX));
    let Some(encoded) = encoded else { return Ok(Some(text.to_owned())) };
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| format!("{name} is not Base64"))?;
    String::from_utf8(bytes).map(Some).map_err(|_| format!("{name} is not UTF-8"))
}

/// An argument that is also said in a header.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) header: HeaderName,
    /// Names of properties from the root of the arguments.
    path: Vec<String>,
}

impl Parameter {
    /// The argument; `null` is none.
    fn value<'a>(&self, arguments: &'a Map) -> Option<&'a Value> {
        let (first, rest) = self.path.split_first()?;
        let value = rest.iter().try_fold(arguments.get(first)?, |value, name| value.get(name))?;
        (!value.is_null()).then_some(value)
    }

    /// What the header is to say.
    pub(crate) fn header_value(&self, arguments: &Map) -> Option<HeaderValue> {
        encode(&text(self.value(arguments)?)?)
    }

    /// Compares what the header says with the argument.
    pub(crate) fn check(&self, headers: &HeaderMap, arguments: &Map) -> Result<(), String> {
        let name = &self.header;
        let said = decode(headers, name)?;
        match (said, self.value(arguments)) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(format!("{name} is missing")),
            (Some(_), None) => Err(format!("{name} is sent, but its argument is missing")),
            (Some(said), Some(value)) => {
                let same = match value {
                    // 42 and 42.0 are the same.
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

/// Which arguments are said in headers, or why the schema's wishes cannot be followed.
pub(crate) fn parameters(input_schema: &RawValue) -> Result<Vec<Parameter>, String> {
    // Most schemas have none, and need not be parsed to know.
    if !input_schema.get().contains(ANNOTATION) {
        return Ok(Vec::new());
    }
    let schema: Value = serde_json::from_str(input_schema.get()).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    collect(&schema, Some(&[]), &mut found)?;
    let mut names = HashSet::new();
    match found.iter().find(|parameter| !names.insert(&parameter.header)) {
        Some(twice) => Err(format!("{ANNOTATION}: {} is asked for twice", twice.header)),
        None => Ok(found),
    }
}

/// Looks through a schema; `path` is `None` where arguments have no fixed place. As deep as `serde_json` parses, which is bounded.
fn collect(schema: &Value, path: Option<&[String]>, found: &mut Vec<Parameter>) -> Result<(), String> {
    let Value::Object(schema) = schema else { return Ok(()) };
    if let Some(name) = schema.get(ANNOTATION) {
        found.push(parameter(name, schema.get("type"), path)?);
    }
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            // These hold values and not schemas.
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
        return Err(format!("{ANNOTATION} is on something other than a string, an integer or a boolean"));
    }
    let name = name.as_str().filter(|name| !name.is_empty()).ok_or_else(|| format!("{ANNOTATION} has no name"))?;
    let header = HeaderName::from_bytes(format!("{PARAMETER_PREFIX}{name}").as_bytes())
        .map_err(|_| format!("{ANNOTATION} is not the name of a header"))?;
    Ok(Parameter { header, path: path.to_vec() })
}

/// The body is of this media type, whatever its parameters.
pub(crate) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}
