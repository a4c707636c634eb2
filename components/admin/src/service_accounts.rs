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

/// The account of a program. It has no password, and nobody logs in to it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceAccount, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "name": "nightly-report", "role": "service", "suspended": false, "created_at": "2026-01-01T12:00:00.000Z"})))]
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

/// Lists the accounts of programs.
///
/// Their role and suspension are changed like those of people.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/service-accounts", tag = "Service accounts", operation_id = "listServiceAccounts",
    params(Listing),
    responses(
        (status = 200, description = "A page of accounts.", body = Page<ServiceAccountBody>),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<ServiceAccountsManage>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<ServiceAccountBody>>> {
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().service_accounts(listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |account| account.id.to_string(), Into::into)))
}

/// An account to be made for a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewServiceAccount, example = json!({"name": "nightly-report"})))]
pub(crate) struct New {
    /// 1 to 40 small letters, digits and hyphens, with a letter first.
    #[cfg_attr(test, schema(min_length = 1, max_length = 40, pattern = "^[a-z][a-z0-9-]*$"))]
    name: String,
    /// `service`, unless said otherwise.
    role: Option<String>,
}

/// Makes an account for a program.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/service-accounts", tag = "Service accounts", operation_id = "createServiceAccount",
    request_body = New,
    responses(
        (status = 201, description = "The account.", body = ServiceAccountBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`name_taken`: there is one of this name."),
    ),
))]
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

/// Lists the API keys of a service account.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/service-accounts/{id}/api-keys", tag = "Service accounts", operation_id = "listServiceAccountKeys",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "All keys.", body = Page<ApiKeyBody>),
    ),
))]
pub(crate) async fn keys<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<ServiceAccountsManage>,
    PathId(id): PathId,
) -> Result<Json<Page<ApiKeyBody>>> {
    account(&admin, id).await?;
    Ok(Json(api_keys::list(admin.store(), id).await?))
}

/// Makes an API key for a service account.
///
/// Unless scopes are chosen, the account's role alone says what the key may do.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/service-accounts/{id}/api-keys", tag = "Service accounts", operation_id = "createServiceAccountKey",
    params(("id" = Id, Path)),
    request_body = NewKey,
    responses(
        (status = 201, description = "The key. It is shown only now.", body = api_keys::MadeBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`too_many_keys`: there are 50 already."),
    ),
))]
pub(crate) async fn create_key<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<ServiceAccountsManage>,
    PathId(id): PathId,
    Json(new): Json<NewKey>,
) -> Result<Response> {
    check_account(&admin, &session, id).await?;
    api_keys::make(admin.store(), id, maker(&session), &new, Scopes::everything()).await
}

/// Revokes an API key of a service account.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/service-accounts/{id}/api-keys/{key_id}", tag = "Service accounts", operation_id = "revokeServiceAccountKey",
    params(("id" = Id, Path), ("key_id" = Id, Path)),
    responses(
        (status = 204, description = "It opens nothing any more."),
        (status = 403, description = "`beyond_own_role`."),
    ),
))]
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
