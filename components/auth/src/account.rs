//! What people change about their own account: the name and the password, also by a link.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Method, StatusCode};
use identity::{
    link_token::LinkToken,
    password,
    signup::{self, InvalidField},
};
use problem::Problem;
use serde::Deserialize;
use storage::Database;
use web::{Json, Result, Session};

use crate::{
    record::record,
    routes::{Auth, UserBody, begin_session, mark_browser, signed_out, user_body},
    second_factor::{Proof, is_missing, needed_by_now, proven},
};

/// A name to be called by.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewName, example = json!({"name": "Ada"})))]
pub(crate) struct NewName {
    #[cfg_attr(test, schema(max_length = 100))]
    name: String,
}

/// Changes one's own name.
#[cfg_attr(test, utoipa::path(
    patch, path = "/auth/me", tag = "Account", operation_id = "renameOwnAccount",
    request_body = NewName,
    responses(
        (status = 200, description = "The account.", body = UserBody),
    ),
))]
pub(crate) async fn rename<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    Json(NewName { name }): Json<NewName>,
) -> Result<Json<UserBody>> {
    auth.store().rename_user(session.user_id(), signup::name(&name)?).await?;
    let user = auth.store().user(session.user_id()).await?.ok_or_else(Problem::unauthenticated)?;
    Ok(Json(user_body(user, &auth.app.roles().await?)))
}

/// The password before, and a new one.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewPassword, example = json!({"password": "correct horse battery", "new_password": "another horse battery"})))]
pub(crate) struct NewPassword {
    /// The one before.
    password: String,
    /// 8 characters to 512 bytes.
    #[cfg_attr(test, schema(min_length = 8))]
    new_password: String,
}

/// Changes one's own password.
///
/// Ends all sessions of the account and begins another in this browser, ends its links to providers, deletes its API keys, and uses up links that
/// would reset it. If the session before began at a provider, a log-out there ends the new one too.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/password", tag = "Account", operation_id = "changePassword",
    request_body = NewPassword,
    responses(
        (status = 200, description = "The new session, and its cookies.", body = crate::routes::SessionBody),
        (status = 401, description = "`second_factor_setup_required`: a role needs a second factor by now. `invalid_credentials`: the account was changed in the same moment."),
        (status = 409, description = "`changed_meanwhile`: the account was changed in the same moment."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn change_password<D: Database>(
    State(auth): State<Auth<D>>,
    session: Session,
    headers: HeaderMap,
    Json(NewPassword { password, new_password }): Json<NewPassword>,
) -> Result<Response> {
    let user = proven(&auth, &session, &headers, Proof::by_password(password)).await?;
    let at_provider = match session.session_id() {
        Some(id) => auth.store().provider_session_of(id).await?,
        None => None,
    };
    // Otherwise the password alone would begin one session after the other.
    if at_provider.is_none() && is_missing(&auth, &user) {
        return Err(needed_by_now().into());
    }
    password::check(&new_password, &user.email).map_err(|wrong| InvalidField { field: "new_password", ..wrong })?;
    if !auth.store().change_password(&user, &password::hash(&new_password)?).await? {
        return Err(Problem::conflict("changed_meanwhile", "Your account has changed meanwhile. Try again.").into());
    }
    record(&auth, &user, "password.change", "ok").await?;
    let (user, hash) = auth.store().user_with_password(user.id).await?.ok_or_else(Problem::unauthenticated)?;
    begin_session(&auth, &headers, (user, hash.as_deref()), at_provider.as_ref(), StatusCode::OK, None).await
}

/// A new password, and what allows it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PasswordReset, example = json!({"token": "...", "password": "correct horse battery"})))]
pub(crate) struct ResetPassword {
    /// What follows the `#` of the link.
    token: String,
    /// 8 characters to 512 bytes.
    #[cfg_attr(test, schema(min_length = 8))]
    password: String,
}

/// Sets a new password with a link that an administrator handed over.
///
/// Once. Ends all sessions of the account, deletes its API keys, ends its links to providers if it had a password, and clears the cookies.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/password-reset", tag = "Signing in", operation_id = "resetPassword",
    request_body = ResetPassword,
    responses(
        (status = 204, description = "The password is set."),
        (status = 403, description = "`link_invalid`: the link has expired or has been used. `cross_origin`."),
    ),
))]
pub(crate) async fn reset_password<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<ResetPassword>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let void = || {
        let detail = "This link has expired or has been used. Ask an administrator for another.";
        Problem::new(StatusCode::FORBIDDEN, "link_invalid", detail)
    };
    let hash = LinkToken::parse(&body.token).ok_or_else(void)?.hash();
    let email = auth.store().password_reset(&hash).await?.ok_or_else(void)?;
    password::check(&body.password, &email)?;
    let password_hash = password::hash(&body.password)?;
    if !auth.store().reset_password(&hash, &password_hash).await? {
        return Err(void().into());
    }
    if let Some((user, _)) = auth.store().user_by_email(&email, &email).await? {
        record(&auth, &user, "password.reset", "ok").await?;
    }
    let mut response = signed_out(&auth, &headers);
    // Strangers who try passwords must not keep out whoever has just been given a new one.
    mark_browser(&auth, &headers, &auth.issuer().await?.0, (&email, &password_hash), &mut response)?;
    Ok(response)
}
