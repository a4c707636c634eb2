//! Linking an account to somebody at a provider, after what its log-in needs was entered once: the password, and a code if it has a second factor.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode};
use identity::{link_token::LinkToken, password};
use problem::Problem;
use serde::Deserialize;
use storage::Database;
use web::{Json, Result};

use super::{Failure, begin_session, clear_cookie};
use crate::{
    erasure,
    limits::{self, Attempt},
    record::record,
    routes::{Auth, suspended, user_body, wrong_credentials},
    second_factor,
};

/// The cookie with the secret of what waits for the password.
pub(super) const COOKIE: &str = "ea_link";

/// Time to remember a password.
pub(super) const LIFETIME_S: i64 = 15 * 60;

/// What a log-in to the account needs.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = IdentityLink, example = json!({"password": "correct horse battery"})))]
pub(crate) struct Link {
    password: String,
    /// Of the second factor, if the account has one.
    code: Option<String>,
}

/// Links an account that has a password to somebody at a provider.
///
/// With the cookie `ea_link`, which coming back from the provider has set.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/oidc/link", tag = "Providers to sign in with", operation_id = "linkIdentity",
    request_body = Link,
    responses(
        (status = 200, description = "The account, and the cookies of a session.", body = crate::routes::UserBody),
        (status = 401, description = "`invalid_credentials`: the password is wrong. `second_factor_required`: send a code. `invalid_code`: the code does not count."),
        (status = 403, description = "`link_invalid`: it took too long, or the account has changed. `account_suspended`: the account is suspended. `erasure_pending`: the account is going to be erased. `cross_origin`."),
        (status = 409, description = "`second_factor_unreadable`: the key that it was encrypted with is missing; use the password."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn link<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<Link>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let secret =
        web::session::cookie(&headers, COOKIE).and_then(|cookie| LinkToken::parse(&cookie)).ok_or_else(over)?;
    let waiting = auth.store().identity_link(&secret.hash()).await?.ok_or_else(over)?;
    // What is tried here counts as at the log-in: a link is no other way to guess.
    let (email, hash) = (limits::spelling(&waiting.user.email), waiting.password_hash.as_deref());
    let attempt = Attempt::with_password(&auth, &headers, &email, hash).await?;
    if !password::verify(&body.password, hash) {
        return Err(wrong_credentials().into());
    }
    attempt.succeeded(&auth).await;
    if waiting.user.is_suspended {
        let pending = erasure::pending(&auth, &waiting.user).await?;
        return Err(pending.unwrap_or_else(|| suspended(StatusCode::FORBIDDEN)).into());
    }
    // Whose role needs a second factor, and who has none, may go on: from now on they log in at the provider.
    if waiting.user.has_second_factor {
        let Some(code) = body.code else { return Err(second_factor::code_required().into()) };
        if !second_factor::counts(&auth, &headers, (&waiting.user, hash), &code).await? {
            return Err(second_factor::wrong_code().into());
        }
    }
    let user = auth.store().confirm_identity_link(&secret.hash(), &waiting.user).await?.ok_or_else(over)?;
    record(&auth, &user, "provider.link", "ok").await?;
    let mut cookies = HeaderMap::new();
    let begun = begin_session(&auth, &headers, &user, &waiting.session, &mut cookies).await;
    let user = begun.map_err(|failure| match failure {
        Failure::Ours(error) => error,
        Failure::Told(_) | Failure::Provider(_) => over().into(),
    })?;
    let mut response = Json::<_>(user_body(user, &auth.app.roles().await?)).into_response();
    response.headers_mut().extend(cookies);
    clear_cookie(&auth, &headers, &mut response, COOKIE);
    Ok(response)
}

fn over() -> Problem {
    let detail = "This took too long, or your account has changed meanwhile. Sign in with your organisation again.";
    Problem::new(StatusCode::FORBIDDEN, "link_invalid", detail)
}
