//! Builds the request that the document describes from a call's arguments. Whatever an argument contains, it stays in its place: it becomes no other
//! path, parameter or header.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use exact_json::Json;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use percent_encoding::{AsciiSet, utf8_percent_encode};
use tool_provider::{Context, Failure};

use crate::{
    body::Format,
    operation::{Argument, Operation, Piece},
    parameter::{Place, Style},
    query::{ENCODED, Query, encoded, plain},
    redaction::Redaction,
    security::{self, Credential, Way},
};

/// All characters except those that a path may contain (RFC 3986, pchar) and those that are already encoded.
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
/// The longest address that common servers accept.
const ADDRESS_BYTES_MAX: usize = 8_000;
/// How often a path is decoded to check where it leads. If it still changes then, it is meant to deceive.
const DECODINGS_MAX: usize = 4;

const USER_AGENT: &str = concat!("EdgeAssistant/", env!("CARGO_PKG_VERSION"));
const ACCEPT: &str = "application/json, text/*;q=0.9, */*;q=0.5";

/// A request, and the secrets in it that only the API may see.
pub(crate) struct Built {
    pub(crate) request: Request<Vec<u8>>,
    pub(crate) secrets: Redaction,
}

/// Builds the request.
///
/// # Errors
/// [`Failure::InvalidArguments`], or [`Failure::NotConfigured`] if a secret is missing or cannot be sent.
pub(crate) fn build(operation: &Operation, arguments: &str, context: &Context) -> Result<Built, Failure> {
    let unfit = |words: String| Failure::InvalidArguments(format!("The arguments do not fit: {words}."));
    let Json::Object(arguments) = Json::read(arguments).map_err(|error| unfit(error.to_string()))? else {
        return Err(unfit("they are not an object".to_owned()));
    };
    let given = |argument: &Argument| arguments.get(&argument.property).filter(|value| !value.is_null());
    let mut parts =
        Parts { headers: HeaderMap::new(), query: Query::of(names(operation)), secrets: Redaction::default() };
    let path = path(operation, &given)?;
    for argument in &operation.arguments {
        let Some(value) = given(argument) else { continue };
        match argument.place {
            Place::Path => {}
            Place::Query => parts.query.add(&argument.name, value, argument.style)?,
            Place::Header => {
                let unsendable = || {
                    let words = format!("\"{}\" has characters that a header cannot have.", argument.property);
                    Failure::InvalidArguments(words)
                };
                let name = HeaderName::try_from(&argument.name).map_err(|_| unsendable())?;
                let written = simple(value, argument.style, &|text| text.to_owned());
                parts.headers.insert(name, HeaderValue::from_str(&written).map_err(|_| unsendable())?);
            }
        }
    }
    for credential in &operation.requirement.credentials {
        parts.entrust(credential, operation.requirement.is_optional, context)?;
    }
    let Parts { mut headers, query, secrets } = parts;
    let origin = operation.server.origin().ascii_serialization();
    let mut address = format!("{origin}{}{path}", operation.server.path().trim_end_matches('/'));
    let query = query.into_text();
    if !query.is_empty() {
        let _ = write!(address, "?{query}");
    }
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(Failure::InvalidArguments("The arguments are too long for an address.".to_owned()));
    }
    let none = || Failure::InvalidArguments("These arguments make no request.".to_owned());
    let body = operation.body.as_ref().and_then(|body| Some((body, arguments.get(&body.property)?)));
    let written = match body {
        Some((body, value)) => {
            let media_type = HeaderValue::from_str(body.format.media_type()).map_err(|_| none())?;
            headers.insert(header::CONTENT_TYPE, media_type);
            written(&body.format, value)?
        }
        None => Vec::new(),
    };
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static(ACCEPT));
    let mut request =
        Request::builder().method(operation.method.clone()).uri(address).body(written).map_err(|_| none())?;
    *request.headers_mut() = headers;
    Ok(Built { request, secrets })
}

/// The names that have a meaning in the query.
fn names(operation: &Operation) -> impl Iterator<Item = &str> {
    let parameters = operation.arguments.iter().filter(|it| it.place == Place::Query).map(|it| it.name.as_str());
    let secrets = operation.requirement.credentials.iter().filter_map(|credential| match &credential.way {
        Way::Query(name) => Some(name.as_str()),
        _ => None,
    });
    parameters.chain(secrets)
}

fn path<'v>(operation: &Operation, given: &dyn Fn(&Argument) -> Option<&'v Json>) -> Result<String, Failure> {
    let mut path = String::new();
    for piece in &operation.path {
        match piece {
            Piece::Text(text) => path.push_str(&literal(text)),
            Piece::Parameter(name) => {
                let of_path = |it: &&Argument| it.place == Place::Path && it.name == *name;
                let argument = operation.arguments.iter().find(of_path);
                let value = argument.and_then(given).unwrap_or(&Json::Null);
                path.push_str(&in_path(name, value, argument.map(|it| it.style))?);
            }
        }
    }
    // Two parameters together can be a step that neither is alone.
    if leads_elsewhere(&path) {
        return Err(Failure::InvalidArguments("These arguments must not lead to another path.".to_owned()));
    }
    Ok(path)
}

/// Encodes a text from the document's path. Encoded parts of it stay as they are.
fn literal(text: &str) -> String {
    utf8_percent_encode(text, LITERAL).to_string()
}

