//! Converts a document's schemas to self-contained JSON Schema 2020-12: references are replaced by their targets, OpenAPI 3.0's dialect by the
//! current one, and schemas that are too large are shortened.
//!
//! A shortened schema accepts more than the original, never less, because the API checks its input anyway. So keywords that exclude (`not`, `if`) are
//! removed, and `oneOf` becomes `anyOf`, because shortened alternatives may overlap.

use std::{collections::BTreeSet, io};

use serde_json::{Map, Value, json};

use crate::value::{self, cut, list, referenced};

/// The longest description of a part of a schema.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 300;
/// How much of a reference to another file is repeated.
const REFERENCE_CHARS_MAX: usize = 100;
/// The largest default, example or constant.
const EXAMPLE_BYTES_MAX: usize = 200;
/// The most values of an `enum`. If there are more, every value of the type is accepted.
const ENUM_MAX: usize = 200;
/// How many types are read; there are seven.
const TYPES_MAX: usize = 20;
/// The depths of nesting that are tried until the schema is small enough.
const DEPTHS: [usize; 5] = [10, 6, 4, 2, 1];

/// A schema, shortened to at most `bytes_max` bytes.
pub(crate) fn fitting(root: &Value, schema: &Value, bytes_max: usize) -> Value {
    let tried = DEPTHS.iter().find_map(|depth| {
        let mut reader = Reader { root, path: Vec::new(), bytes_left: bytes_max };
        reader.schema(schema, *depth).filter(|schema| schema.to_string().len() <= bytes_max)
    });
    tried.unwrap_or_else(|| json!({}))
}

struct Reader<'d> {
    root: &'d Value,
    /// The references that led here.
    path: Vec<&'d str>,
    /// The remaining bytes, roughly. They also limit the work.
    bytes_left: usize,
}

