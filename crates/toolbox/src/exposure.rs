//! What a call could carry out: words of a mail, an event or an account in the arguments of a tool that others hear.
//!
//! A mail can ask for that, and a model may do as it says. So where something private was read before, what the person did not write is shown
//! to them first. How far that goes: docs/tools.md.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{Catalog, Tool};

/// Whole numbers below this carry too little: how many results are wanted, which page.
const HARMLESS_BELOW: u64 = 100;

/// Whether one of these calls, on record by the names that the model had for their tools, may have read something private. Older records have a
/// tool's own name, which several servers may have. A tool that is no longer there may have read anything.
#[must_use]
pub fn may_have_read_private(catalog: &Catalog, called: &[String]) -> bool {
    let is_private = |name: &String| match catalog.find(name) {
        Some(tool) => tool.reads_private,
        None => {
            let mut alike = catalog.iter().map(|(_, tool)| tool).filter(|tool| tool.name == *name).peekable();
            alike.peek().is_none() || alike.any(|tool| tool.reads_private)
        }
    };
    called.iter().any(is_private)
}

/// Whether others hear what a tool is given. What people's own accounts hear is the person's, wherever these are; of a server elsewhere nothing
/// is known.
#[must_use]
pub fn is_heard_by_others(tool: &Tool) -> bool {
    tool.annotations.open_world && (tool.remote || !tool.reads_private)
}

/// Whether arguments say nothing but what the person has written, in whatever order, and what the tool's author proposes.
#[must_use]
pub fn says_only(arguments: &Map<String, Value>, schema: &Value, written: &[String]) -> bool {
    let written = Written::new(written);
    let properties = schema.get("properties");
    arguments.iter().all(|(name, value)| {
        let property = properties.and_then(|properties| properties.get(name));
        match property {
            Some(property) => is_proposed(value, property) || written.says(value),
            // A name that the tool does not have is a text like any other.
            None => written.says_words(name) && written.says(value),
        }
    })
}

/// Whether a value is one of those that the schema names.
fn is_proposed(value: &Value, property: &Value) -> bool {
    let choices = property.get("enum").and_then(Value::as_array).into_iter().flatten();
    choices.chain(property.get("const")).chain(property.get("default")).any(|proposed| proposed == value)
}

/// What the person has written.
struct Written {
    words: HashSet<String>,
    /// For scripts that do not part their words.
    texts: Vec<String>,
}

impl Written {
    fn new(texts: &[String]) -> Self {
        let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
        Self { words: texts.iter().flat_map(|text| words(text)).map(str::to_owned).collect(), texts }
    }

    fn says(&self, value: &Value) -> bool {
        // Not recursive: how deep it goes is somebody else's choice.
        let mut rest = vec![value];
        while let Some(value) = rest.pop() {
            let is_said = match value {
                Value::Null | Value::Bool(_) => true,
                Value::Number(number) if number.as_u64().is_some_and(|number| number < HARMLESS_BELOW) => true,
                Value::Number(number) => self.says_words(&number.to_string()),
                Value::String(text) => self.says_words(text),
                Value::Array(items) => {
                    rest.extend(items);
                    true
                }
                Value::Object(fields) => {
                    rest.extend(fields.values());
                    fields.keys().all(|name| self.says_words(name))
                }
            };
            if !is_said {
                return false;
            }
        }
        true
    }

    fn says_words(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        words(&text).all(|word| self.words.contains(word) || self.has_within(word))
    }

    /// Whether it is part of a text in a script without spaces. Single signs are not: they could spell anything.
    fn has_within(&self, word: &str) -> bool {
        let is_of_such_a_script = !word.is_ascii() && !word.chars().any(|c| c.is_ascii() || c.is_lowercase());
        is_of_such_a_script && word.chars().nth(1).is_some() && self.texts.iter().any(|text| text.contains(word))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}
