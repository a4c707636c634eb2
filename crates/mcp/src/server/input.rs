//! Asking the caller back: only in 2026-07-28, and only for what it has declared.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Refusal, results::Frame};
use crate::{
    model::Map,
    provider::InputNeeded,
    wire::{Era, MISSING_CAPABILITY},
};

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
        let mut refusal = missing_capability(frame.era, missing);
        if let (Some(data), false) = (&mut refusal.error.data, unasked.is_empty()) {
            data["detail"] = unasked.join(" ").into();
        }
        return Err(refusal);
    }
    Ok(frame.input_required(InputRequired { input_requests: requests, request_state: needed.state.as_deref() }))
}

pub(crate) fn missing_capability(era: Era, required: Map) -> Refusal {
    let names = required.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let status = if era == Era::Modern { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Refusal::new(status, MISSING_CAPABILITY, format!("The client must declare these capabilities: {names}"))
        .with_data(json!({"requiredCapabilities": required}))
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
