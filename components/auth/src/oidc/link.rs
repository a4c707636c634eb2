//! Linking an account to somebody at a provider, after its password was entered once.

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
use crate::routes::{Auth, suspended, user_body, wrong_credentials};

/// The cookie with the secret of what waits for the password.
pub(super) const COOKIE: &str = "ea_link";

/// Time to remember a password.
pub(super) const LIFETIME_S: i64 = 15 * 60;

#[derive(Deserialize)]
pub(super) struct Link {
    password: String,
}

/// Links the account and begins its session.
pub(super) async fn link<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(body): Json<Link>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let secret =
        web::session::cookie(&headers, COOKIE).and_then(|cookie| LinkToken::parse(&cookie)).ok_or_else(over)?;
    let waiting = auth.store().try_identity_link(&secret.hash()).await?.ok_or_else(over)?;
    if !password::verify(&body.password, waiting.password_hash.as_deref()) {
        return Err(wrong_credentials().into());
    }
    if waiting.user.is_suspended {
        return Err(suspended(StatusCode::FORBIDDEN).into());
    }
    let user = auth.store().confirm_identity_link(&secret.hash(), &waiting.user).await?.ok_or_else(over)?;
    let mut response = Json::<_>(user_body(user.clone(), &auth.app.roles().await?)).into_response();
    begin_session(&auth, &headers, &user, &waiting.session, &mut response).await.map_err(|failure| match failure {
        Failure::Ours(error) => error,
        Failure::Told(_) | Failure::Provider(_) => over().into(),
    })?;
    clear_cookie(&auth, &headers, &mut response, COOKIE);
    Ok(response)
}

fn over() -> Problem {
    let detail = "This took too long, or too many passwords were wrong. Sign in with your organisation again.";
    Problem::new(StatusCode::FORBIDDEN, "link_invalid", detail)
}
