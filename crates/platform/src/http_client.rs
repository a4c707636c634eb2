//! Outgoing HTTP requests, to the hosts that `spin.toml` allows. There is no other way out.

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use network_address::is_inside;
use spin_sdk::{http::body::IncomingBodyExt, wasip3::http::types::ErrorCode};
use trace_context::TRACEPARENT;

/// A response whose body is still arriving. Dropping the body closes the connection at once.
pub struct Response<B> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, piece by piece.
    pub body: B,
}

/// Why there is no response, or why its body broke off.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// `spin.toml` does not allow the address.
    #[error("the host is not in this component's allowed_outbound_hosts")]
    Denied,
    /// The request is not valid.
    #[error("the request is malformed: {0}")]
    Request(#[from] http::Error),
    /// No server responded, or the connection broke.
    #[error("{0}")]
    Connection(ErrorCode),
}

impl From<ErrorCode> for HttpError {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied => Self::Denied,
            other => Self::Connection(other),
        }
    }
}

/// Sends a request with its content length, and returns as soon as the head of the response arrives. A component of this application gets the trace of the
/// work that sends it.
///
/// # Errors
/// [`HttpError`]; a status of 4xx or 5xx is a response, not an error.
pub async fn send(
    request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    let is_inside = request.uri().host().is_some_and(is_inside);
    sent(if is_inside { with_trace(request) } else { request }).await
}

/// The same for servers elsewhere that do a part of the work, so that whoever runs them finds it: tool servers and providers of models. They learn that
/// their requests belong together, and an id that whoever asked may have chosen.
///
/// # Errors
/// As [`send`].
pub async fn send_with_trace(
    request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    sent(with_trace(request)).await
}

fn with_trace(mut request: Request<Bytes>) -> Request<Bytes> {
    let trace = trace_context::current().and_then(|scope| HeaderValue::try_from(scope.trace.traceparent()).ok());
    if let Some(trace) = trace {
        request.headers_mut().insert(TRACEPARENT, trace);
    }
    request
}

async fn sent(
    request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    let (head, body) = outgoing::send(request).await?.into_parts();
    let body = body.stream().map_err(HttpError::from);
    Ok(Response { status: head.status, headers: head.headers, body: Box::pin(body) })
}
