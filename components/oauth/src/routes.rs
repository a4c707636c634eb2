//! All routes of this component, each a line.

use axum::{
    Router,
    routing::{delete, get, post},
};
use domain::Timestamp;
use http::{HeaderMap, Method, StatusCode};
use identity::Issuer;
use problem::Problem;
use storage::{Database, Store};
use web::{App, Authenticator, Result};

use crate::{COMPONENT, authorization, config::Config, document::Documents, grants, metadata, registration, token};

/// The router's state.
pub(crate) struct OAuth<D, F> {
    app: App<D>,
    pub(crate) config: Config,
    pub(crate) documents: F,
}

impl<D, F: Clone> Clone for OAuth<D, F> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone(), documents: self.documents.clone() }
    }
}

impl<D: Database, F: Documents> Authenticator for OAuth<D, F> {
    type Database = D;

    fn takes_keys(_: &Method) -> bool {
        false
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

impl<D: Database, F: Documents> OAuth<D, F> {
    /// The store.
    pub(crate) fn store(&self) -> &Store<D> {
        self.app.store()
    }

    /// The installation's address, which is the issuer.
    pub(crate) fn address(&self, headers: &HeaderMap) -> Result<String> {
        let unknown = || {
            let detail =
                "This installation does not know its address. An administrator can set the variable public_url.";
            Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
        };
        Ok(self.app.site().address(headers).ok_or_else(unknown)?)
    }

    /// What signs, and the database's time.
    pub(crate) async fn issuer(&self) -> Result<(Issuer, Timestamp)> {
        web::issuing::issuer(COMPONENT, self.store(), &self.config.signing_key).await
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static, F: Documents>(app: App<D>, config: Config, documents: F) -> Router {
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata::read::<D, F>))
        .route("/oauth/register", post(registration::register::<D, F>))
        .route("/oauth/authorize", get(authorization::begin))
        .route("/oauth/authorization", get(authorization::show::<D, F>).post(authorization::decide::<D, F>))
        .route("/oauth/token", post(token::exchange::<D, F>))
        .route("/oauth/revoke", post(token::revoke::<D, F>))
        .route("/oauth/grants", get(grants::list::<D, F>))
        .route("/oauth/grants/{id}", delete(grants::end::<D, F>))
        .with_state(OAuth { app, config, documents })
}

#[cfg(test)]
mod described;
#[cfg(test)]
mod permission_tests;
#[cfg(test)]
mod tests;
