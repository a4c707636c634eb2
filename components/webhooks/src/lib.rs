//! Webhooks: the component behind `/api/webhooks/...` and `/api/admin/webhooks/...`, which keeps the addresses to which is told what happened, and the only one
//! that sends there. `docs/webhooks.md` is its contract for receivers, docs/adr/0050 has the reasons.
//!
//! What is to be sent is queued by the database, in the statement of what happened. Whoever comes by has it sent.

mod config;
mod message;
mod outside;
mod router;
mod sending;
mod webhooks;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "webhooks";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(
        COMPONENT,
        request,
        async || Vec::new(),
        async |app| {
            let config = config::Config::read().await;
            router::router(router::Webhooks { app, config, send: outside::send, soon: sending::soon })
        },
    )
    .await
}
