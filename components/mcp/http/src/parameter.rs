//! The parameters of an operation: their place and their style (OpenAPI 3.1, "Parameter Object"). This module does not know the rest of a request.

use http::HeaderName;
use serde_json::{Map, Value};

use crate::value::{self, is_true, text};

/// The most parameters of an operation. A model does not fill in more.
pub(crate) const PARAMETERS_MAX: usize = 100;

/// Headers of the request itself, of security, or of the connection. Neither documents nor models may set them.
const RESERVED_HEADERS: [&str; 15] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Clone, Debug)]
pub(crate) struct Parameter<'d> {
    /// Its name in the API.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
    pub(crate) is_required: bool,
    pub(crate) description: Option<&'d str>,
    pub(crate) schema: Option<&'d Value>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// The style of lists and objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// `a,b`; objects as `k,v,k,v`, or `k=v,k=v` if they explode. For paths and headers.
    Simple {
        /// Whether objects explode.
        explode: bool,
    },
    /// `name=a&name=b`; objects as `k=v&k=v`.
    Exploded,
    /// `name=a,b` with this separator; objects as `name=k,v,k,v`.
    Joined(&'static str),
    /// `name[k]=v`.
    Deep,
    /// The value as JSON.
    Json,
}

/// The result of [`read`].
#[derive(Debug)]
pub(crate) enum Read<'d> {
    Parameter(Parameter<'d>),
    /// The parameter is set elsewhere, or is optional and cannot be used.
    LeftOut,
}

/// # Errors
/// The reason why the operation cannot be called.
pub(crate) fn read<'d>(root: &'d Value, parameter: &'d Value) -> Result<Read<'d>, String> {
    if parameter.is_null() {
        return Ok(Read::LeftOut);
    }
    let parameter = value::object(root, parameter).ok_or("the reference of a parameter has no target")?;
    let name = parameter.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or("a parameter has no name")?;
    let place = match text(parameter, "in") {
        Some("path") => Place::Path,
        Some("query") => Place::Query,
        Some("header") => match name.parse::<HeaderName>() {
            Ok(header) if RESERVED_HEADERS.contains(&header.as_str()) => return Ok(Read::LeftOut),
            Ok(_) => Place::Header,
            Err(_) => return optional(parameter, name, "is not a valid header"),
        },
        _ => return optional(parameter, name, "is in a place that is not supported"),
    };
    let content = value::entries(parameter, "content").next();
    let style = match content {
        Some(_) => Style::Json,
        None => match style(parameter, place) {
            Some(style) => style,
            None => return optional(parameter, name, "has a style that is not supported"),
        },
    };
    let schema = parameter.get("schema").or_else(|| content.and_then(|(_, media)| media.get("schema")));
    Ok(Read::Parameter(Parameter {
        name: name.to_owned(),
        place,
        style,
        is_required: place == Place::Path || is_true(parameter, "required"),
        description: text(parameter, "description"),
        schema,
    }))
}

fn optional<'d>(parameter: &Map<String, Value>, name: &str, fault: &str) -> Result<Read<'d>, String> {
    if is_true(parameter, "required") {
        return Err(format!("its parameter {} {fault}", value::cut(name, 60)));
    }
    Ok(Read::LeftOut)
}

fn style(parameter: &Map<String, Value>, place: Place) -> Option<Style> {
    let explode = parameter.get("explode").and_then(Value::as_bool);
    match (place, text(parameter, "style")) {
        (Place::Query, None | Some("form")) => {
            Some(if explode.unwrap_or(true) { Style::Exploded } else { Style::Joined(",") })
        }
        (Place::Query, Some("spaceDelimited" | "pipeDelimited")) if explode == Some(true) => Some(Style::Exploded),
        (Place::Query, Some("spaceDelimited")) => Some(Style::Joined("%20")),
        (Place::Query, Some("pipeDelimited")) => Some(Style::Joined("%7C")),
        (Place::Query, Some("deepObject")) => Some(Style::Deep),
        (Place::Path | Place::Header, None | Some("simple")) => Some(Style::Simple { explode: explode == Some(true) }),
        _ => None,
    }
}
