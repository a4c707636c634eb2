//! `/internal/traces`: takes the spans of all components, and passes them on to the collector of traces (OTLP over HTTP). Only this component knows where it is
//! and what it wants to be told (docs/adr/0053).
//!
//! Who sends spans learns at once that they were taken, whether the collector is there or not. What cannot be passed on is lost and counted. Nothing in them is
//! kept or read here but how many there are.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use axum::body::{self, Body};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use platform::{Answer, http_client, measuring, sleep, spawn, variables::variable, within};
use traces::{COLLECTED_PATH, MAX_BATCH_BYTES, MEDIA_TYPE, Sampling};
use web::{
    log::{Level, log},
    settings::{AllowedHost, Check, web_address},
};

use crate::COMPONENT;

/// Where components send them. Tool servers, which have no key, send theirs too, so nobody proves who they are.
pub(crate) const PATH: &str = COLLECTED_PATH;

/// The collector's path for traces (OTLP specification, "OTLP/HTTP Request").
const COLLECTOR_PATH: &str = "/v1/traces";

/// How long spans of several components are gathered for one request.
const GATHERING: Duration = Duration::from_millis(500);
/// What waits for the collector at most: two full batches.
const MAX_WAITING_BYTES: usize = 2 * MAX_BATCH_BYTES;
/// How long the collector may take. The default of OpenTelemetry's exporters.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    spans: u64,
}

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
    static IS_SENDING: Cell<bool> = const { Cell::new(false) };
    /// A collector that is away for hours is told of once in an instance's life.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// `POST /internal/traces`.
pub(crate) async fn receive(request: platform::Request) -> Answer {
    let status = match *request.method() {
        Method::POST => taken(Body::new(request.into_body())).await,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut response = Response::default();
    *response.status_mut() = status;
    Answer::from(response)
}

async fn taken(body: Body) -> StatusCode {
    let Ok(batch) = body::to_bytes(body, MAX_BATCH_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE };
    // What is no batch would spoil what others send.
    let Some(spans) = traces::read(&batch) else { return StatusCode::BAD_REQUEST };
    let has_room = WAITING.with_borrow_mut(|waiting| {
        let has_room = waiting.bytes.len().saturating_add(batch.len()) <= MAX_WAITING_BYTES;
        if has_room {
            waiting.bytes.extend_from_slice(&batch);
            waiting.spans = waiting.spans.saturating_add(spans);
        }
        has_room
    });
    if !has_room {
        // Whoever sends them counts them.
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if !IS_SENDING.replace(true) {
        spawn(async {
            pass_on().await;
            IS_SENDING.set(false);
        });
    }
    StatusCode::ACCEPTED
}

/// Sends what waits, until nothing does.
async fn pass_on() {
    loop {
        sleep(GATHERING).await;
        let Waiting { bytes, spans } = WAITING.take();
        if bytes.is_empty() {
            return;
        }
        let sent = within(LIMIT, send(bytes)).await;
        let Err(cause) = sent.unwrap_or_else(|| Err("the collector does not answer in time".to_owned())) else {
            continue;
        };
        metrics::spans_lost(spans);
        measuring::soon(COMPONENT);
        if !IS_TOLD.replace(true) {
            log(COMPONENT, Level::Warn, "traces could not be sent", serde_json::json!({ "cause": cause }));
        }
    }
}

async fn send(batches: Vec<u8>) -> Result<(), String> {
    let address = format!("{}{COLLECTOR_PATH}", variable("otlp_endpoint").await.trim_end_matches('/'));
    let mut request = Request::post(address).header(header::CONTENT_TYPE, MEDIA_TYPE);
    for (name, value) in headers(&variable("otlp_headers").await).ok_or("otlp_headers cannot be read")? {
        request = request.header(name, value);
    }
    let request = request.body(Bytes::from(batches)).map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("the collector answers {}", response.status)) }
}

/// The headers that the collector wants, in the form of OpenTelemetry's variable `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`, comma-separated, values
/// percent-encoded. `None`: it is something else.
fn headers(text: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse().ok()?, value))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).map(header).collect()
}

/// The settings of traces.
pub(crate) struct Settings {
    pub(crate) endpoint: String,
    pub(crate) host: String,
    pub(crate) headers: String,
    pub(crate) sampling: String,
}

impl Settings {
    /// Whether they can be used. The app works on without traces. Headers are never quoted: they are secret.
    pub(crate) fn check(&self) -> Check {
        const NAME: &str = "otlp_endpoint";
        self.problem().map_or_else(|| Check::new(NAME, Ok(())), |problem| Check::warning(NAME, problem))
    }

    fn problem(&self) -> Option<String> {
        if self.endpoint.is_empty() {
            return None;
        }
        let Some(address) = web_address(&self.endpoint) else {
            let problem = "otlp_endpoint is not an http or https address, so no traces are sent: set it, for example to http://127.0.0.1:4318.";
            return Some(problem.to_owned());
        };
        if !AllowedHost::parse(&self.host).is_some_and(|allowed| allowed.allows(&address)) {
            let problem = "otlp_host does not allow the address in otlp_endpoint, so no traces are sent: set it to scheme://host:port.";
            return Some(problem.to_owned());
        }
        if headers(&self.headers).is_none() {
            let problem = "otlp_headers cannot be read, so no traces are sent: it must be name=value, comma-separated, with percent-encoded values.";
            return Some(problem.to_owned());
        }
        let sampling = Sampling::parse(&self.sampling, "");
        sampling.err().map(|error| format!("otlp_sampling is {error}, so nothing is recorded."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Vec<(String, String)>> {
        let told = headers(text)?.into_iter();
        Some(told.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect())
    }

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(told(""), Some(vec![]));
        assert_eq!(
            told("Authorization=Bearer%20abc%2C=, x-tenant = t1,"),
            Some(vec![pair("authorization", "Bearer abc,="), pair("x-tenant", "t1")])
        );
        for wrong in ["Bearer abc", "a b=c", "a=%0a", "=c"] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_told_and_secrets_are_not() {
        let right = || Settings {
            endpoint: "http://127.0.0.1:4318".to_owned(),
            host: "http://127.0.0.1:4318".to_owned(),
            headers: "authorization=Bearer%20secret".to_owned(),
            sampling: "0.1".to_owned(),
        };
        assert_eq!(right().problem(), None);
        assert_eq!(Settings { endpoint: String::new(), host: String::new(), ..right() }.problem(), None);
        let wrong = [
            Settings { endpoint: "127.0.0.1:4318".to_owned(), ..right() },
            Settings { host: "https://none.invalid".to_owned(), ..right() },
            Settings { headers: "Bearer secret".to_owned(), ..right() },
            Settings { sampling: "2".to_owned(), ..right() },
        ];
        for settings in wrong {
            let problem = settings.problem().unwrap();
            assert!(problem.starts_with("otlp_") && !problem.contains("secret"), "{problem}");
        }
    }
}
