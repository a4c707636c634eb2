//! `/api/admin/users`: all accounts, their roles, their suspension, links that reset a password, and the end of a second factor.

use axum::{extract::State, response::Response};
use domain::{Id, Timestamp, User};
use http::StatusCode;
use identity::link_token::LinkToken;
use permissions::{
    Roles,
    table::{UsersManage, UsersRead},
};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Database,
    accounts::{AccountChange, AccountChanged},
};
use web::{Allowed, Json, Listing, Page, PathId, Query, Result, Session, extract::created};

use crate::{
    authority::{check_exists, check_may_give, maker, record},
    router::Admin,
};

/// Accounts on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
/// Longer than any address.
const MAX_SEARCH_CHARS: usize = 254;
/// A link is handed over and used the same day, or made again.
const RESET_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Serialize)]
pub(crate) struct UserBody {
    id: Id,
    email: String,
    name: String,
    role: String,
    group_roles: Vec<String>,
    suspended: bool,
    second_factor: bool,
    created_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            group_roles: user.group_roles,
            suspended: user.is_suspended,
            second_factor: user.has_second_factor,
            created_at: user.created_at,
        }
    }
}

/// `GET /api/admin/users`.
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<UsersRead>,
    Query(Search { q }): Query<Search>,
    Query(listing): Query<Listing>,
) -> Result<Json<Page<UserBody>>> {
    if q.chars().count() > MAX_SEARCH_CHARS {
        return Err(Problem::invalid_field("q", "Use at most 254 characters.").into());
    }
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let found = admin.store().users(q.trim(), listing.before()?, limit + 1).await?;
    Ok(Json(Page::new(found, limit, |user| user.id.to_string(), Into::into)))
}

/// `GET /api/admin/users/{id}`.
pub(crate) async fn read<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<UsersRead>,
    PathId(id): PathId,
) -> Result<Json<UserBody>> {
    Ok(Json(admin.store().user(id).await?.ok_or_else(Problem::not_found)?.into()))
}

/// Refuses to change an account that may do more than the caller, now or once its person signs in at a provider. Returns all roles.
pub(crate) async fn check_may_change<D: Database>(admin: &Admin<D>, session: &Session, user: &User) -> Result<Roles> {
    let roles = admin.roles().await?;
    let at_providers = admin.store().identity_roles(user.id).await?;
    check_may_give(session, &roles, user.roles().chain(at_providers.iter().map(String::as_str)))?;
    Ok(roles)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    role: Option<String>,
    suspended: Option<bool>,
}

/// `PATCH /api/admin/users/{id}`.
pub(crate) async fn update<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<UsersManage>,
    PathId(id): PathId,
    Json(change): Json<Change>,
) -> Result<Json<UserBody>> {
    let Change { role, suspended } = change;
    if id == session.user_id() {
        let detail = "You cannot change your own role or suspend yourself. Ask another administrator.";
        return Err(Problem::conflict("own_account", detail).into());
    }
    let user = admin.store().user(id).await?.ok_or_else(Problem::not_found)?;
    let roles = check_may_change(&admin, &session, &user).await?;
    if let Some(role) = &role {
        check_exists(&roles, "role", role)?;
        check_may_give(&session, &roles, [role.as_str()])?;
    }
    if role.is_none() && suspended.is_none() {
        return Ok(Json(user.into()));
    }
    let change = AccountChange { role: role.as_deref(), is_suspended: suspended };
    let user = match admin.store().change_account(&user, change).await? {
        AccountChanged::Changed(user) => user,
        AccountChanged::Stale => return Err(stale().into()),
        AccountChanged::LastAdministrator => {
            let detail = "This is the last administrator. Make somebody else one first.";
            return Err(Problem::conflict("last_administrator", detail).into());
        }
    };
    if let Some(role) = &role {
        record(&admin, &session, "user.role", id, Some(role)).await?;
    }
    if let Some(suspended) = suspended {
        record(&admin, &session, if suspended { "user.suspend" } else { "user.resume" }, id, None).await?;
    }
    Ok(Json(user.into()))
}

fn stale() -> Problem {
    Problem::conflict("changed_meanwhile", "Somebody else has changed this account meanwhile. Look at it again.")
}

#[derive(Serialize)]
struct LinkBody {
    /// The page's address below the installation's. The secret is in the fragment, which browsers send to nobody.
    path: String,
    expires_at: Timestamp,
}

/// `POST /api/admin/users/{id}/reset-link`.
pub(crate) async fn make_reset_link<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<UsersManage>,
    PathId(id): PathId,
) -> Result<Response> {
    let user = admin.store().user(id).await?.ok_or_else(Problem::not_found)?;
    check_may_change(&admin, &session, &user).await?;
    let token = LinkToken::new()?;
    let made = admin.store().create_password_reset(&token.hash(), &user, maker(&session), RESET_LIFETIME_MS).await?;
    let Some(expires_at) = made else {
        return Err(if admin.store().service_account(id).await?.is_some() {
            let detail = "This account has no password to reset: it is a program's. Make it an API key instead.";
            Problem::conflict("no_password", detail).into()
        } else if admin.store().user(id).await?.is_none_or(|now| now.access_version != user.access_version) {
            stale().into()
        } else {
            // The caller's access has changed.
            Problem::unauthenticated().into()
        });
    };
    record(&admin, &session, "user.reset_link", id, None).await?;
    Ok(created(LinkBody { path: format!("/password-reset#{token}"), expires_at }))
}

/// `DELETE /api/admin/users/{id}/second-factor`: for whoever has lost the app and the recovery codes. Ends the account's sessions.
pub(crate) async fn remove_second_factor<D: Database>(
    State(admin): State<Admin<D>>,
    session: Allowed<UsersManage>,
    PathId(id): PathId,
) -> Result<StatusCode> {
    if id == session.user_id() {
        let detail = "Remove your own second factor in the settings of your account: it needs your password or a code.";
        return Err(Problem::conflict("own_account", detail).into());
    }
    let user = admin.store().user(id).await?.ok_or_else(Problem::not_found)?;
    check_may_change(&admin, &session, &user).await?;
    if admin.store().remove_second_factor(id, true).await? {
        record(&admin, &session, "user.remove_second_factor", id, None).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
