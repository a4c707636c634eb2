//! Reads what servers send as far as it makes sense: a hint that is `null`, a number where a text belongs or a piece of content without its
//! media type costs that much and no more. What must be there to mean anything is still missed by whoever needs it.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use crate::model::{Content, Map, Resource, ResourceBody, ResourceContents};

/// What bytes are said to be of which nothing is said.
const UNKNOWN_MEDIA: &str = "application/octet-stream";
/// The longest name of a kind of content that is repeated.
const MAX_KIND_CHARS: usize = 60;

/// A field that is not there when it is `null` or of another kind than it should be. Only for JSON text that is read directly.
pub(crate) fn field<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Option<T>>(text.get()).ok().flatten().unwrap_or_default())
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
    let media = || get("mimeType").unwrap_or_else(|| UNKNOWN_MEDIA.to_owned());
    let read = match kind.as_str() {
        "text" => get("text").map(|text| Content::Text { text }),
        // Some servers leave out what it is when it can be nothing else.
        "" if piece.contains_key("text") => get("text").map(|text| Content::Text { text }),
        "image" => get("data").map(|data| Content::Image { data, mime_type: media() }),
        "audio" => get("data").map(|data| Content::Audio { data, mime_type: media() }),
        "resource_link" => link(&piece).map(Content::ResourceLink),
        "resource" => resource(&piece),
        _ => None,
    };
    read.unwrap_or_else(|| Content::Other(kind.chars().take(MAX_KIND_CHARS).collect()))
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
