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

/// Lists one's own API keys.
///
/// The newest first, also those that have expired.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/api-keys", tag = "API keys", operation_id = "listOwnApiKeys",
    responses(
        (status = 200, description = "All keys.", body = Page<ApiKeyBody>),
    ),
))]
pub(crate) async fn list<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<Page<ApiKeyBody>>> {
    Ok(Json(api_keys::list(auth.store(), session.user_id()).await?))
}

/// Makes an API key for oneself.
///
/// Without `scopes` it has those of the role `service`.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/api-keys", tag = "API keys", operation_id = "createOwnApiKey",
    request_body = NewKey,
    responses(
        (status = 201, description = "The key. It is shown only now.", body = web::api_keys::MadeBody),
        (status = 409, description = "`too_many_keys`: there are 50 already."),
    ),
))]
pub(crate) async fn create<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    Json(new): Json<NewKey>,
) -> Result<Response> {
    let maker = Maker { user_id: session.user_id(), access_version: session.access_version() };
    api_keys::make(auth.store(), session.user_id(), maker, &new, Scopes::of_program()).await
}

/// Revokes one of one's own API keys.
#[cfg_attr(test, utoipa::path(
    delete, path = "/auth/api-keys/{id}", tag = "API keys", operation_id = "revokeOwnApiKey",
    params(("id" = domain::Id, Path)),
    responses(
        (status = 204, description = "It opens nothing any more."),
    ),
))]
pub(crate) async fn revoke<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    PathId(id): PathId,
) -> Result<StatusCode> {
    api_keys::revoke(auth.store(), session.user_id(), session.user_id(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
