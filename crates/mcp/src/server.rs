//! The server half: answers one POST request, in either revision. Stateless: nothing outlives the request.

mod call;
mod input;
mod methods;
mod request;
mod results;
mod tasks;
mod throttle;

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::Value;

use crate::{
    provider::Provider,
    wire::{self, INVALID_REQUEST, Message, PARSE_ERROR, RpcError},
};

pub(crate) use results::Presented;
pub use throttle::throttle;

/// The largest result of a tool, as sent. The client half accepts as much in one event, and a model reads far less.
pub const MAX_OUTCOME_BYTES: usize = 4 * 1024 * 1024;

/// Which hosts and origins are accepted.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Accepted values of the `Host` header, such as `localhost:3000`. `None`: all, because the host was checked before.
    pub allowed_hosts: Option<Vec<String>>,
    /// Origins besides the host's own whose pages may send requests, such as `https://example.com`.
    pub allowed_origins: Vec<String>,
}

/// The body of a response.
pub enum Body {
    /// No body.
    Empty,
    /// `application/json`.
    Json(Vec<u8>),
    /// `text/event-stream`. Send each piece as it comes. Drop the stream when the client has left: that ends the call.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

/// The response to a request that is refused.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: RpcError,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        Self { status, error: RpcError::new(code, message) }
    }

    /// A protocol error, with HTTP status 200.
    pub(crate) fn within(code: i64, message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, code, message)
    }

    pub(crate) fn with_data(mut self, data: Value) -> Self {
        self.error.data = Some(data);
        self
    }
}

/// Answers a request. The caller must have limited the size of its body.
pub async fn respond<P: Provider>(provider: &P, settings: &Settings, request: Request<Bytes>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let host = head.uri.authority().map(http::uri::Authority::as_str);
    if !is_allowed(settings, &head.headers, host) {
        return empty(StatusCode::FORBIDDEN);
    }
    if head.method != Method::POST {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    // Browsers send some other types to other origins without a preflight request.
    if head.headers.contains_key(header::CONTENT_TYPE) && !crate::header::is(&head.headers, "application/json") {
        return empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match message(&body) {
        Err(refusal) => refused(None, &refusal),
        Ok(Message { method: None, .. }) => empty(StatusCode::ACCEPTED),
        Ok(Message { id: None, .. }) => match request::check_version_header(&head.headers) {
            Ok(()) => empty(StatusCode::ACCEPTED),
            Err(refusal) => refused(None, &refusal),
        },
        Ok(Message { method: Some(method), id: Some(id), params, .. }) => {
            match methods::dispatch(provider, &head.headers, &method, &id, params.as_deref()).await {
                Ok(body) => ok(body),
                Err(refusal) => refused(Some(&id), &refusal),
            }
        }
    }
}

/// Reads one message. The id of a request must be a string or an integer.
fn message(body: &[u8]) -> Result<Message, Refusal> {
    let invalid = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, why);
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(invalid("Batches are not supported"));
    }
    let message: Message = serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() { INVALID_REQUEST } else { PARSE_ERROR };
        Refusal::new(StatusCode::BAD_REQUEST, code, format!("Not a JSON-RPC message: {error}"))
    })?;
    if message.jsonrpc != "2.0" {
        return Err(invalid("Not JSON-RPC 2.0"));
    }
    if message.method.is_none() {
        let is_response = message.result.is_some() || message.error.is_some();
        return if is_response { Ok(message) } else { Err(invalid("Neither a request nor a response")) };
    }
    match &message.id {
        None | Some(Value::String(_)) => Ok(message),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Ok(message),
        Some(_) => Err(invalid("An id must be a string or an integer")),
    }
}

/// Refuses pages of other origins, also if their host name now points to this server (DNS rebinding).
fn is_allowed(settings: &Settings, headers: &HeaderMap, authority: Option<&str>) -> bool {
    let host = headers.get(header::HOST).map_or(Ok(authority.unwrap_or_default()), HeaderValue::to_str);
    let Ok(host) = host else { return false };
    let host_is_ours =
        settings.allowed_hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)));
    let Some(origin) = headers.get(header::ORIGIN) else { return host_is_ours };
    let Ok(origin) = origin.to_str() else { return false };
    let own = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    host_is_ours && (own || settings.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

fn ok(body: Body) -> Response<Body> {
    let headers: &[_] = match &body {
        Body::Empty => &[],
        Body::Json(_) => &[(header::CONTENT_TYPE, "application/json")],
        Body::Events(_) => &[
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
            // Tells nginx and other proxies not to buffer the events.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ],
    };
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

fn refused(id: Option<&Value>, refusal: &Refusal) -> Response<Body> {
    let mut response = ok(Body::Json(wire::error(id, &refusal.error)));
    *response.status_mut() = refusal.status;
    response
}
