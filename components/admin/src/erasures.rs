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

/// An account that is to be erased, or was.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Erasure, example = json!({"user_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "email": "ada@example.com", "requested_by": "0199a0c2-8e4f-7d5c-8a3b-6c7d8e9f0a11", "requested_at": "2026-01-01T12:00:00.000Z", "erase_at": "2026-01-08T12:00:00.000Z", "erased_at": null, "receipt": null})))]
pub(crate) struct ErasureBody {
    user_id: Id,
    /// As long as the account is there.
    email: Option<String>,
    requested_by: Id,
    requested_at: Timestamp,
    /// When it begins.
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
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Which {
    /// Only those that are not done.
    #[serde(default)]
    pending: bool,
}

/// Lists the accounts that are to be erased, or were.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/erasures", tag = "Erasures", operation_id = "listErasures",
    params(Which, Listing),
    responses(
        (status = 200, description = "A page of erasures.", body = Page<ErasureBody>),
    ),
))]
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

/// How an account is to be erased.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ErasureRequest, example = json!({"at_once": false})))]
pub(crate) struct Ask {
    /// Without the days in which it can be taken back.
    #[serde(default)]
    at_once: bool,
}

/// Has an account erased.
///
/// It is closed at once, and erased after the days of grace or at once.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/users/{id}/erasure", tag = "Erasures", operation_id = "eraseAccount",
    params(("id" = Id, Path)),
    request_body = Ask,
    responses(
        (status = 202, description = "The erasure.", body = ErasureBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`own_account`: one's own is erased in the settings of the account. `last_administrator`: nobody could look after the installation. `changed_meanwhile`: somebody else has changed it in the same moment."),
    ),
))]
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

/// Takes an erasure back.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/users/{id}/erasure", tag = "Erasures", operation_id = "keepAccount",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "The account is kept."),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`erasure_begun`: what is erased cannot be brought back."),
    ),
))]
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
