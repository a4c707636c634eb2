//! The organisations' identities that open one's account: their list, and taking one off.

use axum::extract::State;
use domain::Timestamp;
use http::{HeaderMap, StatusCode};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::Database;
use web::{Json, Result, Session};

use crate::{
    record::record,
    routes::Auth,
    second_factor::{Proof, changed, proven},
};

/// An organisation's identity that opens the account.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Identity, example = json!({"issuer": "https://login.example.com", "label": "Example Inc.", "email": "ada@example.com", "created_at": "2026-01-01T12:00:00.000Z", "used_at": "2026-01-01T12:00:00.000Z"})))]
struct IdentityBody {
    /// The provider.
    issuer: String,
    /// As the log-in page names the provider. `null`: it is no longer configured, and the identity opens nothing.
    label: Option<String>,
    email: String,
    created_at: Timestamp,
    /// When it was last signed in with.
    used_at: Timestamp,
}

/// The identities that open one's account.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IdentityList))]
pub(crate) struct IdentitiesBody {
    items: Vec<IdentityBody>,
}

/// Lists the organisations' identities that open one's account.
///
/// One of each provider at most.
#[cfg_attr(test, utoipa::path(
    get, path = "/auth/oidc/identities", tag = "Providers to sign in with", operation_id = "listIdentities",
    responses(
        (status = 200, description = "The identities.", body = IdentitiesBody),
    ),
))]
pub(crate) async fn list<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<IdentitiesBody>> {
    let identities = auth.store().identities(session.user_id()).await?;
    let body = |identity: storage::identities::LinkedIdentity| IdentityBody {
        label: auth.sign_in.provider_of(&identity.issuer).map(|provider| provider.label.clone()),
        issuer: identity.issuer,
        email: identity.email,
        created_at: identity.created_at,
        used_at: identity.used_at,
    };
    Ok(Json(IdentitiesBody { items: identities.into_iter().map(body).collect() }))
}

/// An identity to be taken off, and a proof that it is the person.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IdentityRemoval, example = json!({"issuer": "https://login.example.com", "password": "correct horse battery"})))]
pub(crate) struct Removal {
    /// The provider.
    issuer: String,
    #[serde(flatten)]
    proof: Proof,
}

/// Takes an identity off one's account.
///
/// The sessions that began with it end except the one that asks, and the roles that it gave.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/oidc/identities/remove", tag = "Providers to sign in with", operation_id = "removeIdentity",
    request_body = Removal,
    responses(
        (status = 204, description = "It opens the account no more."),
        (status = 404, description = "`not_found`: there is no such identity."),
        (status = 409, description = "`only_way_in`: the account has no password. `changed_meanwhile`: the account was changed in the same moment. `second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn remove<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(Removal { issuer, proof }): Json<Removal>,
) -> Result<StatusCode> {
    let found = auth.store().user_with_password(session.user_id()).await?;
    let (_, hash) = found.ok_or_else(Problem::unauthenticated)?;
    if hash.is_none() {
        let detail = "Your account has no password, so signing in with your organisation is the only way into it. \
                      Ask an administrator for a link that sets a password, then remove it.";
        return Err(Problem::conflict("only_way_in", detail).into());
    }
    let user = proven(&auth, &session, &headers, proof).await?;
    if auth.store().remove_identity(&user, &issuer, session.session_id()).await? {
        record(&auth, &user, "provider.unlink", "ok").await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut identities = auth.store().identities(user.id).await?.into_iter();
    Err(if identities.any(|identity| identity.issuer == issuer) { changed() } else { Problem::not_found() }.into())
}
