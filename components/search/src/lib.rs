//! Full-text search over what people said: the component behind `/api/search`, which also keeps the index (docs/adr/0056, docs/search.md).
//!
//! It has the stemmers, and reads every text once to index it: whatever a text does to them ends no other component's requests. It reaches the database and
//! nothing else.

mod config;
mod filters;
mod indexing;
mod results;
mod router;
mod terms;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "search";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(
        COMPONENT,
        request,
        async || Vec::new(),
        async |app| {
            let config = config::Config::read().await;
            router::router(router::Search { app, config, soon: indexing::soon })
        },
    )
    .await
}
