//! `/api/admin/erasures` and `/api/admin/users/{id}/erasure`: administrators have people erased, take that back, and read the receipts.

use axum::extract::State;
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::table::UsersErase;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    erasures::{Erasure, ErasureRequested},
};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result};

use crate::{router::Admin, users::check_may_change};

/// Erasures on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;

#[derive(Serialize)]
pub(crate) struct ErasureBody {
    user_id: Id,
    /// As long as the account is there.
    email: Option<String>,
    requested_by: Id,
    requested_at: Timestamp,
    erase_at: Timestamp,
    erased_at: Option<Timestamp>,
    /// A JWT that the keys of `/api/account/receipt-keys` verify, once it is done.
    receipt: Option<String>,
}

impl From<Erasure> for ErasureBody {
    fn from(erasure: Erasure) -> Self {
        let Erasure { user_id, email, requested_by, requested_at, due_at, erased_at, receipt } = erasure;
        Self { user_id, email, requested_by, requested_at, erase_at: due_at, erased_at, receipt }
    }
}

#[derive(Deserialize)]
pub(crate) struct Which {
    /// Only those that are not done.
    #[serde(default)]
    pending: bool,
}

/// `GET /api/admin/erasures`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<UsersErase>,
    Query(listing): Query<Listing>,
    Query(Which { pending }): Query<Which>,
) -> Result<Json<Page<ErasureBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().erasures(pending, listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |erasure| erasure.user_id.to_string(), Into::into)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// Without the days in which it can be taken back.
    #[serde(default)]
    at_once: bool,
}

/// `POST /api/admin/users/{id}/erasure`.
pub(crate) async fn request<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<UsersErase>,
    PathId(id): PathId,
    Json(Ask { at_once }): Json<Ask>,
) -> Result<(StatusCode, Json<ErasureBody>)> {
    if id == session.user_id() {
        let detail = "Erase your own account under \"Your account\": it needs your password or a code.";
        return Err(Problem::conflict("own_account", detail).into());
    }
    let user = admin.store().user(id).await?.ok_or_else(Problem::not_found)?;
    check_may_change(&admin, &session, &user).await?;
    let grace_ms = if at_once { 0 } else { admin.config.erasure_grace_ms };
    match admin.store().request_erasure(&user, session.user_id(), grace_ms, None).await? {
        ErasureRequested::Due(_) => {}
        ErasureRequested::Stale => {
            let detail = "Somebody else has changed this account meanwhile. Look at it again.";
            return Err(Problem::conflict("changed_meanwhile", detail).into());
        }
        ErasureRequested::LastAdministrator => {
            let detail = "This is the last administrator. Make somebody else one first.";
            return Err(Problem::conflict("last_administrator", detail).into());
        }
    }
    let erasure = admin.store().erasure(id).await?.ok_or_else(Problem::not_found)?;
    Ok((StatusCode::ACCEPTED, Json(erasure.into())))
}

/// `DELETE /api/admin/users/{id}/erasure`: takes it back.
pub(crate) async fn take_back<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<UsersErase>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    if let Some(user) = admin.store().user(id).await? {
        check_may_change(&admin, &session, &user).await?;
    }
    if admin.store().take_back_erasure(id, session.user_id()).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    if admin.store().erasure(id).await?.is_none() {
        return Err(Problem::not_found().into());
    }
    let detail = "The erasure has begun, and what is erased cannot be brought back.";
    Err(Problem::conflict("erasure_begun", detail).into())
}
