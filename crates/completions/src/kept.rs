//! What a server sends along with an answer and wants back with it, unchanged: signatures of reasoning, for the most part.

use serde_json::{Map, Value};

/// All of it together: far more than a signature, and small beside an answer.
const MAX_BYTES: usize = 256 * 1024;
/// Texts that come in pieces; everything else comes whole.
const IN_PIECES: [&str; 4] = ["text", "summary", "thinking", "data"];

/// Fields of the answer's message, put together from their pieces.
#[derive(Clone, Default, Debug)]
pub(crate) struct Kept {
    fields: Map<String, Value>,
    bytes: usize,
    is_too_long: bool,
}

impl Kept {
    /// What is to be sent back; nothing if there was too much of it, for half of it would be refused.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        if self.is_too_long { Map::new() } else { self.fields.clone() }
    }

    /// Reads what came under this name.
    pub(crate) fn read(&mut self, name: &str, value: Value) {
        if value.is_null() || self.is_too_long {
            return;
        }
        self.bytes += value.to_string().len();
        if self.bytes > MAX_BYTES {
            (self.is_too_long, self.fields) = (true, Map::new());
            return;
        }
        match (self.fields.get_mut(name), value) {
            (Some(Value::Array(held)), Value::Array(items)) => items.into_iter().for_each(|item| add(held, item)),
            (_, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

/// Adds an item, or goes on with the one that it is a piece of.
fn add(held: &mut Vec<Value>, item: Value) {
    let goes_on = |last: &Value| {
        let same = |field: &str| last.get(field) == item.get(field);
        let is_open = last.get("signature").is_none_or(Value::is_null) || item.get("index").is_some();
        same("type") && same("index") && is_open
    };
    match (held.last_mut().filter(|last| goes_on(last)), item) {
        (Some(Value::Object(last)), Value::Object(fields)) => {
            for (name, value) in fields {
                match (last.get_mut(&name), value) {
                    (_, Value::Null) => {}
                    (Some(Value::String(text)), Value::String(more)) if IN_PIECES.contains(&name.as_str()) => {
                        text.push_str(&more);
                    }
                    (Some(Value::Array(parts)), Value::Array(more)) => {
                        more.into_iter().for_each(|part| add(parts, part))
                    }
                    (_, value) => {
                        last.insert(name, value);
                    }
                }
            }
        }
        (_, item) => held.push(item),
    }
}
