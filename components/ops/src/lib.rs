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

/// That the process answers.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(example = json!({"status": "ok"})))]
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

/// Says that the process answers.
#[cfg_attr(test, utoipa::path(
    get, path = "/health", tag = "Operations", operation_id = "getHealth",
    responses(
        (status = 200, description = "It does.", body = Health),
    ),
))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

#[cfg(test)]
mod tests {
    //! What this component says about its routes, held against `static/public/openapi.json`.

    use utoipa::OpenApi as _;

    #[derive(utoipa::OpenApi)]
    #[openapi(
        paths(super::health, super::readiness::ready),
        tags((name = "Operations", description = "Is it up, and can it work.")),
    )]
    struct Description;

    #[test]
    fn the_routes_are_described_in_the_document() {
        router_test::openapi::compare_open(Description::openapi());
    }
}
