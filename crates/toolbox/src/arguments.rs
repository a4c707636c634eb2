//! Checks the arguments of a call: the model's text must be an object that fits the tool's schema. If it is not, the error helps the model to correct
//! it.

use json_schema::{MAX_SCHEMA_BYTES, Problem, Unusable};
use serde_json::{Map, Value, value::RawValue};

use self::unambiguous::Unambiguous;

mod unambiguous;

/// The longest arguments. A long mail or a page of code is a tenth of this.
pub const MAX_ARGUMENTS_BYTES: usize = 256 * 1024;

/// Why arguments cannot be used, in a message that the model can act on.
#[derive(Debug, thiserror::Error)]
pub enum InvalidArguments {
    /// The arguments are too long.
    #[error("they are longer than {MAX_ARGUMENTS_BYTES} bytes")]
    TooLong,
    /// The arguments are not JSON, or JSON nested more than 128 deep.
    #[error("they are not valid JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// An object has a name twice. Some readers take the first value and others the last, so it would be unclear what was approved.
    #[error("they have a name twice in one object: {0}")]
    Twice(#[source] serde_json::Error),
    /// The arguments are JSON, but not an object.
    #[error("they must be a JSON object")]
    NotAnObject,
    /// The arguments do not fit the schema. At most five problems.
    #[error("{}", lines(.0))]
    Unfit(Vec<Problem>),
    /// The schema itself cannot be used.
    #[error("the tool's own schema cannot be used: {0}")]
    Schema(#[from] Unusable),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The arguments as the tool gets them: the model's text byte for byte, so that numbers and their order stay as a person approved them.
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
