//! Outgoing HTTP requests, to the hosts that `spin.toml` allows. There is no other way out.

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use network_address::is_inside;
use outgoing::IncomingResponseBody;
use spin_sdk::{http::body::IncomingBodyExt, wasip3::http::types::ErrorCode};
use trace_context::{INSIDE_TRACEPARENT, TRACEPARENT, TraceContext};
use traces::{Kind, Span, names};

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

impl HttpError {
    /// A code for it, without the host's words.
    const fn code(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Request(_) => "malformed",
            Self::Connection(_) => "connection",
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
    sent(request, false).await
}

/// The same with a body that comes in pieces, whose length the headers state. At an error in it the request breaks off.
///
/// # Errors
/// As [`send`].
pub async fn send_pieces<E: Send + 'static, S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static>(
    mut request: Request<S>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<E, S>>, HttpError> {
    let span = begin(&mut request, false);
    answered(outgoing::send_pieces(request).await, span)
}

/// The same for servers elsewhere that do a part of the work, so that whoever runs them finds it: tool servers and providers of models. They learn that
/// their requests belong together, and an id that whoever asked may have chosen.
///
/// # Errors
/// As [`send`].
pub async fn send_with_trace(
    request: Request<Bytes>,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    sent(request, true).await
}

/// A span for a request: it ends with the answer's body.
#[inline(never)]
fn span<B>(request: &Request<B>) -> Span {
    let (method, uri) = (request.method(), request.uri());
    let mut span = Span::begin(Kind::Client, method);
    if span.is_recorded() {
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        span.set(names::HTTP_REQUEST_METHOD, method.as_str());
        span.set(names::SERVER_ADDRESS, uri.host().unwrap_or_default());
        span.set(names::SERVER_PORT, port);
    }
    span
}

async fn sent(
    mut request: Request<Bytes>,
    is_told_the_trace: bool,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    let span = begin(&mut request, is_told_the_trace);
    answered(outgoing::send(request).await, span)
}

/// The span of a request, whose headers name it to whoever may know.
fn begin<B>(request: &mut Request<B>, is_told_the_trace: bool) -> Span {
    let span = span(request);
    let is_inside = request.uri().host().is_some_and(is_inside);
    if is_inside || is_told_the_trace {
        let parent = span.trace().copied().or_else(|| trace_context::current().map(|scope| scope.trace));
        let parent = parent.as_ref().map(TraceContext::traceparent);
        if let Some(parent) = parent.and_then(|parent| HeaderValue::try_from(parent).ok()) {
            if is_inside {
                request.headers_mut().insert(INSIDE_TRACEPARENT, parent.clone());
            }
            request.headers_mut().insert(TRACEPARENT, parent);
        }
    }
    span
}

fn answered(
    answer: Result<http::Response<IncomingResponseBody>, ErrorCode>,
    mut span: Span,
) -> Result<Response<impl Stream<Item = Result<Bytes, HttpError>> + Send + Unpin + use<>>, HttpError> {
    let answer = answer.map_err(HttpError::from);
    let (head, body) = answer.inspect_err(|error| span.fail(error.code()))?.into_parts();
    span.set(names::HTTP_RESPONSE_STATUS_CODE, head.status.as_u16());
    if head.status.is_client_error() || head.status.is_server_error() {
        span.fail(head.status.as_str());
    }
    let body = body.stream().map_err(move |error| {
        let error = HttpError::from(error);
        span.fail(error.code());
        error
    });
    Ok(Response { status: head.status, headers: head.headers, body: Box::pin(body) })
}
