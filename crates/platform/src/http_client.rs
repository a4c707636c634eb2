//! Outgoing HTTP requests, to the hosts that `spin.toml` allows. There is no other way out.

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
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

/// Sends a request with its content length, and returns as soon as the head of the response arrives. Its receiver gets the trace of the work that sends it:
/// random numbers, which say nothing about anybody.
///
/// # Errors
/// [`HttpError`]; a status of 4xx or 5xx is a response, not an error.
pub async fn send(
    mut request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    let trace = trace_context::current().and_then(|scope| HeaderValue::try_from(scope.trace.traceparent()).ok());
    if let Some(trace) = trace {
        request.headers_mut().insert(TRACEPARENT, trace);
    }
    let (head, body) = outgoing::send(request).await?.into_parts();
    let body = body.stream().map_err(HttpError::from);
    Ok(Response { status: head.status, headers: head.headers, body: Box::pin(body) })
}
