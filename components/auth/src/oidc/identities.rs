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

#[derive(Serialize)]
struct IdentityBody {
    issuer: String,
    /// As the log-in page names the provider. `null`: it is no longer configured, and the identity opens nothing.
    label: Option<String>,
    email: String,
    created_at: Timestamp,
    used_at: Timestamp,
}

#[derive(Serialize)]
pub(super) struct IdentitiesBody {
    items: Vec<IdentityBody>,
}

/// `GET /auth/oidc/identities`.
pub(super) async fn list<D: Database>(State(auth): State<Auth<D>>, session: Session) -> Result<Json<IdentitiesBody>> {
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

#[derive(Deserialize)]
pub(super) struct Removal {
    issuer: String,
    #[serde(flatten)]
    proof: Proof,
}

/// `POST /auth/oidc/identities/remove`: the sessions that began with the identity end except this one, and the roles that it gave. Whoever has no password keeps
/// theirs: nothing else opens the account.
pub(super) async fn remove<D: Database>(
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
