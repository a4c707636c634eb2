//! Walking a document: references inside it, texts cut to size. Must not follow a reference out of it.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// How many references may lead to each other.
const REFERENCES_MAX: usize = 16;

/// An object of the document, behind its `$ref` if it has one.
pub(crate) fn object<'d>(root: &'d Value, value: &'d Value) -> Option<&'d Map<String, Value>> {
    let mut value = value;
    for _ in 0..REFERENCES_MAX {
        let object = value.as_object()?;
        match object.get("$ref").and_then(Value::as_str) {
            Some(reference) => value = referenced(root, reference)?,
            None => return Some(object),
        }
    }
    None
}

/// What a local reference (RFC 6901, in a fragment) leads to.
pub(crate) fn referenced<'d>(root: &'d Value, reference: &str) -> Option<&'d Value> {
    let pointer = reference.strip_prefix('#')?;
    root.pointer(&percent_decode_str(pointer).decode_utf8().ok()?)
}

/// Where a value is that lies outside of the document, behind however many references in it.
pub(crate) fn outside<'d>(root: &'d Value, value: &'d Value) -> Option<&'d str> {
    let mut value = value;
    for _ in 0..REFERENCES_MAX {
        let reference = value.get("$ref")?.as_str()?;
        if !reference.starts_with('#') {
            return Some(reference);
        }
        value = referenced(root, reference)?;
    }
    None
}

/// The text at a key, without space around; an empty one is none.
pub(crate) fn text<'d>(object: &'d Map<String, Value>, key: &str) -> Option<&'d str> {
    object.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether the key says `true`; in YAML, also in the words that once meant it.
pub(crate) fn is_true(object: &Map<String, Value>, key: &str) -> bool {
    match object.get(key) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(word)) => ["true", "yes", "on"].iter().any(|known| known.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// A word, a number, or a truth value as text.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The list at a key; none is empty.
pub(crate) fn list<'d>(object: &'d Map<String, Value>, key: &str) -> &'d [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The entries of the object at a key; none is empty.
pub(crate) fn entries<'d>(object: &'d Map<String, Value>, key: &str) -> impl Iterator<Item = (&'d String, &'d Value)> {
    object.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A text cut to a number of characters, with a sign that it was.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}
