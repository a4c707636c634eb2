//! The adapter: speaks the Model Context Protocol over HTTP for the one provider it is composed with.
//!
//! What the protocol is, the crate `mcp` knows; here it meets HTTP and the contract in `wit/`. The adapter decides one thing: that it is `tools` that
//! calls (`callers.rs`). Who may call what, `tools` has settled.

mod bindings;
mod callers;
mod from_provider;
mod log;
mod provider;
mod to_provider;
mod tracing;

use std::{convert::Infallible, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited, StreamBody};
use spin_sdk::http::Request;
use trace_context::{Scope, TraceContext};

use provider::Composed;

/// A call's arguments are written by a model or by a program; this is more than either writes.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

type Events = StreamBody<futures::stream::LocalBoxStream<'static, Result<http_body::Frame<Bytes>, Infallible>>>;
type Body = Either<Full<Bytes>, Events>;

/// Names of the machine itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Response<Body> {
    let began = Instant::now();
    callers::set_up().await;
    let trace = TraceContext::received(|name| request.headers().get(name).and_then(|value| value.to_str().ok()));
    let trace = traces::decided(trace);
    let scope = Scope { trace, request_id: None };
    trace_context::within(Some(Arc::new(scope)), answer(request, began)).await
}

async fn answer(request: Request, began: Instant) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !may_ask(&head.headers) {
        return refused(StatusCode::FORBIDDEN);
    }
    if let Err(refused) = callers::check(&head.headers).await {
        let mut response = Response::new(Either::Left(Full::from(refused.body())));
        *response.status_mut() = refused.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        return response;
    }
    match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
        Ok(body) => {
            let span = tracing::begin(&head.headers, began);
            let request = http::Request::from_parts(head, body.to_bytes());
            let response = mcp::respond(&Composed, &mcp::Settings::default(), request).await.map(body_of);
            tracing::end(span, response.status());
            tracing::soon();
            response
        }
        Err(error) if error.is::<LengthLimitError>() => refused(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => refused(StatusCode::BAD_REQUEST),
    }
}

/// Programs name no origin; a browser names that of the page. Who serves an adapter on their own machine must not have it asked by any page
/// whose name was made to lead there (DNS rebinding).
fn may_ask(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    origin.as_ref().and_then(Uri::host).is_some_and(|host| LOOPBACK.contains(&host))
}

fn body_of(body: mcp::Body) -> Body {
    match body {
        mcp::Body::Empty => Either::Left(Full::default()),
        mcp::Body::Json(bytes) => Either::Left(Full::from(bytes)),
        mcp::Body::Events(events) => {
            Either::Right(StreamBody::new(events.map(|bytes| Ok(http_body::Frame::data(bytes))).boxed_local()))
        }
    }
}

fn refused(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}
