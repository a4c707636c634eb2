//! Reduces a tool's schema for servers that know few keywords: types, properties, required names, items, enums of texts. Other keywords become
//! text in the description, which the model reads. The caller of the tool checks arguments against the whole schema anyway.

use std::borrow::Cow;

use serde_json::{Map, Value, value::RawValue};

/// The limit of servers that refuse long descriptions.
const MAX_DESCRIPTION_CHARS: usize = 1_024;
/// The longest text about one keyword.
const MAX_NOTE_CHARS: usize = 300;
/// The limit of servers that refuse deep schemas.
const MAX_DEPTH: usize = 5;
/// Nested references can make a small schema arbitrarily large. This is more than any hand-written schema has.
const MAX_SCHEMAS: usize = 1_000;

/// Keywords that do not restrict the arguments, or that are handled elsewhere here. The tool itself refuses additional properties.
const SILENT: [&str; 17] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "$defs",
    "$dynamicAnchor",
    "$vocabulary",
    "definitions",
    "title",
    "deprecated",
    "readOnly",
    "writeOnly",
    "type",
    "description",
    "properties",
    "required",
    "items",
];

/// The schema in its simplest form. `None`: it has no properties, so there is nothing to send.
#[must_use]
pub fn plain(schema: &RawValue) -> Option<Box<RawValue>> {
    let root: Value = serde_json::from_str(schema.get()).ok()?;
    let mut reader = Reader { root: &root, schemas_left: MAX_SCHEMAS, references: Vec::new() };
    let mut plain = reader.read(&root, 0);
    plain.get("properties").and_then(Value::as_object).filter(|properties| !properties.is_empty())?;
    plain.insert("type".to_owned(), "object".into());
    serde_json::value::to_raw_value(&plain).ok()
}

/// A description, shortened if necessary.
#[must_use]
pub fn plain_description(description: &str) -> Cow<'_, str> {
    description
        .char_indices()
        .nth(MAX_DESCRIPTION_CHARS)
        .map_or(Cow::Borrowed(description), |(end, _)| description.get(..end).unwrap_or_default().into())
}

