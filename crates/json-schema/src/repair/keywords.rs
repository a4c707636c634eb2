//! Repairs each keyword by itself, in the schema and in all schemas inside it.

use std::collections::HashSet;

use serde_json::{Map, Number, Value, json};

use super::{Dialect, MAX_DEPTH, Unfit};
use crate::{cut, keywords::canonical};

/// A part of every dialect's name.
const DIALECTS: &str = "json-schema.org/draft";
/// Parts of patterns that linear-time engines do not support, or that only Python has.
const NOT_PLAIN: [&str; 16] = [
    "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?P=", "\\Z", "\\k<", "\\1", "\\2", "\\3", "\\4", "\\5", "\\6", "\\7", "\\8",
];
/// How much of such a pattern is quoted in the description.
const MAX_HINT_CHARS: usize = 200;

/// The keywords of a schema, each with a value of the right type. A value of another type is left out if its meaning is unclear.
pub(super) fn tidy(keywords: Map<String, Value>, dialect: Dialect, depth: usize) -> Result<Map<String, Value>, Unfit> {
    if depth > MAX_DEPTH {
        return Err(Unfit::TooDeep);
    }
    let inside = Inside { dialect, depth: depth.saturating_add(1) };
    let is_alone = dialect.reference_is_alone() && keywords.get("$ref").is_some_and(Value::is_string);
    let mut tidy = Map::new();
    for (keyword, value) in keywords {
        if is_alone && !may_stand_beside_a_reference(&keyword) {
            continue;
        }
        if let Some(value) = inside.keyword(&keyword, value)? {
            tidy.insert(keyword, value);
        }
    }
    rename_id(&mut tidy, dialect);
    exclusive_limits(&mut tidy);
    nullable(&mut tidy);
    choices_of_the_type(&mut tidy);
    pattern(&mut tidy);
    required_properties(&mut tidy);
    items(&mut tidy);
    Ok(tidy)
}

fn may_stand_beside_a_reference(keyword: &str) -> bool {
    matches!(keyword, "$ref" | "$defs" | "definitions" | "title" | "description" | "default" | "examples")
        || keyword.starts_with("x-")
}

/// The place of the schemas inside the current one.
#[derive(Clone, Copy)]
struct Inside {
    dialect: Dialect,
    depth: usize,
}