impl<'d> Reader<'d> {
    /// The converted schema; `None` if it is too large.
    fn schema(&mut self, schema: &'d Value, depth: usize) -> Option<Value> {
        let object = match schema {
            Value::Object(object) => object,
            Value::Bool(true) => return Some(json!({})),
            _ => return Some(json!({})),
        };
        // Everything is paid for before it is read, even if it is not kept.
        self.spend(object.len().saturating_add(4))?;
        let Some(depth) = depth.checked_sub(1) else { return Some(shallow(object)) };
        let mut kept = Map::new();
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            if !self.path.contains(&reference)
                && let Some(found) = referenced(self.root, reference)
            {
                self.path.push(reference);
                // A reference is only a name for a schema, not a level of nesting.
                let read = self.schema(found, depth.saturating_add(usize::from(found.get("$ref").is_none())));
                self.path.pop();
                if let Value::Object(found) = read? {
                    kept = found;
                }
            }
            if let Some(place) = value::outside(self.root, schema) {
                let words = format!("As described in {}, which cannot be read here.", cut(place, REFERENCE_CHARS_MAX));
                self.copy(&mut kept, "description", &words.into())?;
            }
            self.description(object, &mut kept)?;
            return Some(Value::Object(kept));
        }
        let hidden = self.hidden(object)?;
        for (keyword, rule) in object {
            let read = match (keyword.as_str(), rule) {
                ("properties", Value::Object(properties)) => {
                    let visible = properties.iter().filter(|(name, _)| !hidden.contains(name.as_str()));
                    Value::Object(self.each(visible, depth)?)
                }
                ("patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                    Value::Object(self.each(schemas.iter(), depth)?)
                }
                ("items" | "additionalProperties", Value::Object(_)) => self.schema(rule, depth)?,
                ("allOf" | "anyOf" | "prefixItems", Value::Array(schemas)) => self.all(schemas, depth)?,
                // Handled below, together with related keywords.
                ("required" | "type" | "enum" | "oneOf" | "example" | "examples" | "description", _) => continue,
                ("default" | "const", _) if bytes(rule, EXAMPLE_BYTES_MAX).is_none() => continue,
                ("default" | "const", _) => {
                    self.copy(&mut kept, keyword, &fitted(object, rule))?;
                    continue;
                }
                ("format" | "pattern" | "contentEncoding" | "contentMediaType", Value::String(_))
                | (
                    "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
                    | "multipleOf",
                    Value::Number(_),
                )
                | ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", Value::Number(_))
                | ("additionalProperties" | "uniqueItems", Value::Bool(_)) => {
                    self.copy(&mut kept, keyword, rule)?;
                    continue;
                }
                _ => continue,
            };
            self.spend(keyword.len().saturating_add(4))?;
            kept.insert(keyword.clone(), read);
        }
        let mut required = Vec::new();
        for name in list(object, "required") {
            self.spend(4)?;
            if let Some(name) = name.as_str().filter(|name| !hidden.contains(name)) {
                self.spend(name.len())?;
                required.push(name);
            }
        }
        // Some documents set `required` at the property itself.
        for (name, schema) in value::entries(object, "properties") {
            let says_it = schema.as_object().is_some_and(|schema| value::is_true(schema, "required"));
            if says_it && !hidden.contains(name.as_str()) && !required.contains(&name.as_str()) {
                self.spend(name.len().saturating_add(4))?;
                required.push(name);
            }
        }
        if !required.is_empty() {
            self.spend("required".len().saturating_add(4))?;
            kept.insert("required".to_owned(), json!(required));
        }
        self.alternatives(object, depth, &mut kept)?;
        exclusive(object, &mut kept);
        self.types(object, &mut kept)?;
        self.examples(object, &mut kept)?;
        self.description(object, &mut kept)?;
        Some(Value::Object(kept))
    }

    fn each(
        &mut self,
        schemas: impl Iterator<Item = (&'d String, &'d Value)>,
        depth: usize,
    ) -> Option<Map<String, Value>> {
        let mut kept = Map::new();
        for (name, schema) in schemas {
            self.spend(name.len().saturating_add(4))?;
            kept.insert(name.clone(), self.schema(schema, depth)?);
        }
        Some(kept)
    }

    fn all(&mut self, schemas: &'d [Value], depth: usize) -> Option<Value> {
        schemas.iter().map(|schema| self.schema(schema, depth)).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    /// `oneOf`, possibly beside an `anyOf`.
    fn alternatives(
        &mut self,
        object: &'d Map<String, Value>,
        depth: usize,
        kept: &mut Map<String, Value>,
    ) -> Option<()> {
        let one_of = list(object, "oneOf");
        if !one_of.is_empty() && !kept.contains_key("anyOf") {
            let schemas = self.all(one_of, depth)?;
            kept.insert("anyOf".to_owned(), schemas);
        }
        Some(())
    }

    /// `type` and `enum`, with `null` if OpenAPI 3.0's `nullable` is set.
    fn types(&mut self, object: &'d Map<String, Value>, kept: &mut Map<String, Value>) -> Option<()> {
        let is_nullable = value::is_true(object, "nullable");
        let named = match object.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().take(TYPES_MAX).filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let known = ["boolean", "integer", "number", "string", "array", "object", "null"];
        let mut types: Vec<&str> = known.into_iter().filter(|name| named.contains(name)).collect();
        if is_nullable && !types.is_empty() && !types.contains(&"null") {
            types.push("null");
        }
        match types.as_slice() {
            [] => {}
            [one] => self.copy(kept, "type", &json!(one))?,
            several => self.copy(kept, "type", &json!(several))?,
        }
        let values = list(object, "enum");
        if !values.is_empty() && values.len() <= ENUM_MAX {
            let values: Vec<Value> = values.iter().map(|value| fitted(object, value)).collect();
            self.copy(kept, "enum", &values.into())?;
            if is_nullable
                && let Some(Value::Array(values)) = kept.get_mut("enum")
                && !values.contains(&Value::Null)
            {
                values.push(Value::Null);
            }
        }
        // The other keywords must not exclude null.
        if is_nullable && types.is_empty() && (kept.contains_key("allOf") || kept.contains_key("anyOf")) {
            let inner = Value::Object(std::mem::take(kept));
            kept.insert("anyOf".to_owned(), json!([inner, { "type": "null" }]));
        }
        Some(())
    }

    fn examples(&mut self, object: &Map<String, Value>, kept: &mut Map<String, Value>) -> Option<()> {
        let example = object.get("example").or_else(|| list(object, "examples").first());
        match example.filter(|example| bytes(example, EXAMPLE_BYTES_MAX).is_some()) {
            Some(example) => self.copy(kept, "examples", &json!([fitted(object, example)])),
            None => Some(()),
        }
    }

    fn description(&mut self, object: &Map<String, Value>, kept: &mut Map<String, Value>) -> Option<()> {
        match value::text(object, "description") {
            Some(words) => self.copy(kept, "description", &cut(words, DESCRIPTION_CHARS_MAX).into()),
            None => Some(()),
        }
    }

    /// Copies a keyword without schemas in it, if there is room.
    fn copy(&mut self, kept: &mut Map<String, Value>, keyword: &str, rule: &Value) -> Option<()> {
        let bytes = bytes(rule, self.bytes_left)?;
        self.spend(bytes.saturating_add(keyword.len()).saturating_add(4))?;
        kept.insert(keyword.to_owned(), rule.clone());
        Some(())
    }

    /// The properties that occur only in responses.
    fn hidden(&mut self, object: &'d Map<String, Value>) -> Option<BTreeSet<&'d str>> {
        let mut hidden = BTreeSet::new();
        for (name, schema) in value::entries(object, "properties") {
            self.spend(4)?;
            if value::object(self.root, schema).is_some_and(|schema| value::is_true(schema, "readOnly")) {
                hidden.insert(name.as_str());
            }
        }
        Some(hidden)
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes)?;
        Some(())
    }
}

/// The value as a string, if the type allows only strings: unquoted YAML may have made it a number or a boolean.
fn fitted(object: &Map<String, Value>, value: &Value) -> Value {
    let is_word = match object.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => names.iter().take(TYPES_MAX).all(|name| name == "string" || name == "null"),
        _ => false,
    };
    match value {
        Value::Number(_) | Value::Bool(_) if is_word => value.to_string().into(),
        other => other.clone(),
    }
}

/// The schema without its contents: only the type.
fn shallow(object: &Map<String, Value>) -> Value {
    match object.get("type").and_then(Value::as_str) {
        Some(name @ ("boolean" | "integer" | "number" | "string" | "array" | "object"))
            if !value::is_true(object, "nullable") =>
        {
            json!({ "type": name })
        }
        _ => json!({}),
    }
}

/// A value's length as JSON, if it is at most `max`. The value is written only up to that length.
fn bytes(value: &Value, max: usize) -> Option<usize> {
    struct Room(usize);
    impl io::Write for Room {
        fn write(&mut self, written: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(written.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(written.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut room = Room(max);
    serde_json::to_writer(&mut room, value).ok()?;
    Some(max.saturating_sub(room.0))
}

/// OpenAPI 3.0 has `exclusiveMinimum: true` beside `minimum`.
fn exclusive(object: &Map<String, Value>, kept: &mut Map<String, Value>) {
    for (exclusive, inclusive) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if value::is_true(object, exclusive)
            && let Some(limit) = kept.remove(inclusive)
        {
            kept.insert(exclusive.to_owned(), limit);
        }
    }
}
