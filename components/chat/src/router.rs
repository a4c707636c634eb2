//! All routes of this component, each a line.

use axum::{
    Router,
    routing::{get, post},
};
use identity::Caller;
use storage::{Database, Store};
use web::{App, Authenticator, Result};

use crate::{config::Config, conversations, messages, runs};

/// The router's state.
pub(crate) struct Chat<D> {
    app: App<D>,
    pub(crate) config: Config,
}

impl<D> Clone for Chat<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone() }
    }
}

impl<D: Database> Chat<D> {
    /// The store.
    pub(crate) fn store(&self) -> &Store<D> {
        self.app.store()
    }
}

impl<D: Database> Authenticator for Chat<D> {
    async fn authenticate(&self, token: &str) -> Result<Caller> {
        self.app.authenticate(token).await
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Config) -> Router {
    Router::new()
        .route("/api/conversations", get(conversations::list::<D>).post(conversations::create::<D>))
        .route(
            "/api/conversations/{id}",
            get(conversations::read::<D>).patch(conversations::update::<D>).delete(conversations::delete::<D>),
        )
        .route("/api/conversations/{id}/messages", get(messages::list::<D>).post(messages::send::<D>))
        .route("/api/runs/{id}", get(runs::read::<D>))
        .route("/api/runs/{id}/cancel", post(runs::cancel::<D>))
        .route("/api/runs/{id}/retry", post(runs::retry::<D>))
        .with_state(Chat { app, config })
}
