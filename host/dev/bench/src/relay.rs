//! The relay of `bench_guest`, served natively, without a sandbox; the app is compared with it.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use bench_guest::Asked;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{completion_request, completions_url};

#[derive(Clone)]
struct Relay {
    client: Client<HttpConnector, Full<Bytes>>,
    model: SocketAddr,
}

/// Serves until the task is dropped: `GET /health`, and `GET /events?model=NAME`.
pub(crate) async fn serve(listener: TcpListener, model: SocketAddr) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let relay = Relay { client: Client::builder(TokioExecutor::new()).build(connector), model };
    let router = Router::new()
        .route("/health", get(async || Json(json!({"status": "ok"}))))
        .route("/events", get(events))
        .with_state(relay);
    // If it cannot be set, the relay is only slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

async fn events(State(relay): State<Relay>, Query(asked): Query<Asked>) -> Result<Response, (StatusCode, String)> {
    let upstream = |error: &dyn std::error::Error| (StatusCode::BAD_GATEWAY, format!("the model: {error}"));
    let request: Request<_> = completion_request(relay.model, &completions_url(relay.model), &asked.model, "bench")
        .map_err(|error| upstream(&*error))?;
    let answer = relay.client.request(request).await.map_err(|error| upstream(&error))?;
    if answer.status() != StatusCode::OK {
        return Err((StatusCode::BAD_GATEWAY, format!("the model answered {}", answer.status())));
    }
    let frames = bench_guest::frames(Body::new(answer.into_body()).into_data_stream());
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(frames)).into_response())
}
