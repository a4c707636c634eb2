//! Accounts and sessions: the component behind `/auth/...`, `/api/account/...` and `/.well-known/jwks.json`.
//!
//! The only component that sees passwords, codes of second factors, refresh tokens and private keys. `docs/api.md` is its contract.

mod account;
mod api_keys;
mod background;
mod config;
mod cookies;
mod erasure;
mod export;
mod limits;
mod oidc;
mod record;
mod revocation;
mod routes;
mod sealing;
mod second_factor;
mod sign_up;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "auth";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    background::soon();
    platform::serve(COMPONENT, request, config::checks, async |app| {
        routes::router(app, config::Config::read().await, oidc::SignIn::read().await)
    })
    .await
}
