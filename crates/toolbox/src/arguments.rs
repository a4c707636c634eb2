//! The arguments of a call: text from the model, an object that fits the tool's schema, or words that help the model to mend it.

use json_schema::{MAX_SCHEMA_BYTES, Problem, Unusable};
use serde_json::{Map, Value, value::RawValue};

use self::unambiguous::Unambiguous;

mod unambiguous;

/// More than this is no call but a document; a long mail or a page of code is a tenth of it.
pub const MAX_ARGUMENTS_BYTES: usize = 256 * 1024;

/// Why arguments cannot be used, in words that a model can act on.
#[derive(Debug, thiserror::Error)]
pub enum InvalidArguments {
    /// They are too long.
    #[error("they are longer than {MAX_ARGUMENTS_BYTES} bytes")]
    TooLong,
    /// They are no JSON, or JSON nested more than 128 deep.
    #[error("they are not valid JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A name is there twice: one reader takes the first, another the last, and nobody could say what was approved.
    #[error("they have a name twice in one object: {0}")]
    Twice(#[source] serde_json::Error),
    /// They are JSON, but no object.
    #[error("they must be a JSON object")]
    NotAnObject,
    /// They do not fit the schema. At most five problems.
    #[error("{}", lines(.0))]
    Unfit(Vec<Problem>),
    /// The fault is the schema's.
    #[error("the tool's own schema cannot be used: {0}")]
    Schema(#[from] Unusable),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The arguments as the tool gets them: what the model wrote, byte for byte, so that numbers and their order stay as a person approved them.
#[must_use]
pub fn as_sent(arguments: &str) -> &str {
    match arguments.trim() {
        "" => "{}",
        text => text,
    }
}

/// Reads the arguments and checks them. An empty text is an empty object.
///
/// # Errors
/// [`InvalidArguments`].
pub fn validate(schema: &RawValue, arguments: &str) -> Result<Map<String, Value>, InvalidArguments> {
    if arguments.len() > MAX_ARGUMENTS_BYTES {
        return Err(InvalidArguments::TooLong);
    }
    let text = as_sent(arguments);
    let instance: Value = serde_json::from_str(text).map_err(InvalidArguments::NotJson)?;
    serde_json::from_str::<Unambiguous>(text).map_err(InvalidArguments::Twice)?;
    if !instance.is_object() {
        return Err(InvalidArguments::NotAnObject);
    }
    let schema = schema.get();
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(Unusable::TooLong.into());
    }
    let schema: Value = serde_json::from_str(schema).map_err(|_| Unusable::TooDeep)?;
    let problems = json_schema::check(&schema, &instance)?;
    match instance {
        Value::Object(object) if problems.is_empty() => Ok(object),
        _ => Err(InvalidArguments::Unfit(problems)),
    }
}
