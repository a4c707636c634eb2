//! The text that a model reads of a tool's result, within limits.

use std::fmt::Write;

use mcp::{Content, Outcome, ResourceBody};
use serde_json::Value;

use crate::cut;

/// The longest text that a model gets of one result: about 25,000 tokens, a fifth of a large context.
pub const MAX_RESULT_CHARS: usize = 100_000;
/// The longest address, name or media type in a line about content that is not text.
const MAX_LABEL_CHARS: usize = 200;

/// The text that a model reads of a result: its texts; a line in brackets for other content; the structured result, if there is no text or if it says
/// more about a failure; and in brackets how much was left out. At most [`MAX_RESULT_CHARS`] and that last line.
#[must_use]
pub fn text_for_model(outcome: &Outcome) -> String {
    let mut parts: Vec<String> = outcome.content.iter().map(words).collect();
    // The texts of a success must repeat the structured result (MCP, "Structured Content"). The text of a failure is mostly one line.
    let is_said = |structured: &Value| match outcome.is_error {
        false => has_text(outcome),
        true => outcome.content.iter().any(|content| match content {
            Content::Text { text } => serde_json::from_str::<Value>(text).is_ok_and(|said| said == *structured),
            _ => false,
        }),
    };
    if let Some(structured) = outcome.structured.as_ref().filter(|structured| !is_said(structured)) {
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

/// Whether a result has a text.
pub(crate) fn has_text(outcome: &Outcome) -> bool {
    outcome.content.iter().any(|content| match content {
        Content::Text { text } => !text.trim().is_empty(),
        Content::Resource { resource } => matches!(resource.body, ResourceBody::Text(_)),
        _ => false,
    })
}

fn words(content: &Content) -> String {
    match content {
        Content::Text { text } => text.clone(),
        Content::Image { data, mime_type } => format!("[image {}, {}]", label(mime_type), size(decoded_bytes(data))),
        Content::Audio { data, mime_type } => format!("[audio {}, {}]", label(mime_type), size(decoded_bytes(data))),
        Content::ResourceLink(resource) => {
            let mut line = format!("[resource {} ({})", label(&resource.name), label(&resource.uri));
            if let Some(mime_type) = &resource.mime_type {
                let _ = write!(line, ", {}", label(mime_type));
            }
            if let Some(bytes) = resource.size {
                let _ = write!(line, ", {}", size(bytes));
            }
            line.push(']');
            line
        }
        Content::Resource { resource } => match &resource.body {
            ResourceBody::Text(text) => format!("[resource {}]\n{text}", label(&resource.uri)),
            ResourceBody::Blob(blob) => {
                let mime_type = resource.mime_type.as_deref().unwrap_or("application/octet-stream");
                format!("[resource {}, {}, {}]", label(&resource.uri), label(mime_type), size(decoded_bytes(blob)))
            }
        },
        other @ Content::Other(_) => match other.clone().known() {
            Content::Text { text } => text,
            _ => String::new(),
        },
    }
}

/// The number of bytes of a result that is written as JSON.
#[must_use]
pub fn written_bytes(outcome: &Outcome) -> usize {
    let bytes = |json: serde_json::Result<Vec<u8>>| json.map_or(usize::MAX, |json| json.len());
    let known = outcome.content.iter().filter(|content| !matches!(content, Content::Other(_)));
    let structured = outcome.structured.as_ref().map_or(0, |structured| bytes(serde_json::to_vec(structured)));
    known.map(|content| bytes(serde_json::to_vec(content))).fold(structured, usize::saturating_add)
}

/// A text on one line and without brackets, so that it cannot pass for other content.
fn label(text: &str) -> String {
    cut(&text.replace(|c: char| c.is_control() || c == '[' || c == ']', " "), MAX_LABEL_CHARS)
}

/// The number of bytes that a base64 text encodes.
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
