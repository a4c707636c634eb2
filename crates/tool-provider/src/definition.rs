//! The code behind `#[tool]`: a tool's definition and call.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;

use crate::{Answer, Context, Failure, Progress};

/// A tool, from its attribute and its types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Definition {
    /// The function's name.
    pub name: &'static str,
    /// The title for people.
    pub title: Option<&'static str>,
    /// The description for the model, from the doc comment.
    pub description: &'static str,
    /// The JSON Schema of the arguments.
    pub input_schema: String,
    /// The JSON Schema of the result, if the result has fields.
    pub output_schema: Option<String>,
    /// The names of the secrets that the tool uses.
    pub secrets: &'static [&'static str],
    /// How long a result may be reused for the same arguments and person.
    pub cache_ms: Option<u32>,
    /// Whether the tool changes nothing.
    pub read_only: bool,
    /// Whether the tool may destroy something: true unless it is `read_only` or `additive`.
    pub destructive: bool,
    /// Whether a second call with the same arguments has no further effect.
    pub idempotent: bool,
    /// Whether the tool reads a world that others write to: true unless it is `closed_world`.
    pub open_world: bool,
    /// Whether the person is asked before every call, and nobody can allow the tool permanently.
    pub always_asks: bool,
}

/// A tool. `#[tool]` implements it.
pub trait Tool {
    /// The function's name.
    const NAME: &'static str;

    /// The tool's definition.
    fn definition() -> Definition;

    /// Parses the arguments and makes the call.
    fn call(arguments: &str, context: &Context, progress: &Progress) -> impl Future<Output = Result<Answer, Failure>>;
}

/// The JSON Schema 2020-12 of a type, without parts that only cost the model's attention.
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

/// Parses the arguments.
///
/// # Errors
/// [`Failure::InvalidArguments`]. The caller has checked the schema, but a schema cannot express every rule.
pub fn arguments<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::InvalidArguments(format!("The arguments do not fit: {error}.")))
}
