//! What a server says instead of a result, with what stands beside its message.

use serde_json::Value;

use super::ClientError;
use crate::wire::{RpcError, URL_ELICITATION_REQUIRED};

/// How many pages a person can be asked to open at once, and the longest address or words about one.
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

/// What an error says beside its message: some have nothing but "Internal error" in that.
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

/// What a person has to open in a browser before this can be done, in the server's words.
fn pages_to_open(data: Option<&Value>) -> String {
    let pages = data.and_then(|data| data.get("elicitations")).and_then(Value::as_array).into_iter().flatten();
    let words = pages.take(MAX_PAGES_TO_OPEN).flat_map(|page| ["message", "url"].map(|key| page.get(key)));
    let words = words.filter_map(|word| word?.as_str());
    words.flat_map(|word| [" "].into_iter().chain([word])).flat_map(|word| word.chars().take(MAX_WORD_CHARS)).collect()
}