impl Inside {
    fn keyword(self, keyword: &str, value: Value) -> Result<Option<Value>, Unfit> {
        Ok(match keyword {
            "type" => kinds(&value),
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies" => {
                match value {
                    Value::Object(schemas) => Some(Value::Object(self.named(keyword, schemas)?)),
                    _ => None,
                }
            }
            "dependentRequired" => Some(value).filter(Value::is_object),
            // The function `items` below turns a list into `prefixItems`.
            "items" => match value {
                Value::Array(schemas) => Some(Value::Array(self.list(schemas)?)),
                value => Some(self.schema(value)?),
            },
            "prefixItems" | "anyOf" | "oneOf" | "allOf" => match value {
                Value::Array(schemas) if !schemas.is_empty() => Some(Value::Array(self.list(schemas)?)),
                value @ Value::Object(_) => Some(Value::Array(self.list(vec![value])?)),
                _ => None,
            },
            "additionalProperties" | "unevaluatedProperties" | "unevaluatedItems" | "additionalItems" => match value {
                Value::Bool(allowed) => Some(Value::Bool(allowed)),
                Value::String(text) => boolean(&text),
                value @ Value::Object(_) => Some(self.schema(value)?),
                _ => None,
            },
            "not" | "if" | "then" | "else" | "contains" | "propertyNames" | "contentSchema" => match value {
                value @ (Value::Object(_) | Value::Bool(_)) => Some(self.schema(value)?),
                _ => None,
            },
            "required" => required(value),
            "enum" => choices(value),
            "examples" => match value {
                Value::Null => None,
                examples @ Value::Array(_) => Some(examples),
                one => Some(json!([one])),
            },
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => {
                number(value).filter(|number| number.as_u64().is_some() || whole(number)).map(Value::Number)
            }
            "minimum" | "maximum" => number(value).map(Value::Number),
            "exclusiveMinimum" | "exclusiveMaximum" => match value {
                // Draft-04's form; `exclusive_limits` converts it.
                Value::Bool(exclusive) => Some(Value::Bool(exclusive)),
                value => number(value).map(Value::Number),
            },
            "multipleOf" => {
                number(value).filter(|number| number.as_f64().is_some_and(|number| number > 0.0)).map(Value::Number)
            }
            "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" | "nullable" | "$recursiveAnchor" => match value {
                Value::Bool(set) => Some(Value::Bool(set)),
                Value::String(text) => boolean(&text),
                _ => None,
            },
            // A text that is not an address names nothing.
            "$id" => Some(value).filter(|id| id.as_str().is_some_and(|id| !id.contains(is_in_no_address))),
            "$schema" => Some(value).filter(|name| name.as_str().is_some_and(|name| name.contains(DIALECTS))),
            "title" | "description" | "format" | "pattern" | "$ref" | "$anchor" | "$dynamicAnchor" | "$dynamicRef"
            | "$recursiveRef" | "$comment" | "contentEncoding" | "contentMediaType" => {
                Some(value).filter(Value::is_string)
            }
            _ => Some(value),
        })
    }

    /// Repairs a value in the place of a schema. A value that is not a schema becomes an empty schema.
    fn schema(self, value: Value) -> Result<Value, Unfit> {
        let keywords = match value {
            Value::Object(keywords) => keywords,
            Value::Bool(false) => return Ok(json!({"not": {}})),
            // Some authors write `{"name": "string"}` for `{"name": {"type": "string"}}`.
            Value::String(name) => match kind(&name) {
                Some(kind) => Map::from_iter([("type".to_owned(), Value::from(kind))]),
                None => Map::new(),
            },
            _ => Map::new(),
        };
        tidy(keywords, self.dialect, self.depth).map(Value::Object)
    }

    fn list(self, schemas: Vec<Value>) -> Result<Vec<Value>, Unfit> {
        schemas.into_iter().map(|schema| self.schema(schema)).collect()
    }

    fn named(self, keyword: &str, schemas: Map<String, Value>) -> Result<Map<String, Value>, Unfit> {
        let named = schemas.into_iter().map(|(name, value)| {
            let value = match value {
                // A list of other properties' names.
                names @ Value::Array(_) if keyword == "dependencies" => names,
                // `required_properties` reads this boolean in the schema that has the properties.
                Value::Object(schema) if schema.get("required").is_some_and(Value::is_boolean) => {
                    let required = schema.get("required").cloned();
                    let mut schema = tidy(schema, self.dialect, self.depth)?;
                    required.map(|required| schema.insert("required".to_owned(), required));
                    Value::Object(schema)
                }
                value => self.schema(value)?,
            };
            Ok((name, value))
        });
        named.collect()
    }
}

/// The type that a schema means by this name: one of the seven of JSON Schema, also by the names that Python and other languages use.
#[must_use]
pub fn kind(name: &str) -> Option<&'static str> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "string" | "str" | "text" => "string",
        "integer" | "int" | "long" => "integer",
        "number" | "float" | "double" | "decimal" => "number",
        "boolean" | "bool" => "boolean",
        "object" | "dict" | "map" => "object",
        "array" | "list" | "tuple" => "array",
        "null" | "none" => "null",
        _ => return None,
    })
}

