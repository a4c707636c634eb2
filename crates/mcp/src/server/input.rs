//! Asks the caller for input: only in 2026-07-28, and only with capabilities that the caller declared.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Refusal, results::Frame};
use crate::{
    model::Map,
    provider::{InputNeeded, MissingCapability},
    wire::{INTERNAL_ERROR, MISSING_CAPABILITY},
};

/// The most requests at once: more than a person answers.
const MAX_REQUESTS: usize = 16;
/// The most bytes of all requests: a form of some pages. Clients read them into memory as a whole.
const MAX_REQUESTS_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    #[serde(skip_serializing_if = "Map::is_empty")]
    input_requests: Map,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_state: Option<&'a str>,
}

/// Sends the requests that the caller can answer. If there are none, the error names the missing capabilities, and its `detail` has the questions: a
/// model may have another way to get the answers.
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

/// Only for 2026-07-28. Earlier revisions have no such error, and their requests declare no capabilities.
pub(crate) fn missing_capability(missing: MissingCapability) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, MISSING_CAPABILITY, missing.to_string())
        .with_data(json!({"requiredCapabilities": missing.capabilities}))
}

/// Why the requests cannot be sent.
fn fault(needed: &InputNeeded) -> Option<String> {
    // With neither requests nor state, a client would repeat its call at once, without end.
    if needed.requests.is_empty() && needed.state.is_none() {
        return Some("Input is needed, but there is neither a request nor a state.".to_owned());
    }
    if needed.requests.len() > MAX_REQUESTS {
        return Some(format!("There are more than {MAX_REQUESTS} requests for input at once."));
    }
    let bytes = |(key, request): (&String, &Value)| key.len().saturating_add(request.to_string().len());
    if needed.requests.iter().map(bytes).sum::<usize>() > MAX_REQUESTS_BYTES {
        return Some(format!("The requests for input are longer than {MAX_REQUESTS_BYTES} bytes together."));
    }
    let unfit = needed.requests.values().any(|request| {
        let is_named = request.get("method").is_some_and(Value::is_string);
        let has_params = request.get("params").map_or(request["method"] == "roots/list", Value::is_object);
        !is_named || !has_params
    });
    unfit.then(|| "A request for input is not a request of the protocol.".to_owned())
}

/// The capability that a request needs and the caller did not declare.
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
        // The method is unknown, so no client can answer it.
        _ => return Some(("experimental", json!({}))),
    };
    let declared = capabilities.get(name).filter(|declared| declared.is_object());
    let is_declared = match (declared, part) {
        (None, _) => false,
        (Some(declared), Some(part)) => declared.get(part).is_some(),
        // A declaration without details means forms.
        (Some(declared), None) if name == "elicitation" => {
            declared.get("form").is_some() || declared.get("url").is_none()
        }
        (Some(_), None) => true,
    };
    (!is_declared).then(|| (name, part.map_or(json!({}), |part| json!({part: {}}))))
}
