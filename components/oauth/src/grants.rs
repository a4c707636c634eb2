//! `/oauth/grants`: the programs that a person has let in.

use axum::extract::State;
use domain::{Id, Timestamp};
use http::StatusCode;
use problem::Problem;
use serde::Serialize;
use storage::{Database, audit::AuditEvent, grants::Grant};
use web::{Json, Listing, Page, PathId, Query, Result, Session};

use crate::{client::redirect_place, document::Documents, routes::OAuth};

/// Grants on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;

/// A program that a person has let in.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Grant, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "client_name": "My editor", "redirect_host": "this computer", "scopes": ["gateway:use", "tools:call:*"], "created_at": "2026-01-01T12:00:00.000Z", "last_used_at": "2026-01-01T12:00:04.000Z", "expires_at": "2026-01-08T12:00:00.000Z"})))]
pub(crate) struct GrantBody {
    id: Id,
    client_name: String,
    /// Where the person was sent back to: a host, or "this computer".
    redirect_host: String,
    scopes: Vec<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Grant> for GrantBody {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id,
            client_name: grant.client_name,
            redirect_host: redirect_place(&grant.redirect_uri),
            scopes: grant.scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: grant.created_at,
            last_used_at: grant.used_at,
            expires_at: grant.expires_at,
        }
    }
}

/// Lists the programs that the caller has let in.
///
/// The newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/oauth/grants", tag = "Programs that sign in", operation_id = "listGrants",
    params(Listing),
    responses(
        (status = 200, description = "A page of them.", body = Page<GrantBody>),
    ),
))]
pub(crate) async fn list<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    session: Session,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<GrantBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = oauth.store().grants(session.user_id(), listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |grant| grant.id.to_string(), Into::into)))
}

/// Ends what a program was let in for.
///
/// It is out on every host within a second.
#[cfg_attr(test, utoipa::path(
    delete, path = "/oauth/grants/{id}", tag = "Programs that sign in", operation_id = "endGrant",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It is out."),
    ),
))]
pub(crate) async fn end<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    session: Session,
    PathId(id): PathId,
) -> Result<StatusCode> {
    if !oauth.store().end_grant(session.user_id(), id).await? {
        return Err(Problem::not_found().into());
    }
    record(&oauth, session.user_id(), "oauth.revoke", id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records what a person decided about a program; the detail is the host that vouches for it, or where it has people sent back to.
pub(crate) async fn record<D: Database, F: Documents>(
    oauth: &OAuth<D, F>,
    user_id: Id,
    action: &str,
    grant: Id,
    detail: Option<&str>,
) -> Result<()> {
    let subject = grant.to_string();
    let event = AuditEvent { detail, ..AuditEvent::new(user_id, action, &subject) };
    Ok(oauth.store().append_audit(&event).await?)
}
