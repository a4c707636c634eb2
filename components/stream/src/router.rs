//! All routes of this component.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post, put},
};
use http::Method;
use storage::Database;
use web::{App, Authenticator};

use crate::{
    config::Config,
    events, model_list,
    outside::Outlet,
    programs::{self, Ways},
    providers,
};

/// The router's state.
pub(crate) struct Stream<D> {
    pub(crate) app: App<D>,
    pub(crate) config: Arc<Config>,
    /// The way to providers, besides that of runs.
    pub(crate) send: Outlet,
}

impl<D> Clone for Stream<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: Arc::clone(&self.config), send: self.send }
    }
}

impl<D: Database> Authenticator for Stream<D> {
    type Database = D;

    // As in `admin`: a key of an administrator changes nothing.
    fn takes_keys(method: &Method) -> bool {
        method.is_safe()
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Arc<Config>, send: Outlet, ways: Ways) -> Router {
    let stream = Stream { app, config, send };
    Router::new()
        .route("/api/admin/providers", get(providers::list::<D>))
        .route("/api/admin/providers/{name}", put(providers::set::<D>).delete(providers::remove::<D>))
        .route("/api/admin/providers/{name}/test", post(providers::test::<D>))
        .route("/api/models", get(model_list::list::<D>))
        .route("/api/runs/{id}/events", get(events::events::<D>))
        .with_state(stream.clone())
        .merge(programs::router(stream, ways))
        .fallback(programs::unrouted)
}

#[cfg(test)]
mod openapi_tests;
#[cfg(test)]
mod provider_tests;
#[cfg(test)]
pub(crate) mod tests;
