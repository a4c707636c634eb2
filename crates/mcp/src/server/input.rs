//! Asking the caller back: only in 2026-07-28, and only for what it has declared.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Refusal, results::Frame};
use crate::{
    model::Map,
    provider::{InputNeeded, MissingCapability},
    wire::{INTERNAL_ERROR, MISSING_CAPABILITY},
};

/// Questions at once: more than a person answers.
const MAX_REQUESTS: usize = 16;
/// All questions together: a form of some pages. They go to other people's programs, which read what they get whole.
const MAX_REQUESTS_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    #[serde(skip_serializing_if = "Map::is_empty")]
    input_requests: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_state: Option<&'a str>,
}

/// Sends what may be asked; if that is nothing, says what the caller would have to be able to do, and in the error's `detail` what it would be asked:
/// a model may have another way to find that out.
pub(crate) fn required(frame: &Frame, needed: InputNeeded, capabilities: &Map) -> Result<Vec<u8>, Refusal> {
    if let Some(fault) = fault(&needed) {
        return Err(Refusal::within(INTERNAL_ERROR, fault));
    }
    let mut missing = Map::new();
    let mut requests = Map::new();
    let mut unasked = Vec::new();
    for (key, request) in needed.requests {
        match lacks(&request, capabilities) {
            None => _ = requests.insert(key, request),
            Some((name, value)) => {
                missing.insert(name.to_owned(), value);
                unasked.extend(request.pointer("/params/message").and_then(Value::as_str).map(str::to_owned));
            }
        }
    }
    if !missing.is_empty() && requests.is_empty() {
        let mut refusal = missing_capability(MissingCapability { capabilities: missing, words: None });
        if let (Some(data), false) = (&mut refusal.error.data, unasked.is_empty()) {
            data["detail"] = unasked.join(" ").into();
        }
        return Err(refusal);
    }
    Ok(frame.input_required(InputRequired { input_requests: requests, request_state: needed.state.as_deref() }))
}

/// Only for 2026-07-28: before, there is no such error, and nobody can declare anything with a request.
pub(crate) fn missing_capability(missing: MissingCapability) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, MISSING_CAPABILITY, missing.to_string())
        .with_data(json!({"requiredCapabilities": missing.capabilities}))
}

/// Why nobody can be asked this.
fn fault(needed: &InputNeeded) -> Option<String> {
    // A client that is asked nothing and given nothing would come back at once, without end.
    if needed.requests.is_empty() && needed.state.is_none() {
        return Some("It asks something and does not say what.".to_owned());
    }
    if needed.requests.len() > MAX_REQUESTS {
        return Some(format!("It asks more than {MAX_REQUESTS} things at once."));
    }
    let bytes = |(key, request): (&String, &Value)| key.len().saturating_add(request.to_string().len());
    if needed.requests.iter().map(bytes).sum::<usize>() > MAX_REQUESTS_BYTES {
        return Some(format!("What it asks is longer than {MAX_REQUESTS_BYTES} bytes."));
    }
    let unfit = needed.requests.values().any(|request| {
        let is_named = request.get("method").is_some_and(Value::is_string);
        let has_params = request.get("params").map_or(request["method"] == "roots/list", Value::is_object);
        !is_named || !has_params
    });
    unfit.then(|| "What it asks is not a request of the protocol.".to_owned())
}

/// The capability that a request takes and the caller has not declared.
fn lacks(request: &Value, capabilities: &Map) -> Option<(&'static str, Value)> {
    let params = request.get("params").unwrap_or(&Value::Null);
    let (name, part) = match request.get("method").and_then(Value::as_str) {
        Some("elicitation/create") if params.get("mode").is_some_and(|mode| mode == "url") => {
            ("elicitation", Some("url"))
        }
        Some("elicitation/create") => ("elicitation", None),
        Some("sampling/createMessage") if params.get("tools").is_some() => ("sampling", Some("tools")),
        Some("sampling/createMessage") => ("sampling", None),
        Some("roots/list") => ("roots", None),
        // No client can declare this one.
        _ => return Some(("experimental", json!({}))),
    };
    let declared = capabilities.get(name).filter(|declared| declared.is_object());
    let is_declared = match (declared, part) {
        (None, _) => false,
        (Some(declared), Some(part)) => declared.get(part).is_some(),
        // Forms are meant unless only URLs are declared.
        (Some(declared), None) if name == "elicitation" => {
            declared.get("form").is_some() || declared.get("url").is_none()
        }
        (Some(_), None) => true,
    };
    (!is_declared).then(|| (name, part.map_or(json!({}), |part| json!({part: {}}))))
}
