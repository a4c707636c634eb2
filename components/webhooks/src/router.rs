//! All routes of this component.

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};
use http::Method;
use storage::{Database, Store};
use web::{App, Authenticator};

use crate::{config::Config, outside::Outlet, sending, webhooks};

/// The router's state.
pub(crate) struct Webhooks<D> {
    pub(crate) app: App<D>,
    pub(crate) config: Config,
    /// The way to receivers.
    pub(crate) send: Outlet,
    /// Has what is due sent, while nobody waits for it.
    pub(crate) soon: Soon<D>,
}

/// Has what is due sent, after the response.
pub(crate) type Soon<D> = fn(Webhooks<D>);

impl<D> Clone for Webhooks<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone(), send: self.send, soon: self.soon }
    }
}

impl<D: Database> Webhooks<D> {
    /// The store.
    pub(crate) fn store(&self) -> &Arc<Store<D>> {
        self.app.store()
    }
}

impl<D: Database> Authenticator for Webhooks<D> {
    type Database = D;

    // Whoever finds a key leaves nothing behind that goes on sending when the key is gone.
    fn takes_keys(method: &Method) -> bool {
        method.is_safe()
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(webhooks: Webhooks<D>) -> Router {
    Router::new()
        .route("/api/webhooks", get(webhooks::list_own::<D>).post(webhooks::add_own::<D>))
        .route("/api/webhooks/{id}", delete(webhooks::remove_own::<D>))
        .route("/api/webhooks/{id}/test", post(webhooks::test_own::<D>))
        .route("/api/admin/webhooks", get(webhooks::list_all::<D>).post(webhooks::add_all::<D>))
        .route("/api/admin/webhooks/{id}", delete(webhooks::remove_all::<D>))
        .route("/api/admin/webhooks/{id}/test", post(webhooks::test_all::<D>))
        .route(platform::webhooks::PATH, post(sending::wake::<D>))
        .with_state(webhooks)
}

#[cfg(test)]
mod described;
#[cfg(test)]
mod tests;