/// Encodes a value for a path. Servers and proxies differ in how they read an encoded `/`, and whether they resolve dots before or after. So values
/// are refused that could be read as a step elsewhere.
fn in_path(name: &str, value: &Json, style: Option<Style>) -> Result<String, Failure> {
    let written = match style {
        Some(Style::Json) => encoded(&value.to_string()),
        style => simple(value, style.unwrap_or(Style::Simple { explode: false }), &encoded),
    };
    if written.is_empty() {
        return Err(Failure::InvalidArguments(format!("\"{name}\" must not be empty.")));
    }
    if leads_elsewhere(&written) {
        return Err(Failure::InvalidArguments(format!("\"{name}\" must not lead to another path.")));
    }
    Ok(written)
}

/// Whether some server may find steps or control characters in a path. One server decodes once, a second one behind it once more, and some ignore
/// what follows a `;` in a step.
fn leads_elsewhere(path: &str) -> bool {
    let is_step = |part: &str| matches!(part.split(';').next().unwrap_or_default().trim(), "." | "..");
    let mut path = path.to_owned();
    for _ in 0..DECODINGS_MAX {
        let decoded = percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned();
        if decoded.split(['/', '\\']).any(is_step) || decoded.contains(char::is_control) {
            return true;
        }
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    true
}

/// `a,b`, `k,v,k,v` or `k=v,k=v`.
fn simple(value: &Json, style: Style, write: &dyn Fn(&str) -> String) -> String {
    let write = |value: &Json| write(&plain(value));
    match (value, style) {
        (Json::Array(items), Style::Simple { .. }) => items.iter().map(write).collect::<Vec<_>>().join(","),
        (Json::Object(fields), Style::Simple { explode }) => {
            let sign = if explode { "=" } else { "," };
            let fields = fields
                .iter()
                .map(|(key, value)| format!("{}{sign}{}", write(&Json::String(key.clone())), write(value)));
            fields.collect::<Vec<_>>().join(",")
        }
        (Json::Array(_) | Json::Object(_), Style::Json) => value.to_string(),
        (other, _) => write(other),
    }
}

fn written(format: &Format, value: &Json) -> Result<Vec<u8>, Failure> {
    match (format, value) {
        (Format::Json(_), value) => Ok(value.to_string().into_bytes()),
        (Format::Form, Json::Object(fields)) => {
            let mut form = Query::default();
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                match value {
                    // As JSON. Otherwise the fields would lose their common name.
                    Json::Object(_) => form.add(name, value, Style::Json)?,
                    other => form.add(name, other, Style::Exploded)?,
                }
            }
            Ok(form.into_text().into_bytes())
        }
        (Format::Form, _) => {
            Err(Failure::InvalidArguments("The body must be an object: it is sent as a form.".to_owned()))
        }
    }
}

/// The parts of a request.
struct Parts<'o> {
    headers: HeaderMap,
    query: Query<'o>,
    secrets: Redaction,
}

impl Parts<'_> {
    /// Adds a secret.
    fn entrust(&mut self, credential: &Credential, is_optional: bool, context: &Context) -> Result<(), Failure> {
        let Credential { secret, way } = credential;
        let entered = |secret: &security::Secret| {
            context.secret(&secret.name).map(str::trim).map_err(|_| {
                Failure::NotConfigured(format!("Enter \"{}\" under Tools in the settings first.", secret.title))
            })
        };
        let value = match entered(secret) {
            Ok(value) => value,
            Err(_) if is_optional => return Ok(()),
            Err(missing) => return Err(missing),
        };
        self.secrets.add(value);
        let (name, written) = match way {
            Way::Query(name) => {
                let written = encoded(value);
                self.secrets.add(&written);
                self.query.pair(name, &written);
                return Ok(());
            }
            Way::Header(name) => (name.clone(), value.to_owned()),
            Way::Bearer => {
                let bare =
                    value.get(..7).filter(|start| start.eq_ignore_ascii_case("bearer ")).and_then(|_| value.get(7..));
                let bare = bare.unwrap_or(value).trim();
                self.secrets.add(bare);
                (header::AUTHORIZATION, format!("Bearer {bare}"))
            }
            Way::Basic(user) => {
                let user = match entered(user) {
                    Ok(user) => user,
                    Err(_) if is_optional => return Ok(()),
                    Err(missing) => return Err(missing),
                };
                let both = format!("{user}:{value}");
                let written = BASE64_STANDARD.encode(&both);
                self.secrets.add(&both);
                self.secrets.add(&written);
                (header::AUTHORIZATION, format!("Basic {written}"))
            }
            Way::Cookie(name) => {
                if value.contains([';', ',', ' ', '"', '\\']) {
                    return Err(unsendable(&secret.title));
                }
                (header::COOKIE, format!("{name}={value}"))
            }
        };
        let unsendable = || unsendable(&secret.title);
        // Cookies share a header (RFC 6265, section 5.4). Any other header exists once.
        let written = match self.headers.get(&name).filter(|_| name == header::COOKIE) {
            Some(others) => format!("{}; {written}", others.to_str().map_err(|_| unsendable())?),
            None => written,
        };
        self.headers.insert(name, security::header(&written).ok_or_else(unsendable)?);
        Ok(())
    }
}

fn unsendable(title: &str) -> Failure {
    Failure::NotConfigured(format!(
        "\"{title}\" has characters that cannot be sent: enter it again under Tools in the settings."
    ))
}
