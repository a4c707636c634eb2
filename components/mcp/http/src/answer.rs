//! Converts an API's response to a result for the model. It must not pass on anything but text, and must not repeat the query or a secret.

use exact_json::Json;
use http::{Method, Response, StatusCode, header};
use serde_json::Value;
use tool_provider::{Answer, Failure};
use upstream::MediaType;

use crate::{operation::Operation, redaction::Redaction, value::cut};

/// How much of an error's body is passed on: enough to explain each field's fault, too little for a page of HTML.
const ERROR_CHARS_MAX: usize = 2_000;
/// How much of a header is passed on.
const HEADER_CHARS_MAX: usize = 100;

/// Converts a response that is not a redirect.
///
/// # Errors
/// [`Failure::UpstreamFailed`] if the status is not success, or if a read does not return text.
pub(crate) fn read(
    operation: &Operation,
    response: &Response<Vec<u8>>,
    secrets: &Redaction,
) -> Result<Answer, Failure> {
    let status = response.status();
    let kind = MediaType::read(&header_text(response, header::CONTENT_TYPE, secrets).unwrap_or_default());
    let written = Written { kind: &kind, body: response.body() };
    if !status.is_success() {
        return Err(Failure::UpstreamFailed(fault(operation, response, &written, secrets)));
    }
    let body = response.body();
    if operation.method == Method::HEAD || body.is_empty() {
        return Ok(Answer { text: head(response, secrets), structured: None });
    }
    if let Some(value) = written.json() {
        let text = secrets.text(value.to_string());
        // Readers of fields may round numbers, so there are no fields if a number would change. A number that was redacted leaves invalid JSON.
        let rounded = || serde_json::from_str::<Value>(&text).map(|value| value.to_string());
        let is_same = || rounded().is_ok_and(|rounded| rounded == text);
        let is_object = matches!(value, Json::Object(_)) && is_same();
        return Ok(Answer { structured: is_object.then(|| text.clone()), text });
    }
    let kind = if kind.essence.is_empty() { "an unknown kind" } else { &kind.essence };
    let kind = format!("{} bytes of {kind}, which is not text", body.len());
    match written.text() {
        Some(text) => Ok(Answer { text: secrets.text(text), structured: None }),
        None if operation.only_reads() => {
            Err(Failure::UpstreamFailed(format!("{} answers with {kind}", operation.shown())))
        }
        // The change was made, whatever the response contains.
        None => Ok(Answer { text: format!("The answer is {status} with {kind}."), structured: None }),
    }
}

fn header_text(response: &Response<Vec<u8>>, name: header::HeaderName, secrets: &Redaction) -> Option<String> {
    let text = response.headers().get(name)?.to_str().ok()?;
    // Redaction comes first: it would not find a secret that was cut.
    Some(cut(&secrets.text(text.to_owned()), HEADER_CHARS_MAX))
}

/// A body with its media type.
struct Written<'r> {
    kind: &'r MediaType,
    body: &'r [u8],
}

impl Written<'_> {
    fn json(&self) -> Option<Json> {
        let essence = self.kind.essence.as_str();
        let is_json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
        // JSON is UTF-8 without being declared (RFC 8259). Some servers send a byte order mark, which is not part of it.
        is_json.then(|| Json::read(&self.kind.decode(self.body)).ok())?
    }

    /// The body as text, if it is text.
    fn text(&self) -> Option<String> {
        let essence = self.kind.essence.as_str();
        let (kind, subtype) = essence.split_once('/').unwrap_or((essence, ""));
        let is_text = kind == "text"
            || subtype.ends_with("+xml")
            || subtype.ends_with("json")
            || subtype.ends_with("yaml")
            || matches!(
                subtype,
                "xml" | "javascript" | "graphql" | "sql" | "toml" | "x-ndjson" | "jsonl" | "x-www-form-urlencoded"
            );
        let is_like_text = || essence.is_empty() && std::str::from_utf8(self.body).is_ok();
        (is_text || is_like_text()).then(|| self.kind.decode(self.body))
    }
}

/// Describes a response without a body.
fn head(response: &Response<Vec<u8>>, secrets: &Redaction) -> String {
    let mut text = format!("The answer is {} without content.", response.status());
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED] {
        if let Some(value) = header_text(response, name.clone(), secrets) {
            text = format!("{text}\n{name}: {value}");
        }
    }
    text
}

fn fault(operation: &Operation, response: &Response<Vec<u8>>, written: &Written<'_>, secrets: &Redaction) -> String {
    let status = response.status();
    let mut words = format!("{} answers {status}", operation.shown());
    let titles = operation.requirement.titles();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && !titles.is_empty() {
        words = format!("{words}: check {titles} under Tools in the settings");
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        words = match header_text(response, header::RETRY_AFTER, secrets) {
            Some(wait) if wait.parse::<u64>().is_ok() => format!("{words}: try again after {wait} seconds"),
            Some(when) => format!("{words}: try again after {when}"),
            None => format!("{words}: try again later"),
        };
    }
    let body = written.json().map(|value| value.to_string()).or_else(|| written.text()).unwrap_or_default();
    let body = cut(secrets.text(body).trim(), ERROR_CHARS_MAX);
    if body.is_empty() { format!("{words}.") } else { format!("{words}. It says: {body}") }
}