fn kinds(value: &Value) -> Option<Value> {
    match value {
        Value::String(name) => kind(name).map(Value::from),
        Value::Array(names) => {
            // One unknown type makes the keyword useless, so it is left out.
            let kinds: Option<Vec<&str>> = names.iter().map(|name| kind(name.as_str()?)).collect();
            let mut seen = HashSet::new();
            let kinds: Vec<&str> = kinds?.into_iter().filter(|kind| seen.insert(*kind)).collect();
            (!kinds.is_empty()).then(|| Value::from(kinds))
        }
        _ => None,
    }
}

fn boolean(text: &str) -> Option<Value> {
    text.trim().to_ascii_lowercase().parse::<bool>().ok().map(Value::Bool)
}

/// A number, also one that is written as a text.
fn number(value: Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number),
        Value::String(text) => match serde_json::from_str(text.trim()) {
            Ok(Value::Number(number)) => Some(number),
            _ => None,
        },
        _ => None,
    }
}

fn whole(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number >= 0.0 && number.fract() == 0.0)
}

/// The names of the required properties, each once.
fn required(value: Value) -> Option<Value> {
    let names = match value {
        Value::Array(names) => names,
        name @ Value::String(_) => vec![name],
        _ => return None,
    };
    let mut seen = HashSet::new();
    let names = names.into_iter().filter(|name| name.as_str().is_some_and(|name| seen.insert(name.to_owned())));
    Some(Value::Array(names.collect()))
}

/// The choices, each once. An empty list of choices is left out: nobody means it.
fn choices(value: Value) -> Option<Value> {
    let Value::Array(values) = value else { return None };
    let mut seen = HashSet::new();
    let mut is_new = |value: &Value| {
        let mut text = String::new();
        canonical(value, &mut text);
        seen.insert(text)
    };
    let values: Vec<Value> = values.into_iter().filter(|value| is_new(value)).collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

/// Up to draft-04, a schema's name was in `id`.
fn rename_id(keywords: &mut Map<String, Value>, dialect: Dialect) {
    if dialect == Dialect::Draft4
        && let Some(Value::String(id)) = keywords.remove("id")
    {
        keywords.entry("$id".to_owned()).or_insert(Value::String(id));
    }
}

/// Up to draft-04, a boolean beside a limit made the limit exclusive.
fn exclusive_limits(keywords: &mut Map<String, Value>) {
    for (exclusive, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(Value::Bool(is_exclusive)) = keywords.get(exclusive) {
            let is_exclusive = *is_exclusive;
            keywords.remove(exclusive);
            if is_exclusive && let Some(limit) = keywords.remove(limit) {
                keywords.insert(exclusive.to_owned(), limit);
            }
        }
    }
}

/// OpenAPI 3.0 has its own keyword, `nullable`, for values that may be `null`.
fn nullable(keywords: &mut Map<String, Value>) {
    if keywords.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    keywords.remove("nullable");
    let null = || json!({"type": "null"});
    match keywords.get_mut("type") {
        Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "null") => {}
        Some(Value::Array(kinds)) => kinds.push("null".into()),
        Some(kind) => *kind = json!([kind.take(), "null"]),
        None => {
            for forms in ["anyOf", "oneOf"] {
                if let Some(Value::Array(forms)) = keywords.get_mut(forms)
                    && !forms.contains(&null())
                {
                    forms.push(null());
                }
            }
            if let Some(one) = keywords.remove("$ref") {
                keywords.entry("anyOf".to_owned()).or_insert_with(|| json!([{"$ref": one}, {"type": "null"}]));
            } else if let Some(all) = keywords.remove("allOf") {
                keywords.entry("anyOf".to_owned()).or_insert_with(|| json!([{"allOf": all}, {"type": "null"}]));
            }
        }
    }
    if let Some(Value::Array(choices)) = keywords.get_mut("enum")
        && !choices.contains(&Value::Null)
    {
        choices.push(Value::Null);
    }
}

