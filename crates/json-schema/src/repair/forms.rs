//! Merges several forms into one. Models' servers accept no `anyOf` and similar keywords at the top of the arguments, so the top becomes one object
//! with the properties of all its forms.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{MAX_FORMS, MAX_REFERENCES, References, Unfit, follow, object};

/// Keywords that say more about the whole than its properties. Models' servers do not accept them at the top.
const REFUSED: [&str; 6] = ["enum", "const", "not", "if", "then", "else"];

/// Merges `allOf`, `anyOf` and `oneOf` of the whole schema into the schema itself.
pub(super) fn merge(root: &mut Map<String, Value>) -> Result<(), Unfit> {
    let whole = Value::Object(root.clone());
    let references = References::of(&whole);
    for keyword in REFUSED {
        root.remove(keyword);
    }
    if let Some(Value::Array(forms)) = root.remove("allOf") {
        if forms.len() > MAX_FORMS {
            return Err(Unfit::TooManyForms);
        }
        for form in forms {
            let form = as_object(form, &references, &whole)?.ok_or(Unfit::NotAnObject)?;
            // A property that one form does not know may be known to another.
            for keyword in ["additionalProperties", "unevaluatedProperties"] {
                root.remove(keyword);
            }
            for (name, property) in members(&form) {
                add(root, name, property, "allOf");
            }
            let names = required(root).union(&required(&form)).cloned().collect();
            require(root, names);
            describe(root, &form);
        }
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(forms)) = root.remove(keyword) else { continue };
        if forms.len() > MAX_FORMS {
            return Err(Unfit::TooManyForms);
        }
        let forms: Result<Vec<_>, _> = forms.into_iter().map(|form| as_object(form, &references, &whole)).collect();
        // Arguments are an object, so they never have another form.
        let forms: Vec<_> = forms?.into_iter().flatten().collect();
        let Some((first, others)) = forms.split_first() else { return Err(Unfit::NotAnObject) };
        let in_all = others.iter().fold(required(first), |names, form| &names & &required(form));
        for form in &forms {
            for (name, property) in members(form) {
                add(root, name, property, "anyOf");
            }
        }
        let names = required(root).union(&in_all).cloned().collect();
        require(root, names);
        if others.is_empty() {
            describe(root, first);
        }
        if root.get("additionalProperties") == Some(&Value::Bool(false))
            && forms.iter().any(|form| form.get("additionalProperties") != Some(&Value::Bool(false)))
        {
            root.remove("additionalProperties");
        }
    }
    Ok(())
}

/// The form, or the schema that it refers to. `None`: it is not an object.
fn as_object(mut form: Value, references: &References<'_>, whole: &Value) -> Result<Option<Map<String, Value>>, Unfit> {
    for _ in 0..MAX_REFERENCES {
        let Value::Object(mut keywords) = form else { return Ok(None) };
        let Some(Value::String(reference)) = keywords.remove("$ref") else {
            if ["allOf", "anyOf", "oneOf"].iter().any(|keyword| keywords.contains_key(*keyword)) {
                // Forms inside forms are not searched; they may be anything.
                keywords.retain(|keyword, _| !matches!(keyword.as_str(), "allOf" | "anyOf" | "oneOf" | "required"));
            }
            return Ok(object(&mut keywords).is_ok().then_some(keywords));
        };
        form = follow(references, &reference, whole)?.clone();
    }
    Err(Unfit::Reference("itself".to_owned()))
}

fn members(form: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    form.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn required(form: &Map<String, Value>) -> BTreeSet<String> {
    form.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(super::text).collect()
}

fn require(root: &mut Map<String, Value>, names: BTreeSet<String>) {
    if !names.is_empty() {
        root.insert("required".to_owned(), names.into_iter().collect());
    }
}

/// Adds a property. If the property exists with another schema, `keyword` combines both.
fn add(root: &mut Map<String, Value>, name: &str, property: &Value, keyword: &str) {
    let properties = root.entry("properties".to_owned()).or_insert_with(|| json!({}));
    let Value::Object(properties) = properties else { return };
    match properties.get_mut(name) {
        None => _ = properties.insert(name.to_owned(), property.clone()),
        Some(known) if known == property => {}
        Some(known) => match known.get_mut(keyword).and_then(Value::as_array_mut) {
            Some(forms) if !forms.contains(property) => forms.push(property.clone()),
            Some(_) => {}
            None => *known = json!({keyword: [known.take(), property]}),
        },
    }
}

/// Copies what a form says about the whole object, unless the schema says it already.
fn describe(root: &mut Map<String, Value>, form: &Map<String, Value>) {
    for (keyword, value) in form {
        let is_about_all = matches!(keyword.as_str(), "description" | "title" | "$defs" | "definitions");
        let is_closed = keyword == "additionalProperties" && value.is_object();
        if is_about_all || is_closed {
            root.entry(keyword.clone()).or_insert_with(|| value.clone());
        }
    }
}
