//! `/api/admin/invitations`: links that make one account each.

use axum::{extract::State, response::Response};
use domain::{Id, Timestamp};
use http::StatusCode;
use identity::link_token::LinkToken;
use permissions::table::{InvitationsManage, MEMBER};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, invitations::Invitation};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, extract::created};

use crate::{
    authority::{check_exists, check_may_give, maker, record},
    router::Admin,
};

/// Invitations on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long an invitation can be accepted, unless said otherwise; and at most.
const DEFAULT_DAYS: i64 = 7;
const MAX_DAYS: i64 = 90;

#[derive(Serialize)]
pub(crate) struct InvitationBody {
    id: Id,
    role: String,
    created_by: Id,
    created_at: Timestamp,
    expires_at: Timestamp,
    accepted_at: Option<Timestamp>,
    accepted_by: Option<Id>,
    revoked_at: Option<Timestamp>,
}

impl From<Invitation> for InvitationBody {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: invitation.id,
            role: invitation.role,
            created_by: invitation.created_by,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            accepted_at: invitation.accepted_at,
            accepted_by: invitation.accepted_by,
            revoked_at: invitation.revoked_at,
        }
    }
}

/// `GET /api/admin/invitations`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<InvitationsManage>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<InvitationBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().invitations(listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |invitation| invitation.id.to_string(), Into::into)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    role: Option<String>,
    expires_in_days: Option<i64>,
}

#[derive(Serialize)]
struct NewBody {
    #[serde(flatten)]
    invitation: InvitationBody,
    /// The page's address below the installation's, shown only now. The secret is in the fragment, which browsers send to nobody.
    path: String,
}

/// `POST /api/admin/invitations`.
pub(crate) async fn create<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<InvitationsManage>,
    Json(new): Json<New>,
) -> Result<Response> {
    let role = new.role.as_deref().unwrap_or(MEMBER);
    let days = new.expires_in_days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(Problem::invalid_field("expires_in_days", "Use a number from 1 to 90.").into());
    }
    let roles = admin.roles().await?;
    check_exists(&roles, "role", role)?;
    check_may_give(&session, &roles, [role])?;
    let token = LinkToken::new()?;
    let made = admin.store().create_invitation(&token.hash(), role, maker(&session), days * DAY_MS).await?;
    let invitation: InvitationBody = made.ok_or_else(Problem::unauthenticated)?.into();
    record(&admin, &session, "invitation.create", invitation.id, Some(role)).await?;
    Ok(created(NewBody { invitation, path: format!("/invitation#{token}") }))
}

/// `DELETE /api/admin/invitations/{id}`.
pub(crate) async fn revoke<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<InvitationsManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    let invitation = admin.store().invitation(id).await?.ok_or_else(Problem::not_found)?;
    check_may_give(&session, &admin.roles().await?, [invitation.role.as_str()])?;
    if !admin.store().revoke_invitation(id).await? {
        return Err(Problem::not_found().into());
    }
    record(&admin, &session, "invitation.revoke", id, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
