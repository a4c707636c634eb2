//! What every answer carries, and which requests get no further.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use futures::executor::block_on;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use web::{Json, Result};

async fn echo(Json(value): Json<Value>) -> Result<Json<Value>> {
    Ok(Json(value))
}

fn answer(request: Request<Body>) -> Response<Body> {
    let router = Router::new()
        .route("/echo", post(echo))
        .route("/text", get(async || "text"))
        .route("/kept", get(async || ([(header::CACHE_CONTROL, "max-age=60")], "kept")));
    block_on(web::serve("test", router, request))
}

fn ask(method: Method, path: &str) -> Response<Body> {
    answer(Request::builder().method(method).uri(path).body(Body::empty()).unwrap())
}

fn code(response: Response<Body>) -> (StatusCode, String) {
    let status = response.status();
    let body = block_on(response.into_body().collect()).unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_answer_is_nobody_elses_to_keep_to_frame_or_to_run() {
    for response in [
        ask(Method::GET, "/text"),
        ask(Method::GET, "/nowhere"),
        ask(Method::DELETE, "/text"),
        ask(Method::POST, "/echo"),
    ] {
        let headers = response.headers();
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(headers.contains_key("x-request-id"));
    }
    assert_eq!(ask(Method::GET, "/kept").headers()[header::CACHE_CONTROL], "max-age=60", "a route may say otherwise");
}

#[test]
fn headers_that_are_too_long_together_are_refused_in_words() {
    let with = |bytes: usize| {
        let half = "x".repeat(bytes / 2);
        answer(Request::get("/text").header("cookie", &half).header("authorization", half).body(Body::empty()).unwrap())
    };
    assert_eq!(with(16 * 1024).status(), StatusCode::OK);
    let refused = with(64 * 1024);
    assert!(refused.headers().contains_key("x-request-id"));
    assert_eq!(code(refused), (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large".to_owned()));
}

#[test]
fn json_that_is_nested_deeper_than_anything_means_is_refused() {
    let nested = |depth: usize| {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let request = Request::post("/echo").header(header::CONTENT_TYPE, "application/json");
        answer(request.body(Body::from(body)).unwrap())
    };
    assert_eq!(nested(100).status(), StatusCode::OK);
    for depth in [1_000, 7_000] {
        assert_eq!(code(nested(depth)), (StatusCode::BAD_REQUEST, "invalid_json".to_owned()), "{depth}");
    }
}
