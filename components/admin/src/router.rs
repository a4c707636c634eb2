//! All routes of this component, each a line.

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post, put},
};
use http::Method;
use permissions::Roles;
use storage::{Database, Store};
use web::{App, Authenticator, Result};

use crate::{
    audit, audit_chain, config::Config, erasures, groups, invitations, keys, limits, retention, roles,
    service_accounts, sessions, settings, usage, users,
};

/// The router's state.
pub(crate) struct Admin<D> {
    app: App<D>,
    pub(crate) config: Config,
}

impl<D> Clone for Admin<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: self.config.clone() }
    }
}

impl<D: Database> Admin<D> {
    /// The store.
    pub(crate) fn store(&self) -> &Arc<Store<D>> {
        self.app.store()
    }

    /// All roles, as they are now: whoever has just made one wants to give it.
    pub(crate) async fn roles(&self) -> Result<Roles> {
        Ok(web::access::roles_of(&self.store().roles().await?))
    }
}

impl<D: Database> Authenticator for Admin<D> {
    type Database = D;

    // Whoever finds a key of an administrator can read what its scopes say, and can make nobody an account, a password or a role.
    fn takes_keys(method: &Method) -> bool {
        method.is_safe()
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes.
pub(crate) fn router<D: Database + 'static>(app: App<D>, config: Config) -> Router {
    Router::new()
        .route("/api/admin/users", get(users::list::<D>))
        .route("/api/admin/users/{id}", get(users::read::<D>).patch(users::update::<D>))
        .route("/api/admin/users/{id}/reset-link", post(users::make_reset_link::<D>))
        .route("/api/admin/users/{id}/second-factor", delete(users::remove_second_factor::<D>))
        .route("/api/admin/invitations", get(invitations::list::<D>).post(invitations::create::<D>))
        .route("/api/admin/invitations/{id}", delete(invitations::revoke::<D>))
        .route("/api/admin/groups", get(groups::list::<D>).post(groups::create::<D>))
        .route("/api/admin/groups/{id}", put(groups::update::<D>).delete(groups::delete::<D>))
        .route("/api/admin/groups/{id}/members", get(groups::members::<D>))
        .route(
            "/api/admin/groups/{id}/members/{user_id}",
            put(groups::add_member::<D>).delete(groups::remove_member::<D>),
        )
        .route("/api/admin/roles", get(roles::list::<D>))
        .route("/api/admin/roles/{name}", put(roles::set::<D>).delete(roles::delete::<D>))
        .route("/api/admin/service-accounts", get(service_accounts::list::<D>).post(service_accounts::create::<D>))
        .route(
            "/api/admin/service-accounts/{id}/api-keys",
            get(service_accounts::keys::<D>).post(service_accounts::create_key::<D>),
        )
        .route("/api/admin/service-accounts/{id}/api-keys/{key_id}", delete(service_accounts::revoke_key::<D>))
        .route("/api/admin/sessions", get(sessions::list::<D>))
        .route("/api/admin/sessions/{id}", delete(sessions::end::<D>))
        .route("/api/admin/keys", get(keys::list::<D>))
        .route("/api/admin/keys/rotate", post(keys::rotate::<D>))
        .route("/api/admin/settings", get(settings::list::<D>))
        .route("/api/admin/limits", get(limits::list::<D>).put(limits::set::<D>))
        .route("/api/admin/retention", get(retention::list::<D>).put(retention::set::<D>))
        .route("/api/admin/usage", get(usage::list::<D>))
        .route("/api/admin/audit", get(audit::list::<D>))
        .route("/api/admin/audit/export", get(audit::export::<D>))
        .route("/api/admin/audit/chain", get(audit_chain::read::<D>))
        .route("/api/admin/erasures", get(erasures::list::<D>))
        .route("/api/admin/users/{id}/erasure", post(erasures::request::<D>).delete(erasures::take_back::<D>))
        .with_state(Admin { app, config })
}

#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod openapi_tests;
#[cfg(test)]
mod permission_tests;
#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod tests;
