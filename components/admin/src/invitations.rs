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

/// A link that makes one account.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Invitation, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "role": "member", "created_by": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "created_at": "2026-01-01T12:00:00.000Z", "expires_at": "2026-01-08T12:00:00.000Z", "accepted_at": null, "accepted_by": null, "revoked_at": null})))]
pub(crate) struct InvitationBody {
    id: Id,
    /// The role of the account.
    role: String,
    /// Whose invitation it is.
    created_by: Id,
    created_at: Timestamp,
    expires_at: Timestamp,
    accepted_at: Option<Timestamp>,
    /// The account that it made.
    accepted_by: Option<Id>,
    /// When it was withdrawn.
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

/// Lists invitations.
///
/// The newest first, without their secrets.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/invitations", tag = "Invitations", operation_id = "listInvitations",
    params(Listing),
    responses(
        (status = 200, description = "A page of invitations.", body = Page<InvitationBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<InvitationsManage>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<InvitationBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().invitations(listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |invitation| invitation.id.to_string(), Into::into)))
}

/// An invitation to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewInvitation, example = json!({"role": "member", "expires_in_days": 7})))]
pub(crate) struct New {
    /// The role of the account: `member`, unless said otherwise.
    role: Option<String>,
    /// How long it counts: seven days, unless said otherwise.
    #[cfg_attr(test, schema(minimum = 1, maximum = 90))]
    expires_in_days: Option<i64>,
}

/// An invitation that was just made.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = MadeInvitation))]
struct NewBody {
    #[serde(flatten)]
    invitation: InvitationBody,
    /// The page's address below the installation's, shown only now. The secret is in the fragment, which browsers send to nobody.
    path: String,
}

/// Invites somebody.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/invitations", tag = "Invitations", operation_id = "createInvitation",
    request_body = New,
    responses(
        (status = 201, description = "The invitation with its link. It is shown only now.", body = NewBody),
        (status = 403, description = "`beyond_own_role`."),
    ),
))]
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

/// Withdraws an invitation.
///
/// 404 when it has been accepted.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/invitations/{id}", tag = "Invitations", operation_id = "revokeInvitation",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It makes no account any more."),
        (status = 403, description = "`beyond_own_role`."),
    ),
))]
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
