//! What an API answered, for the model. Must not pass on what is no text, and must not say what a query said.

use http::{Method, Response, StatusCode, header};
use serde_json::Value;
use tool_provider::{Answer, Failure};

use crate::{operation::Operation, value::cut};

/// How much of an error's body is passed on: enough for what is wrong with each field, too little for a page of HTML.
const ERROR_CHARS_MAX: usize = 2_000;
/// How much of a header.
const HEADER_CHARS_MAX: usize = 100;

/// Reads an answer that is no redirect.
///
/// # Errors
/// [`Failure::UpstreamFailed`] for what is no success, or no text.
pub(crate) fn read(operation: &Operation, response: &Response<Vec<u8>>) -> Result<Answer, Failure> {
    let status = response.status();
    let media_type = header_text(response, header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !status.is_success() {
        return Err(Failure::UpstreamFailed(fault(operation, response, media_type)));
    }
    let body = response.body();
    if operation.method == Method::HEAD || body.is_empty() {
        return Ok(Answer { text: head(response), structured: None });
    }
    if let Some(value) = json(media_type, body) {
        let text = value.to_string();
        return Ok(Answer { structured: value.is_object().then(|| text.clone()), text });
    }
    match readable(media_type, body) {
        Some(text) => Ok(Answer { text, structured: None }),
        None => Err(Failure::UpstreamFailed(format!(
            "{} answers with {} bytes of {}, which is no text",
            operation.shown(),
            body.len(),
            if media_type.is_empty() { "an unknown kind" } else { media_type },
        ))),
    }
}

fn header_text(response: &Response<Vec<u8>>, name: header::HeaderName) -> Option<String> {
    Some(cut(response.headers().get(name)?.to_str().ok()?, HEADER_CHARS_MAX))
}

fn json(media_type: &str, body: &[u8]) -> Option<Value> {
    let is_json = media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json");
    is_json.then(|| serde_json::from_slice(body).ok())?
}

/// The body as text, if it is some.
fn readable(media_type: &str, body: &[u8]) -> Option<String> {
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    let is_text = kind == "text"
        || subtype.ends_with("+xml")
        || subtype.ends_with("json")
        || subtype.ends_with("yaml")
        || matches!(
            subtype,
            "xml" | "javascript" | "graphql" | "sql" | "toml" | "x-ndjson" | "jsonl" | "x-www-form-urlencoded"
        );
    if is_text {
        return Some(String::from_utf8_lossy(body).into_owned());
    }
    media_type.is_empty().then(|| String::from_utf8(body.to_vec()).ok())?
}

/// An answer without a body.
fn head(response: &Response<Vec<u8>>) -> String {
    let mut text = format!("The answer is {} without content.", response.status());
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED] {
        if let Some(value) = header_text(response, name.clone()) {
            text = format!("{text}\n{name}: {value}");
        }
    }
    text
}

fn fault(operation: &Operation, response: &Response<Vec<u8>>, media_type: &str) -> String {
    let status = response.status();
    let mut words = format!("{} answers {status}", operation.shown());
    let titles = operation.requirement.titles();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && !titles.is_empty() {
        words = format!("{words}: check {titles} under Tools in the settings");
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        words = match header_text(response, header::RETRY_AFTER) {
            Some(wait) if wait.parse::<u64>().is_ok() => format!("{words}: try again after {wait} seconds"),
            Some(when) => format!("{words}: try again after {when}"),
            None => format!("{words}: try again later"),
        };
    }
    let body = json(media_type, response.body()).map(|value| value.to_string());
    let body = body.or_else(|| readable(media_type, response.body())).unwrap_or_default();
    let body = cut(body.trim(), ERROR_CHARS_MAX);
    if body.is_empty() { format!("{words}.") } else { format!("{words}. It says: {body}") }
}
