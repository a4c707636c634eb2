//! Errors of the protocol, with the details in their `data`, and of statuses.

use http::{StatusCode, header};
use serde_json::Value;

use super::{ClientError, TransportError};
use crate::wire::{HEADER_MISMATCH, RpcError, UNSUPPORTED_VERSION, URL_ELICITATION_REQUIRED};

/// The most pages that an error asks a person to open, and the longest address or text that is taken from `data`.
const MAX_PAGES_TO_OPEN: usize = 3;
const MAX_WORD_CHARS: usize = 500;

pub(crate) fn protocol(mut error: RpcError) -> ClientError {
    if error.code == URL_ELICITATION_REQUIRED {
        error.message.push_str(&pages_to_open(error.data.as_ref()));
    }
    if let Some(detail) = detail(error.data.as_ref()).filter(|detail| !error.message.contains(detail.as_str())) {
        error.message = format!("{} ({detail})", error.message);
    }
    ClientError::Protocol { code: error.code, message: error.message, data: error.data }
}

/// The detail in an error's `data`. The message of some errors is only "Internal error".
fn detail(data: Option<&Value>) -> Option<String> {
    let said = match data? {
        Value::String(text) => text,
        Value::Object(fields) => {
            ["detail", "details", "message", "error", "reason"].iter().find_map(|name| fields.get(*name)?.as_str())?
        }
        _ => return None,
    };
    let said: String = said.trim().chars().take(MAX_WORD_CHARS).collect();
    (!said.is_empty()).then_some(said)
}

/// The pages that a person must open in a browser first, with the server's messages.
fn pages_to_open(data: Option<&Value>) -> String {
    let pages = data.and_then(|data| data.get("elicitations")).and_then(Value::as_array).into_iter().flatten();
    let words = pages.take(MAX_PAGES_TO_OPEN).flat_map(|page| ["message", "url"].map(|key| page.get(key)));
    let words = words.filter_map(|word| word?.as_str());
    words.flat_map(|word| [" "].into_iter().chain([word])).flat_map(|word| word.chars().take(MAX_WORD_CHARS)).collect()
}

/// The error for a status.
pub(super) fn http_error<B>(response: &http::Response<B>) -> ClientError {
    let www_authenticate = response.headers().get(header::WWW_AUTHENTICATE).cloned();
    ClientError::Http { status: response.status(), www_authenticate }
}

/// Whether `initialize` would fail too: the server is modern, requires a login, or cannot be reached.
pub(super) fn would_answer_nothing_else(error: &ClientError) -> bool {
    match error {
        ClientError::Protocol { code, .. } => (UNSUPPORTED_VERSION..=HEADER_MISMATCH).contains(code),
        ClientError::Http { status, .. } => *status == StatusCode::UNAUTHORIZED,
        // Some servers close the connection when they do not know the method.
        ClientError::Transport(error) => !matches!(error, TransportError::Connection(_) | TransportError::TimedOut),
        ClientError::Moved { .. } | ClientError::Request(_) => true,
        _ => false,
    }
}
