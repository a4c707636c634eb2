//! Operations: whether the process responds, whether the app can work, what it has done, and which public keys components prove their calls with;
//! and the way of traces to their collector.

mod keys;
mod metrics;
mod readiness;
mod settings;
mod traces;

use axum::{Router, routing::get};
use platform::{Answer, Request};
use serde::Serialize;
use web::{Json, serve::telling_routes};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "ops";

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    // The only route that asks who somebody is, and so needs the database.
    if request.uri().path() == metrics::PATH {
        return platform::serve(COMPONENT, request, async || Vec::new(), async |app| metrics::router(app)).await;
    }
    if request.uri().path() == traces::PATH {
        return traces::receive(request).await;
    }
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(readiness::ready))
        .route(keys::PATH, get(keys::published));
    platform::serve_router(COMPONENT, request, telling_routes(router)).await
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}
