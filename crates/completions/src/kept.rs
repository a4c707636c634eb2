//! A server's data that it wants back unchanged with the answer: mostly signatures of reasoning.

use serde_json::{Map, Value};

/// The limit for all of it: far more than a signature, and small compared to an answer.
const MAX_BYTES: usize = 256 * 1024;
/// Texts that come in pieces; all other values come whole.
const IN_PIECES: [&str; 4] = ["text", "summary", "thinking", "data"];

/// Fields of the answer's message, assembled from their pieces.
#[derive(Clone, Default, Debug)]
pub(crate) struct Kept {
    fields: Map<String, Value>,
    bytes: usize,
    is_too_long: bool,
}

impl Kept {
    /// The fields to send back. Empty if there was too much, because a server would refuse an incomplete part.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        if self.is_too_long { Map::new() } else { self.fields.clone() }
    }

    /// Reads a value of this field.
    pub(crate) fn read(&mut self, name: &str, value: Value) {
        if value.is_null() || self.is_too_long {
            return;
        }
        self.bytes += match (self.fields.get_mut(name), value) {
            (Some(Value::Array(held)), Value::Array(items)) => items.into_iter().map(|item| add(held, item)).sum(),
            (_, value) => {
                let bytes = value.to_string().len();
                self.fields.insert(name.to_owned(), value);
                bytes
            }
        };
        if self.bytes > MAX_BYTES {
            (self.is_too_long, self.fields) = (true, Map::new());
        }
    }
}

/// Adds an item, or appends it to the item that it continues. Returns the number of added bytes.
fn add(held: &mut Vec<Value>, item: Value) -> usize {
    match (held.last_mut().filter(|last| goes_on(last, &item)), item) {
        (Some(Value::Object(last)), Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| add_field(last, name, value)).sum()
        }
        (_, item) => {
            let bytes = item.to_string().len();
            held.push(item);
            bytes
        }
    }
}

/// Whether an item continues the last one. Encrypted data comes whole, unless indexes say otherwise.
fn goes_on(last: &Value, item: &Value) -> bool {
    let same = |field: &str| last.get(field) == item.get(field);
    let given = |value: &Value, field: &str| value.get(field).filter(|value| !value.is_null()).cloned();
    let is_other = given(last, "id").zip(given(item, "id")).is_some_and(|(last, item)| last != item);
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_open = given(last, "signature").is_none() && !kind.contains("encrypted") && !kind.contains("redacted");
    same("type") && same("index") && !is_other && (is_open || given(item, "index").is_some())
}

fn add_field(last: &mut Map<String, Value>, name: String, value: Value) -> usize {
    match (last.get_mut(&name), value) {
        (_, Value::Null) => 0,
        (Some(Value::String(text)), Value::String(more)) if IN_PIECES.contains(&name.as_str()) => {
            text.push_str(&more);
            more.len()
        }
        (Some(Value::Array(parts)), Value::Array(more)) => more.into_iter().map(|part| add(parts, part)).sum(),
        (held, value) => {
            let is_known = held.is_some_and(|held| *held == value);
            let bytes = if is_known { 0 } else { value.to_string().len() };
            last.insert(name, value);
            bytes
        }
    }
}
