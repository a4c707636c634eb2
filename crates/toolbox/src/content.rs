//! What a tool gives back, and what a model reads of it: text, bounded.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cut;

/// The longest text that a model gets of one result: some 25,000 tokens, a fifth of a large context.
pub const MAX_RESULT_CHARS: usize = 100_000;
/// The longest address, name or media type in a line about something that is not text.
const MAX_LABEL_CHARS: usize = 200;

/// What a tool gives back.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its parts.
    pub content: Vec<Block>,
    /// The same for programs, if the tool has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    /// Whether the tool says that it failed.
    #[serde(default)]
    pub is_error: bool,
}

impl Outcome {
    /// A failure in words.
    #[must_use]
    pub fn failure(words: impl Into<String>) -> Self {
        Self { content: vec![Block::Text { text: words.into() }], structured_content: None, is_error: true }
    }

    /// What a model reads of it.
    #[must_use]
    pub fn text_for_model(&self) -> String {
        text_for_model(&self.content, self.structured_content.as_ref())
    }
}

/// A part of a result, spelled as the Model Context Protocol does (`ContentBlock`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Block {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    Image {
        /// Base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// A recording.
    Audio {
        /// Base64.
        data: String,
        /// Its media type.
        mime_type: String,
    },
    /// Something that can be read at its server.
    ResourceLink {
        /// Its address.
        uri: String,
        /// Its name.
        name: String,
        /// Its media type, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
        /// Its size in bytes, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// Something that was read.
    Resource {
        /// What it is.
        resource: Resource,
    },
    /// A kind that is not known here.
    #[serde(other, skip_serializing)]
    Other,
}

/// Something that was read.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its address.
    pub uri: String,
    /// Its media type, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// Its text, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its bytes in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

/// What a model reads of a result: its texts, a line in brackets for what is not text, the structured result if there is no text, and in
/// brackets what was left out. At most [`MAX_RESULT_CHARS`] and that last line.
#[must_use]
pub fn text_for_model(blocks: &[Block], structured: Option<&Value>) -> String {
    let mut parts: Vec<String> = blocks.iter().map(words).collect();
    let has_text = blocks.iter().any(|block| match block {
        Block::Text { text } => !text.trim().is_empty(),
        Block::Resource { resource } => resource.text.is_some(),
        _ => false,
    });
    if let Some(structured) = structured.filter(|_| !has_text) {
        parts.push(structured.to_string());
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() {
        return "[nothing]".to_owned();
    }
    let mut text = parts.join("\n");
    if let Some((end, _)) = text.char_indices().nth(MAX_RESULT_CHARS) {
        let left_out = text.get(end..).unwrap_or_default().chars().count();
        text.truncate(end);
        // Writing to a string does not fail.
        let _ = write!(text, "\n[{left_out} more characters were left out]");
    }
    text
}

fn words(block: &Block) -> String {
    match block {
        Block::Text { text } => text.clone(),
        Block::Image { data, mime_type } => format!("[image {}, {}]", label(mime_type), size(decoded_bytes(data))),
        Block::Audio { data, mime_type } => format!("[audio {}, {}]", label(mime_type), size(decoded_bytes(data))),
        Block::ResourceLink { uri, name, mime_type, size: bytes } => {
            let mut line = format!("[resource {} ({})", label(name), label(uri));
            if let Some(mime_type) = mime_type {
                let _ = write!(line, ", {}", label(mime_type));
            }
            if let Some(bytes) = bytes {
                let _ = write!(line, ", {}", size(*bytes));
            }
            line.push(']');
            line
        }
        Block::Resource { resource } => match &resource.text {
            Some(text) => format!("[resource {}]\n{text}", label(&resource.uri)),
            None => {
                let mime_type = resource.mime_type.as_deref().unwrap_or("application/octet-stream");
                let bytes = decoded_bytes(resource.blob.as_deref().unwrap_or_default());
                format!("[resource {}, {}, {}]", label(&resource.uri), label(mime_type), size(bytes))
            }
        },
        Block::Other => "[something of a kind that is not known here]".to_owned(),
    }
}

/// A text on one line, so that it cannot look like more than a label.
fn label(text: &str) -> String {
    cut(&text.replace(|c: char| c.is_control() || c == '[' || c == ']', " "), MAX_LABEL_CHARS)
}

/// How many bytes a base64 text stands for.
fn decoded_bytes(base64: &str) -> u64 {
    let digits = base64.trim_end_matches('=').len();
    u64::try_from(digits.saturating_mul(3) / 4).unwrap_or(u64::MAX)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}
