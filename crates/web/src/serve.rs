//! From a request to its response: the id, the router, the problem if there was one, the log line.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::MatchedPath,
    middleware::{self, Next},
};
use domain::Id;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use problem::{Problem, REQUEST_ID};
use serde::Serialize;
use tower_service::Service;
use trace_context::{Scope, TraceContext};

use crate::{
    compression,
    log::{Level, log},
};

/// Longer ids from outside are replaced, so that ids can be logged.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The most bytes of all headers together, names and values. Spin's limit is far higher. A browser's cookies and a program's token are a few kilobytes.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Of every answer, unless its route says otherwise: it is data, not a page; nobody frames it, nobody keeps it, and another site's page cannot embed it.
const OF_EVERY_ANSWER: [(HeaderName, HeaderValue); 5] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// The most bytes logged of an address, a method or a cause: clients send kilobytes of each, and people read the log.
const MAX_LOGGED_BYTES: usize = 512;

#[derive(Serialize)]
struct Access<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    status: u16,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// The scope of a request: it continues the caller's trace, and it is decided whether the trace is recorded.
#[must_use]
pub fn scope(headers: &HeaderMap) -> Arc<Scope> {
    let trace = TraceContext::received(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let trace = traces::decided(trace);
    Arc::new(Scope { trace, request_id: Some(request_id(headers)) })
}

/// A router whose answers say the template of their route, as the extension [`MatchedPath`], for whoever measures. It is for a router that serves many
/// requests: every handler is put into another one.
pub fn telling_routes(router: Router) -> Router {
    router.layer(middleware::from_fn(with_route))
}

/// Answers a request. The response is always complete: errors become problems here and nowhere else. All of its work is in the request's [`scope`], which
/// whoever calls may have entered before.
pub async fn serve(component: &'static str, router: Router, request: Request<Body>) -> Response<Body> {
    let scope = trace_context::current().unwrap_or_else(|| scope(request.headers()));
    let request_id = scope.request_id.clone().unwrap_or_default();
    let trace = scope.trace;
    trace_context::within(Some(scope), answer(component, router, request, &request_id, trace)).await
}

async fn answer(
    component: &str,
    mut router: Router,
    mut request: Request<Body>,
    request_id: &str,
    trace: TraceContext,
) -> Response<Body> {
    let started = Instant::now();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        request.headers_mut().insert(REQUEST_ID, value);
    }
    let (method, path) = (shown(request.method().as_str()), shown(request.uri().path()));
    let encoding = compression::wanted(request.headers());

    let (mut response, refused) = if header_bytes(request.headers()) > MAX_HEADER_BYTES {
        (Response::default(), Some(too_many_headers()))
    } else {
        match router.call(request).await {
            Ok(response) => (response, None),
            Err(never) => match never {},
        }
    };
    let route = response.extensions_mut().remove::<MatchedPath>();
    let problem = refused.or_else(|| response.extensions_mut().remove::<Problem>()).or_else(|| unrouted(&response));
    if let Some(problem) = &problem {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.to_response(request_id).map(Body::from);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    } else if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
        response = compression::compressed(response, encoding).await;
    }
    for (name, value) in OF_EVERY_ANSWER {
        response.headers_mut().entry(name).or_insert(value);
    }

    let access = Access {
        parent_span_id: trace.parent_id(),
        method: &method,
        path: &path,
        route: route.as_ref().map(MatchedPath::as_str),
        status: response.status().as_u16(),
        duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        code: problem.as_ref().map(Problem::code),
        cause: problem.as_ref().and_then(Problem::causes).map(|cause| shown(&cause)),
    };
    let level = if response.status().is_server_error() { Level::Error } else { Level::Info };
    log(component, level, "request", access);
    // A problem is another response.
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// Tells with the answer which route it is from: only a layer behind the routing knows.
async fn with_route(request: Request<Body>, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum()
}

fn too_many_headers() -> Problem {
    let detail = format!(
        "The headers of the request are longer than {MAX_HEADER_BYTES} bytes together. In a browser, delete this site's cookies and log in again."
    );
    Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", detail)
}

/// Shortens a text for the log.
fn shown(text: &str) -> String {
    if text.len() <= MAX_LOGGED_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_LOGGED_BYTES);
    format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
}

/// The problem for a response that the router itself made: unknown path or method.
fn unrouted(response: &Response<Body>) -> Option<Problem> {
    if response.headers().contains_key(header::CONTENT_TYPE) {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Problem::not_found()),
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::method_not_allowed("")),
        _ => None,
    }
}

fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(|| Id::new().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use futures::executor::block_on;

    use super::*;

    fn served(method: &str, path: &str) -> (u16, Option<String>) {
        let router = Router::new()
            .route("/things/{id}", get(async || "a thing"))
            .route("/nothing/{id}", get(async || crate::Error::from(Problem::not_found())));
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = block_on(serve("test", telling_routes(router), request));
        let route = response.extensions().get::<MatchedPath>();
        (response.status().as_u16(), route.map(|route| route.as_str().to_owned()))
    }

    #[test]
    fn a_request_is_measured_by_the_template_of_its_route_however_it_is_answered() {
        let route = |route: &str| Some(route.to_owned());
        assert_eq!(served("GET", "/things/7"), (200, route("/things/{id}")));
        assert_eq!(served("GET", "/nothing/7"), (404, route("/nothing/{id}")));
        assert_eq!(served("POST", "/things/7"), (405, route("/things/{id}")));
        assert_eq!(served("GET", "/elsewhere/7"), (404, None));
    }
}
