//! Reads what servers send as far as it makes sense: a hint that is `null`, a number where a text belongs or a piece of content without its
//! media type costs that much and no more. What must be there to mean anything is still missed by whoever needs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::model::{Content, Map, Resource, ResourceBody, ResourceContents};

/// What bytes are said to be of which nothing is said.
const UNKNOWN_MEDIA: &str = "application/octet-stream";
/// What Python writes for numbers that are none.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
/// The longest name of a kind of content that is repeated.
const MAX_KIND_CHARS: usize = 60;

/// A field that is not there when it is `null` or of another kind than it should be. Only for JSON text that is read directly.
pub(crate) fn field<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Option<T>>(text.get()).ok().flatten().unwrap_or_default())
}

/// Whether a text may write half of a sign that has two (UTF-16, "surrogates").
pub(crate) fn may_have_half_a_sign(json: &str) -> bool {
    json.contains("\\ud") || json.contains("\\uD")
}

/// A text as JSON that programs take for it: without halves of signs, which JavaScript writes when it cuts a text, without Python's `NaN` and
/// `Infinity`, and without characters in its texts that have to be escaped.
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

/// An object of which each key is there once: the last counts. Not what lies within.
pub(crate) fn each_key_once(json: &str) -> Option<String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
    serde_json::to_string(&fields).ok()
}

/// An escape at the beginning of a text as it may be written, and how long it is there.
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

/// The text of a value that should be one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Whether a flag is set. `null` is not, and `"true"` is.
pub(crate) fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => false,
    }
}

/// The pieces of a result: a list, or what should have been in one.
pub(crate) fn contents(value: Value) -> Vec<Content> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(content).collect(),
        one => vec![content(one)],
    }
}

/// One piece.
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
        // Some servers leave out what it is, or have a name of their own for it.
        _ => get("text").map(|text| Content::Text { text }),
    };
    read.unwrap_or_else(|| Content::Other(kind.chars().take(MAX_KIND_CHARS).collect()))
}

/// An image; its type may stand in front of its data (RFC 2397).
fn image(data: String, mime_type: String) -> Content {
    match data.strip_prefix("data:").and_then(|address| address.split_once(";base64,")) {
        Some((named, data)) => Content::Image { data: data.to_owned(), mime_type: named.to_owned() },
        None => Content::Image { data, mime_type },
    }
}

/// An image as models' servers have it: with its data in a part, or only its address.
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

/// A resource with what is in it; one of which only the address is there is a link to it.
fn resource(piece: &Map) -> Option<Content> {
    // Its parts stand beside `type` where a server forgot that they lie in `resource`.
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
