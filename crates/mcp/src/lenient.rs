//! Reads servers' messages leniently. A hint that is `null`, a number in place of a text, or content without its media type does not make the rest of
//! a message unusable. Callers still miss the fields that they need.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::model::{Content, Map, Resource, ResourceBody, ResourceContents};

/// The media type of data for which the server names none.
const UNKNOWN_MEDIA: &str = "application/octet-stream";
/// Numbers that Python writes and JSON does not have.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
/// The longest unknown content type that is repeated in a text.
const MAX_KIND_CHARS: usize = 60;

/// A field that counts as missing if it is `null` or of the wrong type. It reads a `RawValue`, so it works only directly on JSON text.
pub(crate) fn field<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Option<T>>(text.get()).ok().flatten().unwrap_or_default())
}

/// Whether JSON text may contain an escaped lone surrogate (UTF-16).
pub(crate) fn may_have_half_a_sign(json: &str) -> bool {
    json.contains("\\ud") || json.contains("\\uD")
}

/// Repairs JSON text: replaces lone surrogates, which JavaScript writes when it cuts a text, and Python's `NaN` and `Infinity`, and escapes control
/// characters in strings.
pub(crate) fn as_json(text: &str) -> String {
    let mut json = String::with_capacity(text.len());
    let (mut rest, mut is_in_text) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = NO_NUMBERS.iter().find(|word| !is_in_text && rest.starts_with(**word));
        let (written, length) = match c {
            _ if word.is_some() => ("null", word.map_or(0, |word| word.len())),
            '\\' if is_in_text => escape(rest),
            c if is_in_text && c.is_control() => {
                json.push_str(&format!("\\u{:04x}", u32::from(c)));
                ("", c.len_utf8())
            }
            c => {
                is_in_text ^= c == '"';
                rest.split_at_checked(c.len_utf8()).map_or(("", 1), |(c, _)| (c, c.len()))
            }
        };
        json.push_str(written);
        rest = rest.get(length..).unwrap_or_default();
    }
    json
}

/// An object without duplicate keys: the last value of a key counts. Nested objects stay as they are.
pub(crate) fn each_key_once(json: &str) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
    serde_json::to_string(&fields).ok()
}

/// The escape sequence at the beginning of a text, repaired if needed, and its length in the text.
fn escape(text: &str) -> (&str, usize) {
    let unit = |from: usize| {
        let digits = text.get(from..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let length = match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
        (Some(0xd800..=0xdfff), _) => return ("\\ufffd", 6),
        (Some(_), _) => 6,
        (None, _) => text.chars().take(2).map(char::len_utf8).sum(),
    };
    (text.get(..length).unwrap_or_default(), length)
}

/// A value as text. `null` is none, and other types are written as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Whether a flag is set. `null` does not set it; the string `"true"` does.
pub(crate) fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => false,
    }
}

/// The content of a result: a list, or a single item that should have been in a list.
pub(crate) fn contents(value: Value) -> Vec<Content> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(content).collect(),
        one => vec![content(one)],
    }
}

/// Reads one item of content.
pub(crate) fn content(value: Value) -> Content {
    let piece = match value {
        Value::Object(piece) => piece,
        Value::String(text) => return Content::Text { text },
        other => return Content::Text { text: other.to_string() },
    };
    let get = |key: &str| piece.get(key).and_then(text);
    let kind = get("type").unwrap_or_default();
    let media = || get("mimeType").or_else(|| get("mime_type")).unwrap_or_else(|| UNKNOWN_MEDIA.to_owned());
    let read = match kind.as_str() {
        "image" => get("data").map(|data| image(data, media())).or_else(|| image_elsewhere(&piece)),
        "image_url" => image_elsewhere(&piece),
        "audio" => get("data").map(|data| Content::Audio { data, mime_type: media() }),
        "resource_link" => link(&piece).map(Content::ResourceLink),
        "resource" => resource(&piece),
        "json" => get("json").or_else(|| get("data")).map(|text| Content::Text { text }),
        // Some servers omit the type, or use one of their own.
        _ => get("text").map(|text| Content::Text { text }),
    };
    read.unwrap_or_else(|| Content::Other(kind.chars().take(MAX_KIND_CHARS).collect()))
}

/// An image. Its data may be a `data:` URL, which also names the media type (RFC 2397).
fn image(data: String, mime_type: String) -> Content {
    match data.strip_prefix("data:").and_then(|address| address.split_once(";base64,")) {
        Some((named, data)) => Content::Image { data: data.to_owned(), mime_type: named.to_owned() },
        None => Content::Image { data, mime_type },
    }
}

/// An image in the form of model APIs: its data in a nested object, or only its address.
fn image_elsewhere(piece: &Map) -> Option<Content> {
    let part = ["source", "image_url"].iter().find_map(|key| piece.get(*key)?.as_object()).unwrap_or(piece);
    let get = |key: &str| part.get(key).and_then(text);
    let mime_type = get("mimeType").or_else(|| get("media_type"));
    if let Some(data) = get("data") {
        return Some(Content::Image { data, mime_type: mime_type.unwrap_or_else(|| UNKNOWN_MEDIA.to_owned()) });
    }
    let uri = get("url")?;
    if uri.starts_with("data:") && uri.contains(";base64,") {
        return Some(image(uri, UNKNOWN_MEDIA.to_owned()));
    }
    Some(Content::ResourceLink(Resource { uri, mime_type, ..Resource::default() }))
}

fn link(piece: &Map) -> Option<Resource> {
    let get = |key: &str| piece.get(key).and_then(text);
    Some(Resource {
        uri: get("uri")?,
        name: get("name").unwrap_or_default(),
        title: get("title"),
        description: get("description"),
        mime_type: get("mimeType"),
        size: piece.get("size").and_then(Value::as_u64),
        annotations: piece.get("annotations").and_then(Value::as_object).cloned(),
    })
}

/// A resource with its body. A resource that has only an address becomes a link.
fn resource(piece: &Map) -> Option<Content> {
    // Some servers put the fields beside `type` instead of into `resource`.
    let resource = piece.get("resource").and_then(Value::as_object).unwrap_or(piece);
    let get = |key: &str| resource.get(key).and_then(text);
    let body = get("text").map(ResourceBody::Text).or_else(|| get("blob").map(ResourceBody::Blob));
    let uri = get("uri");
    match (body, uri) {
        (Some(body), uri) => {
            let (uri, mime_type) = (uri.unwrap_or_default(), get("mimeType"));
            Some(Content::Resource { resource: ResourceContents { uri, mime_type, body } })
        }
        (None, Some(_)) => link(resource).map(Content::ResourceLink),
        (None, None) => None,
    }
}
