//! All routes of this component, each a line.

use axum::{
    Router,
    routing::{any, get, post},
};
use storage::Database;
use tool_catalogue::{Host, OFFERS_PATH};
use toolbox::wire::{ASK_TASKS_PATH, CALLS_PATH, REVOKE_CONNECTIONS_PATH, STOP_TASKS_PATH};

use crate::{
    calls, client_document, connections, gateway, list, metadata, offers, policies, secrets, state::Tools, tasks,
};

/// The routes. Those below `/internal` have no trigger in `spin.toml`, so nobody outside reaches them, and they want a token of the component that calls
/// (docs/adr/0037); what is done there for somebody wants the lease of a run, too.
pub(crate) fn router<D: Database + 'static, H: Host>(tools: Tools<D, H>) -> Router {
    Router::new()
        .route("/api/tools", get(list::list::<D, H>))
        .route(
            "/api/tools/policies",
            get(policies::list::<D, H>).put(policies::set::<D, H>).delete(policies::delete::<D, H>),
        )
        .route(
            "/api/tools/secrets",
            get(secrets::list::<D, H>).put(secrets::set::<D, H>).delete(secrets::delete::<D, H>),
        )
        .route(
            "/api/tools/connections",
            get(connections::list::<D, H>).post(connections::connect::<D, H>).delete(connections::disconnect::<D, H>),
        )
        .route(&format!("{}/{{server}}", connections::CALLBACK), get(connections::callback::<D, H>))
        .route(&format!("{}/{{server}}", connections::CLIENT), get(client_document::client::<D, H>))
        .route("/mcp", any(gateway::all::<D, H>))
        // Many clients put a slash behind an address.
        .route("/mcp/", any(gateway::all::<D, H>))
        .route("/mcp/{server}", any(gateway::one::<D, H>))
        .route("/mcp/{server}/", any(gateway::one::<D, H>))
        .route("/.well-known/oauth-protected-resource", get(metadata::first::<D, H>))
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata::all::<D, H>))
        .route("/.well-known/oauth-protected-resource/mcp/{server}", get(metadata::one::<D, H>))
        .route(OFFERS_PATH, get(offers::list::<D, H>).post(offers::make::<D, H>))
        .route(CALLS_PATH, post(calls::call::<D, H>))
        .route(ASK_TASKS_PATH, post(tasks::ask::<D, H>))
        .route(STOP_TASKS_PATH, post(tasks::stop::<D, H>))
        .route(REVOKE_CONNECTIONS_PATH, post(connections::revoke_all::<D, H>))
        .with_state(tools)
}

#[cfg(test)]
mod tests;
