//! The streamer: the component behind `/api/runs/{id}/events`. It executes runs, replays and tails them.
//!
//! What a run is and how it goes is the crate `orchestrator`; here it meets HTTP and Spin.

mod config;
mod events;
mod host;
mod reader;
mod tools;

use axum::{Router, routing::get};
use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "stream";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| {
        Router::new().route("/api/runs/{id}/events", get(events::events)).with_state(app)
    })
    .await
}
