//! Conversations, messages, runs and assistants as resources: the component behind `/api/...`.
//!
//! It stores messages and queues the runs that answer them. It never talks to a model, and calls `tools` only to stop tasks of runs that have ended.
//! `docs/api.md` is its contract.

mod assistants;
mod body;
mod config;
mod conversations;
mod encryption;
mod memories;
mod messages;
mod models;
mod router;
mod runs;
mod settings;
mod tasks;
mod usage;

use platform::{Answer, Request, instance};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "chat";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    let router = async |app| router::router(app, config::Config::read().await, tasks::stop);
    let answer = platform::serve(COMPONENT, request, config::checks, router).await;
    if let Some(app) = instance::opened() {
        encryption::go_on(app);
    }
    answer
}
