//! Tools: the one place they are listed and executed from, for the model and for programs that speak MCP.
//!
//! Which way a call takes is the crate `toolbox`; how servers are spoken to is the crate `mcp`; here they meet the database and Spin.

mod calls;
mod clients;
mod config;
mod gateway;
mod keys;
mod list;
mod listings;
mod metadata;
mod offers;
mod policies;
mod problems;
mod router;
mod secrets;
mod servers;
mod world;

use platform::{Answer, Request};

use crate::config::Config;

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "tools";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    platform::serve(COMPONENT, request, config::checks, async |app| router::router(app, Config::read().await)).await
}
