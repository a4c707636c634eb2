//! What servers offer and return: tools, content, resources and prompts, as both revisions write them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{lenient, task::ToolExecution};

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;

/// A tool, as `tools/list` describes it. Schemas are kept byte for byte, and a `$ref` in them is never followed. The name is required. Schemas are
/// not checked here. Any other field that is missing, `null` or of the wrong type counts as not given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The name that calls use.
    pub name: String,
    /// The display name.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description, for the model.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the arguments, 2020-12 unless it names another version. `{}` if it is missing.
    #[serde(default = "unsaid")]
    pub input_schema: Box<RawValue>,
    /// JSON Schema of the structured result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Box<RawValue>>,
    /// Hints about the effect of a call.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// Whether calls become tasks (2025-11-25).
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "ToolExecution::is_unsaid")]
    pub execution: ToolExecution,
    /// `_meta`.
    #[serde(rename = "_meta", default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map>,
}

fn unsaid() -> Box<RawValue> {
    // `{}` is valid JSON, so the fallback is never used.
    RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A server's hints about its tool. They are not promises: an untrusted server may claim anything.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Annotations {
    /// The tool's title, in the place where older servers put it.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The tool changes nothing. No by default.
    #[serde(
        rename = "readOnlyHint",
        default,
        deserialize_with = "lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub read_only: Option<bool>,
    /// The tool may destroy something. Yes by default.
    #[serde(
        rename = "destructiveHint",
        default,
        deserialize_with = "lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub destructive: Option<bool>,
    /// Another call with the same arguments changes nothing more. No by default.
    #[serde(
        rename = "idempotentHint",
        default,
        deserialize_with = "lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub idempotent: Option<bool>,
    /// The tool deals with an open set of things, such as the web. Yes by default.
    #[serde(
        rename = "openWorldHint",
        default,
        deserialize_with = "lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub open_world: Option<bool>,
}

impl Annotations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An item of content in a result or a prompt.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image {
        /// The data in base64.
        data: String,
        /// The media type.
        mime_type: String,
    },
    /// Audio.
    Audio {
        /// The data in base64.
        data: String,
        /// The media type.
        mime_type: String,
    },
    /// A link to a resource that can be read.
    ResourceLink(Resource),
    /// A resource with its contents.
    Resource {
        /// The resource.
        resource: ResourceContents,
    },
    /// The type of content that is unknown or lacks a required field. Never sent: [`Self::known`] describes it in a text.
    #[serde(skip_serializing)]
    Other(String),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(lenient::content)
    }
}

impl Content {
    /// The content as it can be sent. Unknown content becomes a text that describes it.
    #[must_use]
    pub fn known(self) -> Self {
        match self {
            Self::Other(kind) if kind.is_empty() => Self::text("[something without a type was not understood]"),
            Self::Other(kind) => {
                let kind: String = kind.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                Self::text(format!("[something of the type {kind:?} was not understood]"))
            }
            known => known,
        }
    }

    /// Content that is a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// A resource, as lists and links describe it.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The URI.
    pub uri: String,
    /// The name.
    #[serde(default)]
    pub name: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Audience, priority and the like, as the server sent them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map>,
}

/// A pattern for the URIs of resources.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTemplate {
    /// The pattern (RFC 6570).
    pub uri_template: String,
    /// The name.
    pub name: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media type, if all these resources have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

/// The contents of a resource.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    /// The URI.
    pub uri: String,
    /// The media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The body.
    #[serde(flatten)]
    pub body: ResourceBody,
}

/// The body of a resource: text or bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceBody {
    /// Text.
    Text(String),
    /// Bytes in base64.
    Blob(String),
}

/// A prompt, as `prompts/list` describes it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// The name that requests use.
    pub name: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PromptArgument>,
}

/// An argument of a prompt. Its value is always a text.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PromptArgument {
    /// The name.
    pub name: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the prompt needs this argument.
    #[serde(default)]
    pub required: bool,
}

/// A message of a prompt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PromptMessage {
    /// The author's role.
    pub role: Role,
    /// The content.
    pub content: Content,
}

/// The role of a message's author.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// The name and version of a client or server, as it claims. Nobody verifies them.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Implementation {
    /// The name.
    pub name: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The version.
    #[serde(default)]
    pub version: String,
}

/// The severity of a log message (RFC 5424), lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Details for debugging.
    Debug,
    /// Normal events.
    Info,
    /// Normal but significant events.
    Notice,
    /// Possible errors.
    Warning,
    /// Errors.
    Error,
    /// Failures of a component.
    Critical,
    /// Failures that need action at once.
    Alert,
    /// The system is unusable.
    Emergency,
}