struct Reader<'a> {
    root: &'a Value,
    schemas_left: usize,
    /// The references that are being followed.
    references: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, schema: &'a Value, depth: usize) -> Map<String, Value> {
        let Some(schema) = schema.as_object() else { return typed("string", "Any JSON value.") };
        if depth > MAX_DEPTH || self.schemas_left == 0 {
            let r#type = own_type(schema).unwrap_or("object");
            let mut cut = typed(r#type, &shortened(&Value::Object(schema.clone())));
            complete(&mut cut);
            return cut;
        }
        self.schemas_left -= 1;
        let mut plain = Map::new();
        let mut notes = Vec::new();
        for (keyword, value) in schema {
            match (keyword.as_str(), value) {
                ("$ref" | "$dynamicRef", Value::String(reference)) => self.follow(reference, depth, &mut plain),
                ("allOf", Value::Array(all)) => all.iter().for_each(|one| merge(&mut plain, self.read(one, depth + 1))),
                ("anyOf" | "oneOf", Value::Array(any)) => self.choose(any, depth, &mut plain, &mut notes),
                ("enum", Value::Array(values)) => one_of(values, &mut plain, &mut notes),
                ("const", value) => one_of(std::slice::from_ref(value), &mut plain, &mut notes),
                ("additionalProperties" | "unevaluatedProperties", Value::Bool(_)) => {}
                ("nullable", Value::Bool(nullable)) => notes.extend(nullable.then(|| "or null".to_owned())),
                (extension, _) if extension.starts_with("x-") || SILENT.contains(&extension) => {}
                (keyword, value) => notes.push(format!("{keyword}: {}", shortened(value))),
            }
        }
        self.own_words(schema, depth, &mut plain, &mut notes);
        describe(schema, notes, &mut plain);
        plain
    }

    /// Reads the schema's own keywords, without its references.
    fn own_words(
        &mut self,
        schema: &'a Map<String, Value>,
        depth: usize,
        plain: &mut Map<String, Value>,
        notes: &mut Vec<String>,
    ) {
        if let Some(Value::Array(types)) = schema.get("type") {
            let mut others =
                types.iter().filter_map(Value::as_str).filter(|name| Some(*name) != own_type(schema)).peekable();
            if others.peek().is_some() {
                notes.push(format!("or {}", others.collect::<Vec<_>>().join(" or ")));
            }
        }
        if let Some(own) = own_type(schema) {
            plain.insert("type".to_owned(), own.into());
        }
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let read = properties.iter().map(|(name, property)| (name.clone(), self.read(property, depth + 1).into()));
            let read: Map<String, Value> = read.collect();
            merge(plain, Map::from_iter([("properties".to_owned(), read.into())]));
        }
        if let Some(required) = schema.get("required").filter(|required| required.is_array()) {
            merge(plain, Map::from_iter([("required".to_owned(), required.clone())]));
        }
        match schema.get("items") {
            Some(items @ Value::Object(_)) => {
                plain.insert("items".to_owned(), self.read(items, depth + 1).into());
            }
            Some(items @ Value::Array(_)) => notes.push(format!("items: {}", shortened(items))),
            _ => {}
        }
        complete(plain);
    }

    fn follow(&mut self, reference: &'a str, depth: usize, plain: &mut Map<String, Value>) {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match target {
            Some(target) if !self.references.contains(&reference) => {
                self.references.push(reference);
                merge(plain, self.read(target, depth + 1));
                self.references.pop();
            }
            found => {
                let r#type = found.and_then(Value::as_object).and_then(own_type).unwrap_or("object");
                let name = reference.rsplit('/').next().unwrap_or(reference);
                let description = found.map_or_else(|| name.to_owned(), |_| format!("{name} again, as above."));
                merge(plain, typed(r#type, &description));
            }
        }
    }

    /// Reads the first of several alternatives; the others become notes.
    fn choose(&mut self, any: &'a [Value], depth: usize, plain: &mut Map<String, Value>, notes: &mut Vec<String>) {
        let is_null = |one: &&Value| one.get("type").and_then(Value::as_str) == Some("null");
        let (nulls, others): (Vec<&Value>, Vec<&Value>) = any.iter().partition(is_null);
        if !nulls.is_empty() {
            notes.push("or null".to_owned());
        }
        let words: Option<Vec<Value>> =
            others.iter().map(|one| one.get("const").filter(|word| word.is_string()).cloned()).collect();
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            one_of(&words, plain, notes);
            return;
        }
        let Some((first, rest)) = others.split_first() else { return };
        merge(plain, self.read(first, depth + 1));
        notes.extend(rest.iter().map(|other| format!("or {}", shortened(other))));
    }
}

/// The schema's type; the first non-null one if there are several.
fn own_type(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(name),
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ if schema.contains_key("properties") => Some("object"),
        _ if schema.contains_key("items") => Some("array"),
        _ => None,
    }
}

