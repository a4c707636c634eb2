//! Tools: the one place they are listed and executed from.

use axum::{Router, extract::State, routing::get};
use platform::{Answer, Request, SpinDatabase};
use serde::Serialize;
use web::{App, Json, Session};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "tools";

#[derive(Serialize)]
struct Tools {
    items: Vec<serde_json::Value>,
}

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, async |app| Router::new().route("/api/tools", get(list)).with_state(app)).await
}

async fn list(State(_): State<App<SpinDatabase>>, _: Session) -> Json<Tools> {
    Json(Tools { items: Vec::new() })
}
