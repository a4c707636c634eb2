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
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Search {
    /// A part of an address or a name.
    #[cfg_attr(test, param(max_length = 254))]
    #[serde(default)]
    q: String,
}

/// An account, for administrators.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Account, example = json!({"id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "email": "ada@example.com", "name": "Ada", "role": "member", "group_roles": [], "suspended": false, "second_factor": true, "created_at": "2026-01-01T12:00:00.000Z"})))]
pub(crate) struct UserBody {
    id: Id,
    email: String,
    /// What the person wants to be called; may be empty.
    name: String,
    /// The name of its own role.
    role: String,
    /// The roles that its groups give. Empty among the members of a group.
    group_roles: Vec<String>,
    /// It may not be used.
    suspended: bool,
    /// Logging in needs a code besides the password.
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

/// Lists all accounts.
///
/// The newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/users", tag = "People", operation_id = "listAccounts",
    params(Search, Listing),
    responses(
        (status = 200, description = "A page of accounts.", body = Page<UserBody>),
    ),
))]
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

/// Reads an account.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/users/{id}", tag = "People", operation_id = "getAccount",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "The account.", body = UserBody),
    ),
))]
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

/// What is to be different about an account. What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AccountChange, example = json!({"role": "member"})))]
pub(crate) struct Change {
    /// The name of a role.
    role: Option<String>,
    /// Ends the account's sessions, tokens and runs.
    suspended: Option<bool>,
}

/// Changes the role of an account, suspends it, or resumes it.
#[cfg_attr(test, utoipa::path(
    patch, path = "/api/admin/users/{id}", tag = "People", operation_id = "updateAccount",
    params(("id" = Id, Path)),
    request_body = Change,
    responses(
        (status = 200, description = "The account, as it is now.", body = UserBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`own_account`: nobody changes their own role or suspends themselves. `last_administrator`: nobody could look after the installation. `changed_meanwhile`: somebody else has changed it in the same moment."),
    ),
))]
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

/// A link that sets a new password, once, within a day.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PasswordResetLink, example = json!({"path": "/password-reset#...", "expires_at": "2026-01-08T12:00:00.000Z"})))]
struct LinkBody {
    /// The page's address below the installation's. The secret is in the fragment, which browsers send to nobody.
    path: String,
    expires_at: Timestamp,
}

/// Makes a link that sets a new password.
///
/// Once, within a day. It is void when the account's roles or second factor change before. Hand it over yourself.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/admin/users/{id}/reset-link", tag = "People", operation_id = "createPasswordResetLink",
    params(("id" = Id, Path)),
    responses(
        (status = 201, description = "The link. It is shown only now.", body = LinkBody),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`no_password`: it is a service account. `changed_meanwhile`: somebody else has changed it in the same moment."),
    ),
))]
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

/// Takes the second factor of an account away.
///
/// For whoever has lost the app and the recovery codes. Ends the account's sessions and deletes its API keys.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/admin/users/{id}/second-factor", tag = "People", operation_id = "removeSecondFactorOf",
    params(("id" = Id, Path)),
    responses(
        (status = 204, description = "It has none any more."),
        (status = 403, description = "`beyond_own_role`."),
        (status = 409, description = "`own_account`: one's own is removed in the settings of the account."),
    ),
))]
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
