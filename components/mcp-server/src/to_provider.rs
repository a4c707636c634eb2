//! What of a request a provider may see: never a token or a header, and of `_meta` only what `tools` puts there for it.

use mcp::{Context, Map};
use serde_json::Value;

use crate::bindings::provider as wit;

/// Where `tools` puts what a provider may know of a call: `{"id", "locale", "timeZone", "deadlineMs", "secrets": {name: value}}`.
const META_CALL: &str = "edge-assistant/call";
/// Who does not say how long it waits is taken to wait as long as most clients do.
const DEADLINE_MS: u32 = 60_000;
/// The person's preferences, under the contract's names and those of `tools`.
const PREFERENCES: [(&str, &str); 2] = [("locale", "locale"), ("time-zone", "timeZone")];

/// The contract's context.
pub(crate) fn context(context: &Context) -> wit::Context {
    let call = context.meta.get(META_CALL).and_then(Value::as_object);
    let text = |name: &str| call.and_then(|call| call.get(name)).and_then(Value::as_str).map(str::to_owned);
    let deadline = call.and_then(|call| call.get("deadlineMs")).and_then(Value::as_u64);
    let secrets = call.and_then(|call| call.get("secrets")).and_then(Value::as_object);
    wit::Context {
        id: text("id").unwrap_or_default(),
        preferences: PREFERENCES.iter().filter_map(|(name, said)| Some(((*name).to_owned(), text(said)?))).collect(),
        deadline_ms: deadline.map_or(DEADLINE_MS, |deadline| u32::try_from(deadline).unwrap_or(u32::MAX)),
        secrets: secrets
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        input_responses: texts(&context.input_responses),
        input_state: context.request_state.clone(),
        client_capabilities: Value::Object(context.client_capabilities.clone()).to_string(),
        wants_progress: context.wants_progress,
    }
}

fn texts(map: &Map) -> Vec<(String, String)> {
    map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}