fn typed(r#type: &str, description: &str) -> Map<String, Value> {
    Map::from_iter([("type".to_owned(), r#type.into()), ("description".to_owned(), description.into())])
}

/// A list of texts becomes an enum, which servers know; other values become a note.
fn one_of(values: &[Value], plain: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let words = values.iter().all(|value| value.as_str().is_some_and(|word| !word.is_empty()));
    if words && !values.is_empty() {
        plain.insert("enum".to_owned(), values.into());
    } else {
        notes.push(format!("one of: {}", values.iter().map(shortened).collect::<Vec<_>>().join(", ")));
    }
    let kind = match values.first() {
        Some(Value::String(_)) => "string",
        Some(Value::Number(number)) if number.is_f64() => "number",
        Some(Value::Number(_)) => "integer",
        Some(Value::Bool(_)) => "boolean",
        _ => return,
    };
    plain.insert("type".to_owned(), kind.into());
}

/// Adds what servers require for a type, and removes what they refuse.
fn complete(plain: &mut Map<String, Value>) {
    let known = ["object", "array", "string", "integer", "number", "boolean"];
    let named = plain.get("type").and_then(Value::as_str).filter(|name| known.contains(name)).map(str::to_owned);
    let kind = named.unwrap_or_else(|| "string".to_owned());
    plain.insert("type".to_owned(), kind.as_str().into());
    if kind != "string" {
        plain.remove("enum");
    }
    let properties = plain.get("properties").and_then(Value::as_object).filter(|_| kind == "object");
    let names: Vec<String> = properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
    if names.is_empty() {
        plain.remove("properties");
    }
    if let Some(Value::Array(required)) = plain.get_mut("required") {
        required.retain(|name| name.as_str().is_some_and(|name| names.iter().any(|known| known == name)));
    }
    if plain.get("required").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        plain.remove("required");
    }
    match kind.as_str() {
        "array" if !plain.contains_key("items") => {
            plain.insert("items".to_owned(), typed("string", "Any JSON value.").into());
        }
        "array" => {}
        _ => {
            plain.remove("items");
        }
    }
}

fn describe(schema: &Map<String, Value>, notes: Vec<String>, plain: &mut Map<String, Value>) {
    let own = ["description", "title"].iter().find_map(|keyword| schema.get(*keyword).and_then(Value::as_str));
    let referred = plain.get("description").and_then(Value::as_str);
    let mut description = own.or(referred).unwrap_or_default().trim().to_owned();
    if !notes.is_empty() {
        if !description.is_empty() {
            description.push(' ');
        }
        description.push_str(&format!("({})", notes.join("; ")));
    }
    if description.is_empty() {
        plain.remove("description");
    } else {
        plain.insert("description".to_owned(), plain_description(&description).into());
    }
}

/// Combines several schemas for the same value.
fn merge(into: &mut Map<String, Value>, other: Map<String, Value>) {
    for (keyword, value) in other {
        match (into.get_mut(&keyword), value) {
            (Some(Value::Object(known)), Value::Object(more)) if keyword == "properties" => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) if keyword == "required" => {
                let new: Vec<Value> = more.into_iter().filter(|name| !known.contains(name)).collect();
                known.extend(new);
            }
            (_, value) => {
                into.insert(keyword, value);
            }
        }
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(MAX_NOTE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn simplified(schema: &Value) -> Option<Value> {
        plain(&serde_json::value::to_raw_value(schema).unwrap()).map(|plain| serde_json::from_str(plain.get()).unwrap())
    }

    fn property(schema: &Value) -> Value {
        let schema = json!({"type": "object", "properties": {"p": schema}, "$defs": {
            "tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}},
            "word": {"type": "string", "description": "A word."}}});
        simplified(&schema).unwrap()["properties"]["p"].take()
    }

    #[test]
    fn what_few_servers_know_is_told_in_words() {
        for (schema, plain) in [
            (json!({"type": "string", "title": "T", "$comment": "c"}), json!({"type": "string", "description": "T"})),
            (
                json!({"type": ["integer", "null"], "minimum": 1, "description": "How many."}),
                json!({"type": "integer", "description": "How many. (minimum: 1; or null)"}),
            ),
            (json!({"type": ["string", "integer"]}), json!({"type": "string", "description": "(or integer)"})),
            (json!({"enum": ["a", "b"]}), json!({"type": "string", "enum": ["a", "b"]})),
            (json!({"enum": [1, 2]}), json!({"type": "integer", "description": "(one of: 1, 2)"})),
            (json!({"const": "a"}), json!({"type": "string", "enum": ["a"]})),
            (json!({"oneOf": [{"const": "a"}, {"const": "b"}]}), json!({"type": "string", "enum": ["a", "b"]})),
            (
                json!({"anyOf": [{"type": "integer"}, {"format": "date", "type": "string"}, {"type": "null"}]}),
                json!({"type": "integer", "description": "(or null; or {\"format\":\"date\",\"type\":\"string\"})"}),
            ),
            (
                json!({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "number"}}, "required": ["b"]}]}),
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}, "required": ["a", "b"]}),
            ),
            (json!({"$ref": "#/$defs/word"}), json!({"type": "string", "description": "A word."})),
            (
                json!({"$ref": "#/$defs/tree"}),
                json!({"type": "object", "properties": {"left": {"type": "object", "description": "tree again, as above."}}}),
            ),
            (json!({"$ref": "#/$defs/none"}), json!({"type": "object", "description": "none"})),
            (json!({"type": "object", "properties": {}, "additionalProperties": false}), json!({"type": "object"})),
            (
                json!({"type": "array"}),
                json!({"type": "array", "items": {"type": "string", "description": "Any JSON value."}}),
            ),
            (
                json!({"type": "array", "items": {"type": "integer", "format": "int32"}, "maxItems": 3}),
                json!({"type": "array", "items": {"type": "integer", "description": "(format: \"int32\")"}, "description": "(maxItems: 3)"}),
            ),
            (json!(true), json!({"type": "string", "description": "Any JSON value."})),
            (json!({}), json!({"type": "string"})),
        ] {
            assert_eq!(property(&schema), plain, "{schema}");
        }
    }

    #[test]
    fn a_tool_without_arguments_has_no_schema() {
        for schema in [json!({"type": "object"}), json!({"type": "object", "properties": {}}), json!({}), json!(null)] {
            assert_eq!(simplified(&schema), None);
        }
    }

    #[test]
    fn references_in_references_stay_small() {
        let mut definitions = Map::new();
        for level in 0..20 {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            let schema = json!({"type": "object", "properties": {"a": next, "b": next, "c": next, "d": next}});
            definitions.insert(level.to_string(), schema);
        }
        let schema = json!({"type": "object", "properties": {"p": {"$ref": "#/$defs/0"}}, "$defs": definitions});
        assert!(simplified(&schema).unwrap().to_string().len() < 1_000_000);
    }

    fn schema() -> impl Strategy<Value = Value> {
        let types = prop::sample::select(vec!["string", "object", "array", "integer", "null", "odd"]);
        let leaf = prop_oneof![
            types.clone().prop_map(|name| json!({ "type": name })),
            prop::collection::vec(types, 0..3).prop_map(|names| json!({ "type": names })),
            Just(json!({"$ref": "#"})),
            Just(json!({"enum": ["", 1, null]})),
            Just(json!(false)),
        ];
        leaf.prop_recursive(6, 40, 4, |inner| {
            prop_oneof![
                prop::collection::btree_map("[a-c]", inner.clone(), 0..3).prop_map(|properties| {
                    json!({"type": "object", "properties": properties, "required": ["a", "z", 1], "additionalProperties": {}})
                }),
                inner.clone().prop_map(|items| json!({"type": "array", "items": items, "minItems": 1})),
                prop::collection::vec(inner.clone(), 0..3).prop_map(|any| json!({ "anyOf": any })),
                prop::collection::vec(inner, 0..3).prop_map(|all| json!({ "allOf": all, "if": {} })),
            ]
        })
    }

    /// Checks that only keywords that every server knows are used, and nothing is empty.
    fn assert_plain(schema: &Value, depth: usize) {
        assert!(depth <= MAX_DEPTH + 2, "{schema}");
        let fields = schema.as_object().unwrap();
        let known = ["type", "description", "properties", "required", "items", "enum"];
        assert!(fields.keys().all(|name| known.contains(&name.as_str())), "{schema}");
        let kinds = ["object", "array", "string", "integer", "number", "boolean"];
        assert!(kinds.contains(&schema["type"].as_str().unwrap()), "{schema}");
        assert_eq!(schema["type"] == "array", fields.contains_key("items"), "{schema}");
        if let Some(properties) = fields.get("properties") {
            let properties = properties.as_object().unwrap();
            assert!(!properties.is_empty() && schema["type"] == "object", "{schema}");
            properties.values().for_each(|property| assert_plain(property, depth + 1));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(schema["properties"].get(name.as_str().unwrap()).is_some(), "{schema}");
        }
        if let Some(items) = fields.get("items") {
            assert_plain(items, depth + 1);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_schema_says_it_becomes_plain(schema in schema()) {
            let schema = json!({"type": "object", "properties": {"p": schema}});
            assert_plain(&simplified(&schema).unwrap(), 0);
        }
    }
}
