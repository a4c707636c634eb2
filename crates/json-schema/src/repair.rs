//! Turns a tool's schema into one that every model's server accepts: an object with properties, `items` in every list, no keyword of a wrong type. A
//! clear meaning is written out. If the meaning is unclear, the tool is left out instead of guessed at, because a strict server refuses a whole
//! request for one schema.
//!
//! The result may allow more than the original, never less: the tool's own server checks too.

mod forms;
mod keywords;

pub use keywords::kind;

use serde_json::{Map, Value, value::RawValue};

use super::{MAX_SCHEMA_BYTES, references::References, shortened};

/// How deep schemas may be nested. Real tools' schemas are up to ten deep; servers that read them recursively have undocumented limits.
pub const MAX_DEPTH: usize = 32;
/// The longest chain of references.
const MAX_REFERENCES: usize = 16;

/// The most forms of the whole schema. Each form may refer to another part of the schema, and that part is copied for it.
const MAX_FORMS: usize = 100;

/// The keys under which libraries wrap a schema in an object, and the keywords that no such wrapper has.
const WRAPPERS: [&str; 5] = ["schema", "jsonSchema", "json_schema", "parameters", "inputSchema"];
const KEYWORDS_OF_A_WHOLE: [&str; 6] = ["type", "properties", "$ref", "anyOf", "oneOf", "allOf"];

/// Why a schema cannot be used. The words follow its name, as in "its input schema does not describe an object".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    /// It is too long.
    #[error("is longer than {MAX_SCHEMA_BYTES} bytes")]
    TooLarge,
    /// It has too many forms.
    #[error("has more than {MAX_FORMS} forms")]
    TooManyForms,
    /// It is nested too deeply.
    #[error("is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// It is not readable JSON.
    #[error("cannot be read: {0}")]
    NotJson(String),
    /// It does not describe an object, but arguments are an object.
    #[error("does not describe an object")]
    NotAnObject,
    /// It refers to something that is not in it.
    #[error("refers to {0}, which is not in it")]
    Reference(String),
}

/// The schema in a form that any model's server accepts. A schema without faults stays as it was sent.
///
/// # Errors
/// [`Unfit`].
pub fn repaired(schema: &RawValue) -> Result<Box<RawValue>, Unfit> {
    if schema.get().len() > MAX_SCHEMA_BYTES {
        return Err(Unfit::TooLarge);
    }
    let (sent, is_packed) = read(schema.get())?;
    let dialect = Dialect::of(&sent);
    let mut root = resolved(&sent, dialect)?;
    root = keywords::tidy(root, dialect, 0)?;
    forms::merge(&mut root)?;
    object(&mut root)?;
    let mut repaired = Value::Object(root);
    check_references(&repaired)?;
    if repaired == sent && !is_packed && dialect != Dialect::Draft4 {
        return Ok(schema.to_owned());
    }
    // The result is not in an older dialect any more.
    if let Value::Object(root) = &mut repaired {
        root.remove("$schema");
    }
    RawValue::from_string(repaired.to_string()).map_err(|error| Unfit::NotJson(error.to_string()))
}

/// The versions of JSON Schema that give keywords different meanings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// Draft-04 and earlier: a schema's name is in `id`.
    Draft4,
    /// Draft-06 and 07: keywords beside a `$ref` are ignored, as in earlier drafts.
    Draft7,
    /// All other versions, and schemas that name none.
    New,
}

impl Dialect {
    pub(super) fn of(schema: &Value) -> Self {
        let named = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let has = |name: &str| named.contains(name);
        match () {
            () if has("draft-03") || has("draft-04") || has("draft-05") => Self::Draft4,
            () if has("draft-06") || has("draft-07") => Self::Draft7,
            () => Self::New,
        }
    }

    /// Whether keywords beside a `$ref` are ignored.
    pub(super) fn reference_is_alone(self) -> bool {
        self != Self::New
    }
}

/// The schema, taken out of a text or a wrapper, and whether it was in one. Some servers send the schema as a text.
fn read(text: &str) -> Result<(Value, bool), Unfit> {
    let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| Unfit::NotJson(error.to_string()));
    match read(text)? {
        Value::String(inner) => Ok((unwrapped(read(&inner)?).0, true)),
        schema => Ok(unwrapped(schema)),
    }
}

