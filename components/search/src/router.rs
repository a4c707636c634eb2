//! All routes of this component.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use http::Method;
use storage::{Database, Store};
use web::{App, Authenticator};

use crate::{config::Config, indexing, results};

/// The router's state.
pub(crate) struct Search<D> {
    pub(crate) app: App<D>,
    pub(crate) config: Config,
    /// Has what waits indexed, while nobody waits for it.
    pub(crate) soon: Soon<D>,
}

/// Has what waits indexed, after the response.
pub(crate) type Soon<D> = fn(Search<D>);

impl<D> Clone for Search<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config, soon: self.soon }
    }
}

impl<D: Database> Search<D> {
    /// The store.
    pub(crate) fn store(&self) -> &Arc<Store<D>> {
        self.app.store()
    }
}

impl<D: Database> Authenticator for Search<D> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(search: Search<D>) -> Router {
    Router::new()
        .route("/api/search", get(results::search::<D>))
        .route(platform::search::PATH, post(indexing::wake::<D>))
        .with_state(search)
}

#[cfg(test)]
mod described;
#[cfg(test)]
mod tests;
