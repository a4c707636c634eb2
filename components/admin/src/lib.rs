//! Administration: the component behind `/api/admin/...`. `docs/api.md` is its contract.
//!
//! Every change is recorded. Nobody gives or takes what they do not have themselves (`authority.rs`).

mod audit;
mod audit_chain;
mod authority;
mod config;
mod erasures;
mod groups;
mod invitations;
mod keys;
mod limits;
mod retention;
mod roles;
mod router;
mod service_accounts;
mod sessions;
mod settings;
mod usage;
mod users;

use platform::{Answer, Request};

/// This component's id in `spin.toml` and in the log.
const COMPONENT: &str = "admin";

/// Spin calls this for every request.
#[spin_sdk::http_service]
async fn handle(request: Request) -> Answer {
    let router = async |app| router::router(app, config::Config::read().await);
    platform::serve(COMPONENT, request, async || Vec::new(), router).await
}
