//! `/auth/api-keys`: the keys with which a person's programs act for them. A key itself does not get here ([`web::Authenticator::takes_keys`]).

use axum::{extract::State, response::Response};
use http::StatusCode;
use permissions::Scopes;
use storage::{Database, invitations::Maker};
use web::{
    Json, Page, PathId, Result, Session,
    api_keys::{self, ApiKeyBody, NewKey},
};

use crate::routes::Auth;

/// `GET /auth/api-keys`.
pub(crate) async fn list<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<Page<ApiKeyBody>>> {
    Ok(Json(api_keys::list(auth.store(), session.user_id()).await?))
}

/// `POST /auth/api-keys`.
pub(crate) async fn create<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    Json(new): Json<NewKey>,
) -> Result<Response> {
    let maker = Maker { user_id: session.user_id(), access_version: session.access_version() };
    api_keys::make(auth.store(), session.user_id(), maker, &new, Scopes::of_program()).await
}

/// `DELETE /auth/api-keys/{id}`.
pub(crate) async fn revoke<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    PathId(id): PathId,
) -> Result<StatusCode> {
    api_keys::revoke(auth.store(), session.user_id(), session.user_id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
