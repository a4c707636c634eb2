//! `/api/admin/service-accounts`: accounts for programs, and their keys. They have no password, and nobody logs in to them. A role is given and an
//! account suspended as for people (`users.rs`).

use axum::{extract::State, response::Response};
use domain::{Id, Timestamp};
use http::StatusCode;
use permissions::{
    Scopes,
    table::{SERVICE, ServiceAccountsManage},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, api_keys::ServiceAccount};
use web::{
    Allowed, Json, Listing, Page, PathId, Query, Result, Session,
    api_keys::{self, ApiKeyBody, NewKey},
    extract::{PathIds, created},
};

use crate::{
    authority::{check_exists, check_may_give, maker, record},
    router::Admin,
};

/// Accounts on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// A name is the first part of an address.
const MAX_NAME_BYTES: usize = 40;
/// The host of their addresses, at which nobody can be (RFC 2606, section 2).
const HOST: &str = "service.invalid";

#[derive(Serialize)]
pub(crate) struct ServiceAccountBody {
    id: Id,
    name: String,
    role: String,
    suspended: bool,
    created_at: Timestamp,
}

impl From<ServiceAccount> for ServiceAccountBody {
    fn from(ServiceAccount { id, name, role, is_suspended, created_at }: ServiceAccount) -> Self {
        Self { id, name, role, suspended: is_suspended, created_at }
    }
}

/// `GET /api/admin/service-accounts`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<ServiceAccountsManage>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<ServiceAccountBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().service_accounts(listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |account| account.id.to_string(), Into::into)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    name: String,
    role: Option<String>,
}

/// `POST /api/admin/service-accounts`.
pub(crate) async fn create<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<ServiceAccountsManage>,
    Json(new): Json<New>,
) -> Result<Response> {
    if !is_name(&new.name) {
        let detail = "A name has 1 to 40 small letters, digits and hyphens, and begins with a letter.";
        return Err(Problem::invalid_field("name", detail).into());
    }
    let role = new.role.as_deref().unwrap_or(SERVICE);
    let roles = admin.roles().await?;
    check_exists(&roles, "role", role)?;
    check_may_give(&session, &roles, [role])?;
    let email = format!("{}@{HOST}", new.name);
    let made = admin.store().create_service_account(&new.name, &email, role, maker(&session)).await?;
    let Some(made) = made else {
        return Err(if admin.store().user_by_email(&email, "").await?.is_some() {
            Problem::conflict("name_taken", "There is a service account of this name already. Use another name.").into()
        } else {
            // The caller's access has changed.
            Problem::unauthenticated().into()
        });
    };
    let account = ServiceAccountBody::from(made);
    record(&admin, &session, "service_account.create", account.id, Some(role)).await?;
    Ok(created(account))
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `GET /api/admin/service-accounts/{id}/api-keys`.
pub(crate) async fn keys<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<ServiceAccountsManage>,
    PathId(id): PathId,
) -> Result<Json<Page<ApiKeyBody>>> {
    account(&admin, id).await?;
    Ok(Json(api_keys::list(admin.store(), id).await?))
}

/// `POST /api/admin/service-accounts/{id}/api-keys`. Unless scopes are chosen, the account's role alone says what a key may do.
pub(crate) async fn create_key<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<ServiceAccountsManage>,
    PathId(id): PathId,
    Json(new): Json<NewKey>,
) -> Result<Response> {
    check_account(&admin, &session, id).await?;
    api_keys::make(admin.store(), id, maker(&session), &new, Scopes::everything()).await
}

/// `DELETE /api/admin/service-accounts/{id}/api-keys/{key_id}`.
pub(crate) async fn revoke_key<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<ServiceAccountsManage>,
    PathIds(id, key_id): PathIds,
) -> Result<StatusCode> {
    check_account(&admin, &session, id).await?;
    api_keys::revoke(admin.store(), id, session.user_id(), key_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Nobody makes or revokes keys of an account that may do more than they.
async fn check_account<D: Database>(admin: &Admin<D>, session: &Session, id: Id) -> Result<()> {
    let account = account(admin, id).await?;
    let user = admin.store().user(account.id).await?.ok_or_else(Problem::not_found)?;
    check_may_give(session, &admin.roles().await?, user.roles())
}

/// A person's keys are nobody else's.
async fn account<D: Database>(admin: &Admin<D>, id: Id) -> Result<ServiceAccount> {
    Ok(admin.store().service_account(id).await?.ok_or_else(Problem::not_found)?)
}
