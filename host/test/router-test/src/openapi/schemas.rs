//! What is said about the schemas of all components alike, and which of them a document needs.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{common::EVENTS, operations};

/// Where a reference to a schema begins.
const SCHEMAS: &str = "#/components/schemas/";

/// Names every schema once, and says of each field of an answer whether it is always there.
pub(super) fn tidy(part: &mut Value) {
    let named = part["components"]["schemas"].as_object().cloned().unwrap_or_default();
    for (name, schema) in part["components"]["schemas"].as_object_mut().into_iter().flatten() {
        by_name(schema, &named, Some(name));
        in_one_order(schema);
    }
    by_name(&mut part["paths"], &named, None);
    let (mut sent, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for (_, _, operation) in operations(part) {
        collect(&operation["requestBody"], part, &mut sent);
        collect(&operation["parameters"], part, &mut sent);
        for response in operation["responses"].as_object().into_iter().flat_map(|responses| responses.values()) {
            let content = response["content"].as_object().into_iter().flatten();
            // A stream's events have what their types have.
            let documents = content.filter(|(media_type, _)| *media_type != EVENTS);
            documents.for_each(|(_, document)| collect(document, part, &mut answered));
        }
    }
    for name in answered.difference(&sent) {
        if let Some(schema) = part["components"]["schemas"].get_mut(name.as_str()) {
            always_there(schema);
        }
    }
}

/// The generator writes the argument of a generic type in its place. A reference says the same.
fn by_name(value: &mut Value, named: &Map<String, Value>, itself: Option<&str>) {
    if itself.is_none() && value.get("type").is_some() {
        // Only what has fields or values of its own is worth a name: texts look all the same.
        let is_own = |value: &Value| value.get("properties").is_some() || value.get("enum").is_some();
        if let Some((name, _)) = named.iter().find(|(_, schema)| is_own(value) && *schema == value) {
            *value = serde_json::json!({ "$ref": format!("{SCHEMAS}{name}") });
            return;
        }
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|value| by_name(value, named, None)),
        Value::Array(items) => items.iter_mut().for_each(|value| by_name(value, named, None)),
        _ => {}
    }
}

/// Components that have a schema in common say the same of it.
fn in_one_order(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(required) = fields.get_mut("required").and_then(Value::as_array_mut) {
                required.sort_by_key(ToString::to_string);
            }
            fields.values_mut().for_each(in_one_order);
        }
        Value::Array(items) => items.iter_mut().for_each(in_one_order),
        _ => {}
    }
}

/// The names of all schemas that a value refers to, also through others.
fn collect(value: &Value, document: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix(SCHEMAS))
                && names.insert(name.to_owned())
            {
                collect(&document["components"]["schemas"][name], document, names);
            }
            fields.values().for_each(|value| collect(value, document, names));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, document, names)),
        _ => {}
    }
}

/// The fields of an answer that may be null are always there: one that may be left out is declared as one that is never null.
fn always_there(schema: &mut Value) {
    for form in ["allOf", "oneOf", "anyOf"] {
        schema.get_mut(form).and_then(Value::as_array_mut).into_iter().flatten().for_each(always_there);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let may_be_null = |property: &Value| {
        let is_null = |kind: &Value| kind == "null";
        let among = |property: &Value| property["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null));
        among(property)
            || property["oneOf"].as_array().is_some_and(|forms| forms.iter().any(|form| is_null(&form["type"])))
    };
    let nullable = properties.iter().filter(|(_, property)| may_be_null(property)).map(|(name, _)| name.clone());
    let before = schema["required"].as_array().cloned().unwrap_or_default();
    let before = before.iter().filter_map(Value::as_str).map(str::to_owned);
    let required: BTreeSet<String> = nullable.chain(before).collect();
    if !required.is_empty() {
        schema["required"] = required.into_iter().map(Value::from).collect();
    }
}

/// Drops the schemas and common answers that nothing refers to any more.
pub(super) fn keep_used(document: &mut Value) {
    let text = document["paths"].to_string();
    if let Some(responses) = document["components"]["responses"].as_object_mut() {
        responses.retain(|name, _| text.contains(&format!("#/components/responses/{name}\"")));
    }
    let mut used = BTreeSet::new();
    collect(&document["paths"], document, &mut used);
    collect(&document["components"]["responses"], document, &mut used);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| used.contains(name));
    }
}

/// A schema with everything that it refers to, by itself.
pub(super) fn whole(schema: &Value, document: &Value) -> Value {
    let mut used = BTreeSet::new();
    collect(schema, document, &mut used);
    let schemas: Map<String, Value> =
        used.into_iter().map(|name| (name.clone(), document["components"]["schemas"][name].clone())).collect();
    let mut whole = schema.clone();
    whole["components"]["schemas"] = Value::Object(schemas);
    whole
}
