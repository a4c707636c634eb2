//! All routes of this component, each a line.

use std::{rc::Rc, sync::Arc};

use axum::{
    Router,
    routing::{any, get, post},
};
use platform::SpinDatabase;
use send_wrapper::SendWrapper;
use storage::Store;
use toolbox::wire::{CALLS_PATH, OFFERS_PATH};
use web::{App, Authenticator, Result};

use crate::{
    calls,
    config::Config,
    gateway, list,
    listings::{self, Listed},
    metadata, offers, policies, secrets,
};

/// The router's state.
#[derive(Clone)]
pub(crate) struct Tools {
    app: App<SpinDatabase>,
    pub(crate) config: Arc<Config>,
}

impl Tools {
    /// The store.
    pub(crate) fn store(&self) -> &Store<SpinDatabase> {
        self.app.store()
    }

    /// What the servers have.
    pub(crate) async fn listed(&self) -> Result<SendWrapper<Rc<Listed>>> {
        let listed = here(listings::listed(&self.config, self.store())).await?;
        Ok(SendWrapper::new(listed))
    }
}

impl Authenticator for Tools {
    type Database = SpinDatabase;

    fn app(&self) -> &App<SpinDatabase> {
        &self.app
    }
}

/// axum wants futures that may move to another thread. A guest has one, so none ever does.
pub(crate) fn here<F: Future>(future: F) -> SendWrapper<F> {
    SendWrapper::new(future)
}

/// The routes. Those below `/internal` have no trigger in `spin.toml`, so nobody outside reaches them; they want the lease of a run.
pub(crate) fn router(app: App<SpinDatabase>, config: Config) -> Router {
    Router::new()
        .route("/api/tools", get(list::list))
        .route("/api/tools/policies", get(policies::list).put(policies::set).delete(policies::delete))
        .route("/api/tools/secrets", get(secrets::list).put(secrets::set).delete(secrets::delete))
        .route("/mcp", any(gateway::all))
        // Many clients put a slash behind an address.
        .route("/mcp/", any(gateway::all))
        .route("/mcp/{server}", any(gateway::one))
        .route("/mcp/{server}/", any(gateway::one))
        .route("/.well-known/oauth-protected-resource", get(metadata::all))
        .route("/.well-known/oauth-protected-resource/mcp", get(metadata::all))
        .route("/.well-known/oauth-protected-resource/mcp/{server}", get(metadata::one))
        .route(OFFERS_PATH, post(offers::list))
        .route(CALLS_PATH, post(calls::call))
        .with_state(Tools { app, config: Arc::new(config) })
}
