//! The streamer: the component behind `/api/runs/{id}/events`, where it executes runs, replays and tails them, and behind `/api/models` and `/v1`: what
//! else there is to say about models, and what programs say to them, because nobody else may reach their servers.
//!
//! What a run is and how it goes is the crate `orchestrator`; here it meets HTTP and Spin.

mod config;
mod events;
mod host;
mod model_list;
mod outside;
mod programs;
mod provider_test;
mod providers;
mod reader;
mod router;
mod stored;
mod tools;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "stream";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| {
        router::router(app.reading_offers(), config::read().await, outside::send, programs::WAYS)
    })
    .await
}
