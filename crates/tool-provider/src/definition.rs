//! What `#[tool]` makes of a function.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;

use crate::{Answer, Context, Failure, Progress};

/// A tool as its attribute and its types describe it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// The function's name.
    pub name: &'static str,
    /// For people.
    pub title: Option<&'static str>,
    /// The doc comment.
    pub description: &'static str,
    /// JSON Schema of the arguments.
    pub input_schema: String,
    /// JSON Schema of what it returns, if that has fields.
    pub output_schema: Option<String>,
    /// The secrets it needs.
    pub secrets: &'static [&'static str],
    /// For how long an answer may be given again for the same arguments and person.
    pub cache_ms: Option<u32>,
    /// It changes nothing.
    pub read_only: bool,
    /// It may destroy something: everything that is neither `read_only` nor `additive`.
    pub destructive: bool,
    /// Calling it twice does no more than once.
    pub idempotent: bool,
    /// It reaches out to a world that others write to: everything that is not `closed_world`.
    pub open_world: bool,
    /// The person is asked before every call, and nobody can allow it once and for all.
    pub always_asks: bool,
}

/// Implemented by `#[tool]`.
pub trait Tool {
    /// The function's name.
    const NAME: &'static str;

    /// The definition.
    fn definition() -> Definition;

    /// Reads the arguments and makes the call.
    fn call(arguments: &str, context: &Context, progress: &Progress) -> impl Future<Output = Result<Answer, Failure>>;
}

/// JSON Schema 2020-12 of a type, without what only costs the model's attention.
#[must_use]
pub fn schema<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.remove("title");
    schema.as_value().to_string()
}

/// The arguments as the function wants them.
///
/// # Errors
/// [`Failure::InvalidArguments`] when they do not fit: the caller has checked the schema, which cannot say everything.
pub fn arguments<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::InvalidArguments(format!("The arguments do not fit: {error}.")))
}
