//! Reads a request: finds out its era, and checks its headers against its body.

use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::Refusal;
use crate::{
    header::decode,
    model::{LogLevel, Map},
    provider::Context,
    task,
    wire::{
        Era, HEADER_METHOD, HEADER_MISMATCH, HEADER_NAME, HEADER_VERSION, INVALID_PARAMS, META_CLIENT_CAPABILITIES,
        META_LOG_LEVEL, META_VERSION, MODERN_VERSION, PROGRESS_TOKEN, SUPPORTED_VERSIONS, UNSUPPORTED_VERSION,
    },
};

/// The log level for legacy clients. Their `logging/setLevel` is not remembered.
const LEGACY_LOG_LEVEL: LogLevel = LogLevel::Info;
/// The longest progress token of a client. Every progress notification repeats it. Clients send a number or a UUID.
const MAX_PROGRESS_TOKEN_BYTES: usize = 256;
/// This version is accepted in a header, because clients that negotiate late send it.
const TOLERATED_VERSION: &str = "2025-03-26";

/// The params of all methods.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Params {
    #[serde(rename = "_meta", default)]
    pub(crate) meta: Option<Map>,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) uri: Option<String>,
    #[serde(default)]
    pub(crate) arguments: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) cursor: Option<Value>,
    #[serde(default)]
    pub(crate) input_responses: Option<Map>,
    #[serde(default)]
    pub(crate) request_state: Option<String>,
    /// Set if the call should become a task (2025-11-25).
    #[serde(default)]
    pub(crate) task: Option<Value>,
    #[serde(default)]
    pub(crate) task_id: Option<String>,
    #[serde(default)]
    pub(crate) protocol_version: Option<String>,
    #[serde(default)]
    pub(crate) level: Option<Value>,
    #[serde(default)]
    pub(crate) r#ref: Option<Reference>,
    #[serde(default)]
    pub(crate) argument: Option<Argument>,
    #[serde(default)]
    pub(crate) context: Option<CompletionContext>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Deserialize)]
pub(crate) struct CompletionContext {
    #[serde(default)]
    pub(crate) arguments: Map,
}

/// A request that passed the checks.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) id: &'a Value,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) era: Era,
    pub(crate) params: Params,
}

impl<'a> Asked<'a> {
    /// Reads a request and makes all checks that do not need the provider.
    pub(crate) fn read(
        headers: &'a HeaderMap,
        method: &'a str,
        id: &'a Value,
        params: Option<&RawValue>,
    ) -> Result<Self, Refusal> {
        let params: Params = match params {
            None => Params::default(),
            Some(params) => {
                serde_json::from_str(params.get()).map_err(|error| malformed(format!("Invalid params: {error}")))?
            }
        };
        let era = era(headers, method, params.meta.as_ref())?;
        let asked = Self { method, id, headers, era, params };
        if era == Era::Modern {
            asked.check_meta()?;
            asked.check_headers()?;
        }
        if asked.params.input_responses.iter().flatten().any(|(_, response)| !response.is_object()) {
            return Err(Refusal::within(INVALID_PARAMS, "Each of inputResponses must be an object"));
        }
        if matches!(asked.meta(PROGRESS_TOKEN), Some(Value::String(token)) if token.len() > MAX_PROGRESS_TOKEN_BYTES) {
            let words = format!("A progressToken may have at most {MAX_PROGRESS_TOKEN_BYTES} bytes");
            return Err(Refusal::within(INVALID_PARAMS, words));
        }
        Ok(asked)
    }

    fn meta(&self, key: &str) -> Option<&Value> {
        self.params.meta.as_ref()?.get(key)
    }

    /// Checks what every modern request must have in its `_meta`.
    fn check_meta(&self) -> Result<(), Refusal> {
        if self.meta(META_VERSION).is_none() {
            return Err(malformed(format!("Invalid params: _meta lacks {META_VERSION}")));
        }
        if !self.meta(META_CLIENT_CAPABILITIES).is_some_and(Value::is_object) {
            return Err(malformed(format!("Invalid params: _meta lacks {META_CLIENT_CAPABILITIES}")));
        }
        let level = self.meta(META_LOG_LEVEL);
        if level.is_some_and(|level| LogLevel::deserialize(level).is_err()) {
            return Err(malformed("Invalid params: this log level is unknown"));
        }
        Ok(())
    }

