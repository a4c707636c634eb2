//! How a model is to answer, as parts of a request, and what takes their place where a server refuses them.

use serde::Serialize;
use serde_json::value::RawValue;

/// How a model is to answer. What is absent is not sent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Generation<'a> {
    /// How much it varies, from 0 to 2.
    pub temperature: Option<f64>,
    /// How much it reasons, in the words of the API: `low`.
    pub reasoning_effort: Option<&'a str>,
    /// The longest answer that is wanted, in tokens.
    pub max_output_tokens: Option<u64>,
    /// The form that the answer must have.
    pub format: Option<JsonFormat<'a>>,
}

/// JSON that is valid against a schema.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct JsonFormat<'a> {
    /// A name for the model.
    pub name: &'a str,
    /// What it is, for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// The JSON Schema.
    pub schema: &'a RawValue,
    /// Whether the server is to force the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// The field `response_format` of Chat Completions.
#[derive(Serialize)]
pub(crate) struct SentFormat<'a> {
    r#type: &'static str,
    json_schema: JsonFormat<'a>,
}

impl<'a> From<JsonFormat<'a>> for SentFormat<'a> {
    fn from(json_schema: JsonFormat<'a>) -> Self {
        Self { r#type: "json_schema", json_schema }
    }
}

/// The form of the answer in words, for a server that does not take the field.
pub(crate) fn in_words(format: &JsonFormat<'_>) -> String {
    format!(
        "Answer with one JSON value and nothing else: no words before or after it, and no code fence. It must be valid against this JSON Schema:\n{}",
        format.schema.get()
    )
}