/// If no choice has the stated type, the author forgot the quotes or wrote too many. No value would fit, so the choices are converted.
fn choices_of_the_type(keywords: &mut Map<String, Value>) {
    let kind = keywords.get("type").and_then(Value::as_str).map(str::to_owned);
    let Some(Value::Array(choices)) = keywords.get_mut("enum") else { return };
    let as_kind = |choice: &Value| match (kind.as_deref(), choice) {
        (Some("string"), Value::Number(_) | Value::Bool(_)) => Some(Value::from(choice.to_string())),
        (Some("integer" | "number"), Value::String(_)) => number(choice.clone()).map(Value::Number),
        (Some("boolean"), Value::String(text)) => boolean(text),
        _ => None,
    };
    let meant: Option<Vec<Value>> = choices.iter().map(as_kind).collect();
    if let Some(meant) = meant {
        *choices = meant;
    }
}

/// Moves a pattern that an engine without look-around cannot read into the description: some models' servers compile the patterns that they get.
fn pattern(keywords: &mut Map<String, Value>) {
    let Some(Value::String(pattern)) = keywords.get("pattern") else { return };
    if is_plain(pattern) {
        return;
    }
    let hint = format!("Pattern: {}", cut(pattern, MAX_HINT_CHARS));
    keywords.remove("pattern");
    let description = match keywords.get("description").and_then(Value::as_str) {
        Some(words) => format!("{words}\n{hint}"),
        None => hint,
    };
    keywords.insert("description".to_owned(), description.into());
}

/// Whether all engines can read a pattern, as far as its characters show: its brackets are closed, and it has no look-around or back-reference.
fn is_plain(pattern: &str) -> bool {
    let (mut groups, mut is_in_class, mut rest) = (0_usize, false, pattern);
    while let Some(c) = rest.chars().next() {
        let is_odd = NOT_PLAIN.iter().any(|odd| rest.starts_with(odd)) && !is_in_class;
        let length = if c == '\\' { rest.chars().take(2).map(char::len_utf8).sum() } else { c.len_utf8() };
        match c {
            '\\' if length == 1 => return false,
            '[' => is_in_class = true,
            ']' => is_in_class = false,
            '(' if !is_in_class => groups = groups.saturating_add(1),
            ')' if !is_in_class && groups == 0 => return false,
            ')' if !is_in_class => groups = groups.saturating_sub(1),
            _ => {}
        }
        if is_odd {
            return false;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    groups == 0 && !is_in_class
}

fn is_in_no_address(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
}

/// Up to draft-03, a property said itself whether it is required, and many authors still write so.
fn required_properties(keywords: &mut Map<String, Value>) {
    let mut names = Vec::new();
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        for (name, property) in properties {
            let Value::Object(property) = property else { continue };
            if property.get("required").is_some_and(Value::is_boolean)
                && property.remove("required") == Some(Value::Bool(true))
            {
                names.push(Value::from(name.as_str()));
            }
        }
    }
    if names.is_empty() {
        return;
    }
    if let Value::Array(required) = keywords.entry("required".to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
        for name in names {
            if !required.contains(&name) {
                required.push(name);
            }
        }
    }
}

/// Gives every list `items`. Before 2020-12, a list in `items` meant today's `prefixItems`, and `additionalItems` meant today's `items`.
fn items(keywords: &mut Map<String, Value>) {
    let rest = keywords.remove("additionalItems");
    if let Some(Value::Array(prefix)) = keywords.get_mut("items") {
        let prefix = std::mem::take(prefix);
        let rest = match rest {
            Some(rest @ Value::Object(_)) => rest,
            Some(Value::Bool(false)) => json!({"not": {}}),
            _ => json!({}),
        };
        keywords.insert("items".to_owned(), rest);
        if !prefix.is_empty() {
            keywords.entry("prefixItems".to_owned()).or_insert(Value::Array(prefix));
        }
    }
    let is_list = match keywords.get("type") {
        Some(Value::String(kind)) => kind == "array",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "array"),
        _ => false,
    };
    if is_list {
        keywords.entry("items".to_owned()).or_insert_with(|| json!({}));
    }
}
