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
use storage::Database;
use web::App;

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "stream";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| router(app.reading_offers())).await
}

/// The route.
fn router<D: Database + 'static>(app: App<D>) -> Router {
    Router::new().route("/api/runs/{id}/events", get(events::events::<D>)).with_state(app)
}

#[cfg(test)]
mod tests {
    #[test]
    fn permissions_of_every_route_are_those_of_the_document() {
        router_test::paused(async |_| {
            router_test::permissions::compare_routes("stream", super::router).await;
        });
    }
}