/// The schema in a wrapper object, as libraries pass it, and whether there was a wrapper.
fn unwrapped(mut schema: Value) -> (Value, bool) {
    let Value::Object(keywords) = &mut schema else { return (schema, false) };
    if KEYWORDS_OF_A_WHOLE.iter().any(|keyword| keywords.contains_key(*keyword)) {
        return (schema, false);
    }
    let has_properties = |inner: &Value| inner.get("properties").is_some_and(Value::is_object);
    let wrapper = WRAPPERS.iter().find(|name| keywords.get(**name).is_some_and(has_properties));
    match wrapper.and_then(|name| keywords.remove(*name)) {
        Some(inner) => (inner, true),
        None => (schema, false),
    }
}

/// The keywords of the schema and of the schemas that it refers to. Some servers write an empty object as a list (PHP) or as `null`.
fn resolved(sent: &Value, dialect: Dialect) -> Result<Map<String, Value>, Unfit> {
    let mut root = match sent {
        Value::Object(keywords) => keywords.clone(),
        Value::Null | Value::Bool(true) => return Ok(Map::new()),
        Value::Array(items) if items.is_empty() => return Ok(Map::new()),
        _ => return Err(Unfit::NotAnObject),
    };
    let references = References::of(sent);
    for _ in 0..MAX_REFERENCES {
        let Some(Value::String(reference)) = root.remove("$ref") else { return Ok(root) };
        let target = follow(&references, &reference, sent)?;
        let Value::Object(target) = target else { return Err(Unfit::NotAnObject) };
        if dialect.reference_is_alone() {
            root.retain(|keyword, _| matches!(keyword.as_str(), "$defs" | "definitions" | "$schema"));
        }
        for (keyword, value) in target {
            root.entry(keyword.clone()).or_insert_with(|| value.clone());
        }
    }
    Err(Unfit::Reference("itself".to_owned()))
}

fn follow<'s>(references: &References<'s>, reference: &str, root: &'s Value) -> Result<&'s Value, Unfit> {
    let found = references.follow(reference, root);
    found.map(|(found, _)| found).map_err(|_| Unfit::Reference(shortened(reference)))
}

/// Writes that the schema is an object with properties, unless it says otherwise.
fn object(root: &mut Map<String, Value>) -> Result<(), Unfit> {
    let is_object = match root.get("type") {
        None => true,
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(_) => false,
    };
    if !is_object {
        return Err(Unfit::NotAnObject);
    }
    root.insert("type".to_owned(), "object".into());
    let required: Vec<String> =
        root.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(text).collect();
    if let Value::Object(properties) = root.entry("properties".to_owned()).or_insert_with(|| Value::Object(Map::new()))
    {
        // A required property that is not described may be anything.
        for name in required {
            properties.entry(name).or_insert_with(|| Value::Object(Map::new()));
        }
    }
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Checks that every reference leads to a schema in the end, not only to references.
fn check_references(root: &Value) -> Result<(), Unfit> {
    let references = References::of(root);
    let mut rest = vec![(root, root)];
    while let Some((schema, base)) = rest.pop() {
        match schema {
            Value::Array(items) => rest.extend(items.iter().map(|item| (item, base))),
            Value::Object(keywords) => {
                let is_resource = keywords.get("$id").and_then(Value::as_str).is_some_and(|id| !id.starts_with('#'));
                let base = if is_resource { schema } else { base };
                if let Some(Value::String(reference)) = keywords.get("$ref") {
                    check_reference(&references, reference, base)?;
                }
                rest.extend(super::references::schemas(keywords).map(|value| (value, base)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_reference(references: &References<'_>, reference: &str, base: &Value) -> Result<(), Unfit> {
    let lost = || Unfit::Reference(shortened(reference));
    let (mut next, mut base) = (reference.to_owned(), base);
    for _ in 0..MAX_REFERENCES {
        let (found, within) = references.follow(&next, base).map_err(|_| lost())?;
        match found {
            Value::Object(keywords) => match keywords.get("$ref") {
                Some(Value::String(reference)) => (next, base) = (reference.clone(), within),
                _ => return Ok(()),
            },
            Value::Bool(_) => return Ok(()),
            _ => return Err(lost()),
        }
    }
    Err(lost())
}
