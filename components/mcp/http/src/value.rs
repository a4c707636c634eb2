//! Navigates documents: resolves references inside them and cuts texts. It must not follow a reference to another document.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// The longest chain of references.
const REFERENCES_MAX: usize = 16;

/// An object of the document, after its `$ref` if it has one.
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

/// The target of a local reference (RFC 6901, in a fragment).
pub(crate) fn referenced<'d>(root: &'d Value, reference: &str) -> Option<&'d Value> {
    let pointer = reference.strip_prefix('#')?;
    root.pointer(&percent_decode_str(pointer).decode_utf8().ok()?)
}

/// The reference to another document that a value leads to, after any references inside this one.
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

/// The trimmed text at a key, unless it is empty.
pub(crate) fn text<'d>(object: &'d Map<String, Value>, key: &str) -> Option<&'d str> {
    object.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether the value at the key is true. In YAML, the old words for true count too.
pub(crate) fn is_true(object: &Map<String, Value>, key: &str) -> bool {
    match object.get(key) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(word)) => ["true", "yes", "on"].iter().any(|known| known.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

/// A string, number or boolean as text.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The list at a key; empty if there is none.
pub(crate) fn list<'d>(object: &'d Map<String, Value>, key: &str) -> &'d [Value] {
    object.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The entries of the object at a key; empty if there is none.
pub(crate) fn entries<'d>(object: &'d Map<String, Value>, key: &str) -> impl Iterator<Item = (&'d String, &'d Value)> {
    object.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A text cut to a number of characters, with an ellipsis.
pub(crate) fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}
