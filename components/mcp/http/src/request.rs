//! A request as the document describes it, from the arguments of a call. Whatever an argument says, it stays in its place: it is no other
//! path, no other parameter and no other header.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Request, header, request::Builder};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tool_provider::{Context, Failure};

use crate::{
    body::Format,
    operation::{Argument, Operation, Piece},
    parameter::{Place, Style},
    security::{self, Credential, Way},
};

/// All but what never means anything in an address (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// All but what may stand in a path (RFC 3986, pchar), and what is encoded already.
const LITERAL: &AsciiSet = &ENCODED
    .remove(b'/')
    .remove(b'%')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');
/// The longest address: what common servers accept.
const ADDRESS_BYTES_MAX: usize = 8_000;
/// How deep objects of `deepObject` may lie in each other.
const DEEP_MAX: usize = 4;

const USER_AGENT: &str = concat!("EdgeAssistant/", env!("CARGO_PKG_VERSION"));
const ACCEPT: &str = "application/json, text/*;q=0.9, */*;q=0.5";

/// Makes the request.
///
/// # Errors
/// [`Failure::InvalidArguments`], and [`Failure::NotConfigured`] when a secret is missing or cannot be sent.
pub(crate) fn build(operation: &Operation, arguments: &str, context: &Context) -> Result<Request<Vec<u8>>, Failure> {
    let arguments: Map<String, Value> = tool_provider::arguments(arguments)?;
    let given = |argument: &Argument| arguments.get(&argument.property).filter(|value| !value.is_null());
    let mut path = String::new();
    let mut query = Query::default();
    let mut request = Request::builder().method(operation.method.clone());
    for piece in &operation.path {
        match piece {
            Piece::Text(text) => path.push_str(&literal(text)),
            Piece::Parameter(name) => {
                let of_path = |it: &&Argument| it.place == Place::Path && it.name == *name;
                let argument = operation.arguments.iter().find(of_path);
                let value = argument.and_then(given).unwrap_or(&Value::Null);
                path.push_str(&in_path(name, value, argument.map(|it| it.style))?);
            }
        }
    }
    for argument in &operation.arguments {
        let Some(value) = given(argument) else { continue };
        match argument.place {
            Place::Path => {}
            Place::Query => query.add(&argument.name, value, argument.style),
            Place::Header => {
                let written = simple(value, argument.style, &|text| text.to_owned());
                let written = HeaderValue::from_str(&written).map_err(|_| {
                    Failure::InvalidArguments(format!(
                        "\"{}\" has characters that a header cannot have.",
                        argument.property
                    ))
                })?;
                request = request.header(argument.name.as_str(), written);
            }
        }
    }
    for credential in &operation.requirement.credentials {
        request = entrusted(credential, operation.requirement.is_optional, context, &mut query, request)?;
    }
    let origin = operation.server.origin().ascii_serialization();
    let mut address = format!("{origin}{}{path}", operation.server.path().trim_end_matches('/'));
    if !query.0.is_empty() {
        let _ = write!(address, "?{}", query.0);
    }
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(Failure::InvalidArguments("The arguments are too long for an address.".to_owned()));
    }
    let body = operation.body.as_ref().and_then(|body| Some((body, arguments.get(&body.property)?)));
    let written = match body {
        Some((body, value)) => {
            request = request.header(header::CONTENT_TYPE, body.format.media_type());
            written(&body.format, value)?
        }
        None => Vec::new(),
    };
    request
        .uri(address)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, ACCEPT)
        .body(written)
        .map_err(|_| Failure::InvalidArguments("These arguments make no request.".to_owned()))
}

/// Text of the document's path: what it has encoded stays so.
fn literal(text: &str) -> String {
    utf8_percent_encode(text, LITERAL).to_string()
}