    fn check_headers(&self) -> Result<(), Refusal> {
        self.check_header(&HeaderName::from_static(HEADER_METHOD), self.method)?;
        let name = match self.method {
            "tools/call" | "prompts/get" => self.params.name.as_deref(),
            "resources/read" => self.params.uri.as_deref(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => self.params.task_id.as_deref(),
            _ => return Ok(()),
        };
        // If the param is missing, the method itself reports it.
        name.map_or(Ok(()), |name| self.check_header(&HeaderName::from_static(HEADER_NAME), name))
    }

    fn check_header(&self, name: &HeaderName, expected: &str) -> Result<(), Refusal> {
        match decode(self.headers, name).map_err(mismatch)? {
            None => Err(mismatch(format!("{name} is missing"))),
            Some(value) if value == expected => Ok(()),
            Some(value) => Err(mismatch(format!("{name} is {value:?}, the body says {expected:?}"))),
        }
    }

    /// The request's context, for the provider.
    pub(crate) fn context(&mut self) -> Context {
        let meta = self.params.meta.take().unwrap_or_default();
        let said_level = meta.get(META_LOG_LEVEL).and_then(|level| LogLevel::deserialize(level).ok());
        let capabilities = meta.get(META_CLIENT_CAPABILITIES).and_then(Value::as_object);
        let (client_capabilities, log_level) = match self.era {
            Era::Modern => (capabilities.cloned().unwrap_or_default(), said_level),
            Era::Legacy => (Map::new(), Some(LEGACY_LOG_LEVEL)),
        };
        let takes_task = match self.era {
            Era::Modern => task::is_declared(&client_capabilities),
            Era::Legacy => self.params.task.is_some(),
        };
        let wants_progress = matches!(meta.get(PROGRESS_TOKEN), Some(Value::String(_) | Value::Number(_)));
        Context {
            meta,
            input_responses: self.params.input_responses.take().unwrap_or_default(),
            request_state: self.params.request_state.take(),
            client_capabilities,
            takes_task,
            wants_progress,
            log_level,
        }
    }

    /// Whether a client of 2026-07-28 declares that it understands tasks.
    pub(crate) fn declares_tasks(&self) -> bool {
        self.meta(META_CLIENT_CAPABILITIES).and_then(Value::as_object).is_some_and(task::is_declared)
    }

    /// Whether the client accepts a stream of events.
    pub(crate) fn accepts_events(&self) -> bool {
        let values = self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut ranges = values.flat_map(|value| value.split(','));
        ranges.any(|range| {
            range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
        })
    }

    /// The refusal of a method that this era does not have.
    pub(crate) fn unknown_method(&self) -> Refusal {
        let status = if self.era == Era::Modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Refusal::new(status, crate::wire::METHOD_NOT_FOUND, format!("Method not found: {}", self.method))
    }
}

/// The era of a request. It is modern if its header names 2026-07-28, and legacy if it names an older version or none. Header and body must agree.
fn era(headers: &HeaderMap, method: &str, meta: Option<&Map>) -> Result<Era, Refusal> {
    let said = decode(headers, &HeaderName::from_static(HEADER_VERSION)).map_err(mismatch)?;
    let meant = match meta.and_then(|meta| meta.get(META_VERSION)) {
        None => None,
        Some(Value::String(version)) => Some(version),
        Some(_) => return Err(malformed(format!("Invalid params: {META_VERSION} is not a text"))),
    };
    match (said.as_ref(), meant) {
        // `initialize` negotiates the version, so the header does not count.
        (_, None) if method == "initialize" => Ok(Era::Legacy),
        (None, Some(_)) => Err(mismatch(format!("{HEADER_VERSION} is missing"))),
        (Some(said), Some(meant)) if said != meant => {
            Err(mismatch(format!("{HEADER_VERSION} is {said:?}, the body says {meant:?}")))
        }
        (Some(said), _) if said == MODERN_VERSION => Ok(Era::Modern),
        (Some(said), _) => check_version(said).map(|()| Era::Legacy),
        (None, None) => Ok(Era::Legacy),
    }
}

/// Checks the version header of a notification, whose body has no version to compare it with.
pub(crate) fn check_version_header(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = decode(headers, &HeaderName::from_static(HEADER_VERSION)).map_err(mismatch)?;
    said.map_or(Ok(()), |said| check_version(&said))
}

fn check_version(version: &str) -> Result<(), Refusal> {
    if SUPPORTED_VERSIONS.contains(&version) || version == TOLERATED_VERSION {
        return Ok(());
    }
    let data = json!({"supported": SUPPORTED_VERSIONS, "requested": version});
    let refusal = Refusal::new(StatusCode::BAD_REQUEST, UNSUPPORTED_VERSION, "Unsupported protocol version");
    Err(refusal.with_data(data))
}

pub(crate) fn mismatch(why: impl AsRef<str>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, format!("Header mismatch: {}", why.as_ref()))
}

fn malformed(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, why)
}
