//! The body of an operation, in the first media type of the document that can be written. Files cannot.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::value::{self, is_true, text};

/// The format of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// JSON with this media type.
    Json(String),
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl Format {
    pub(crate) fn media_type(&self) -> &str {
        match self {
            Self::Json(media_type) => media_type,
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Body<'d> {
    pub(crate) format: Format,
    pub(crate) is_required: bool,
    pub(crate) description: Option<Cow<'d, str>>,
    pub(crate) schema: Option<&'d Value>,
}

/// Reads the description of the body, if there is one.
///
/// # Errors
/// The reason why the operation cannot be called.
pub(crate) fn read<'d>(root: &'d Value, operation: &'d Map<String, Value>) -> Result<Option<Body<'d>>, String> {
    let Some(body) = operation.get("requestBody") else { return Ok(None) };
    if let Some(place) = value::outside(root, body) {
        let words = format!("JSON as described in {}, which cannot be read here.", value::cut(place, 100));
        let format = Format::Json("application/json".to_owned());
        return Ok(Some(Body { format, is_required: false, description: Some(words.into()), schema: None }));
    }
    let body = value::object(root, body).ok_or("the reference of its body has no target")?;
    let is_required = is_true(body, "required");
    let mut offered: Vec<(Format, &Value)> = value::entries(body, "content")
        .filter_map(|(media_type, content)| Some((format(media_type)?, content)))
        .collect();
    offered.sort_by_key(|(format, _)| match format {
        Format::Json(media_type) if media_type == "application/json" => 0,
        Format::Json(_) => 1,
        Format::Form => 2,
    });
    match offered.into_iter().next() {
        Some((format, content)) => {
            let (description, schema) = (text(body, "description").map(Cow::Borrowed), content.get("schema"));
            Ok(Some(Body { format, is_required, description, schema }))
        }
        None if is_required => Err("its body is neither JSON nor a form of text fields".to_owned()),
        None => Ok(None),
    }
}

fn format(media_type: &str) -> Option<Format> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/json" | "application/x-json" | "*/*" | "application/*" => {
            Some(Format::Json("application/json".to_owned()))
        }
        "application/x-www-form-urlencoded" => Some(Format::Form),
        other if other.ends_with("+json") && http::HeaderValue::from_str(other).is_ok() => Some(Format::Json(essence)),
        _ => None,
    }
}