/// A value in a path. Servers and proxies differ in what they make of an encoded `/`, and resolve dots before or after: so none of
/// what could be read as a step elsewhere is sent.
fn in_path(name: &str, value: &Value, style: Option<Style>) -> Result<String, Failure> {
    let written = match style {
        Some(Style::Json) => encoded(&value.to_string()),
        style => simple(value, style.unwrap_or(Style::Simple { explode: false }), &encoded),
    };
    let plain = percent_encoding::percent_decode_str(&written).decode_utf8_lossy().into_owned();
    if plain.is_empty() {
        return Err(Failure::InvalidArguments(format!("\"{name}\" must not be empty.")));
    }
    let is_step = |part: &str| matches!(part.trim(), "." | "..") || part.to_ascii_lowercase().contains("%2e");
    if plain.split(['/', '\\']).any(is_step) || plain.contains(char::is_control) {
        return Err(Failure::InvalidArguments(format!("\"{name}\" must not lead to another path.")));
    }
    Ok(written)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A value as text; what has parts as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `a,b`, `k,v,k,v` or `k=v,k=v`.
fn simple(value: &Value, style: Style, write: &dyn Fn(&str) -> String) -> String {
    let write = |value: &Value| write(&plain(value));
    match (value, style) {
        (Value::Array(items), Style::Simple { .. }) => items.iter().map(write).collect::<Vec<_>>().join(","),
        (Value::Object(fields), Style::Simple { explode }) => {
            let sign = if explode { "=" } else { "," };
            let fields =
                fields.iter().map(|(key, value)| format!("{}{sign}{}", write(&key.as_str().into()), write(value)));
            fields.collect::<Vec<_>>().join(",")
        }
        (Value::Array(_) | Value::Object(_), Style::Json) => value.to_string(),
        (other, _) => write(other),
    }
}

/// A query in the making; a form is written in the same way.
#[derive(Default)]
struct Query(String);

impl Query {
    fn pair(&mut self, name: &str, written: &str) {
        let sign = if self.0.is_empty() { "" } else { "&" };
        let _ = write!(self.0, "{sign}{}={written}", encoded(name));
    }

    fn add(&mut self, name: &str, value: &Value, style: Style) {
        match (value, style) {
            (_, Style::Json) => self.pair(name, &encoded(&value.to_string())),
            (Value::Array(items), Style::Exploded | Style::Deep) => {
                for item in items {
                    self.pair(name, &encoded(&plain(item)));
                }
            }
            (Value::Object(fields), Style::Exploded) => {
                for (key, value) in fields {
                    self.pair(key, &encoded(&plain(value)));
                }
            }
            (Value::Array(items), Style::Joined(sign)) => {
                let items: Vec<String> = items.iter().map(|item| encoded(&plain(item))).collect();
                self.pair(name, &items.join(sign));
            }
            (Value::Object(fields), Style::Joined(sign)) => {
                let fields = fields.iter().flat_map(|(key, value)| [encoded(key), encoded(&plain(value))]);
                self.pair(name, &fields.collect::<Vec<_>>().join(sign));
            }
            (Value::Object(fields), Style::Deep) => self.deep(name, fields, DEEP_MAX),
            (other, _) => self.pair(name, &encoded(&plain(other))),
        }
    }

    fn deep(&mut self, name: &str, fields: &Map<String, Value>, depth: usize) {
        for (key, value) in fields {
            let name = format!("{name}[{key}]");
            match (value, depth.checked_sub(1)) {
                (Value::Object(fields), Some(depth)) => self.deep(&name, fields, depth),
                (other, _) => self.add(&name, other, Style::Exploded),
            }
        }
    }
}

fn written(format: &Format, value: &Value) -> Result<Vec<u8>, Failure> {
    match (format, value) {
        (Format::Json(_), value) => Ok(value.to_string().into_bytes()),
        (Format::Form, Value::Object(fields)) => {
            let mut form = Query::default();
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                match value {
                    // As JSON: its fields would lose their name.
                    Value::Object(_) => form.add(name, value, Style::Json),
                    other => form.add(name, other, Style::Exploded),
                }
            }
            Ok(form.0.into_bytes())
        }
        (Format::Form, _) => {
            Err(Failure::InvalidArguments("The body must be an object: it is sent as a form.".to_owned()))
        }
    }
}

/// Adds a secret.
fn entrusted(
    credential: &Credential,
    is_optional: bool,
    context: &Context,
    query: &mut Query,
    request: Builder,
) -> Result<Builder, Failure> {
    let Credential { secret, way } = credential;
    let entered = |secret: &security::Secret| {
        context.secret(&secret.name).map_err(|_| {
            Failure::NotConfigured(format!("Enter \"{}\" under Tools in the settings first.", secret.title))
        })
    };
    let value = match entered(secret) {
        Ok(value) => value.trim(),
        Err(_) if is_optional => return Ok(request),
        Err(missing) => return Err(missing),
    };
    let (name, written) = match way {
        Way::Query(name) => {
            query.pair(name, &encoded(value));
            return Ok(request);
        }
        Way::Header(name) => (name.clone(), value.to_owned()),
        Way::Bearer => {
            let bare =
                value.get(..7).filter(|start| start.eq_ignore_ascii_case("bearer ")).and_then(|_| value.get(7..));
            (header::AUTHORIZATION, format!("Bearer {}", bare.unwrap_or(value).trim()))
        }
        Way::Basic(user) => {
            let user = match entered(user) {
                Ok(user) => user.trim(),
                Err(_) if is_optional => return Ok(request),
                Err(missing) => return Err(missing),
            };
            (header::AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{value}"))))
        }
        Way::Cookie(name) => {
            if value.contains([';', ',', ' ', '"', '\\']) {
                return Err(unsendable(&secret.title));
            }
            (HeaderName::from_static("cookie"), format!("{name}={value}"))
        }
    };
    let written = security::header(&written).ok_or_else(|| unsendable(&secret.title))?;
    Ok(request.header(name, written))
}

fn unsendable(title: &str) -> Failure {
    Failure::NotConfigured(format!(
        "\"{title}\" has characters that cannot be sent: enter it again under Tools in the settings."
    ))
}
