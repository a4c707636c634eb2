//! The authorization server for programs (OAuth 2.1): the component behind `/oauth/...` and `/.well-known/oauth-authorization-server`. A program that
//! is given the address of the gateway `/mcp` finds this server through the gateway's metadata, and its person lets it in on the page `/authorize`.
//!
//! It alone may request programs' metadata documents from outside. It never sees a password: whoever decides is signed in by `auth` before.

mod authorization;
mod client;
mod config;
mod document;
mod grants;
mod limits;
mod metadata;
mod refusal;
mod registration;
mod routes;
mod token;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "oauth";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    let router = async |app| routes::router(app, config::Config::read().await, document::Outside);
    // `auth` and `ops` check the settings that are used here.
    platform::serve(COMPONENT, request, async || Vec::new(), router).await
}
