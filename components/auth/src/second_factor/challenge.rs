//! The second step of a log-in: what whoever has a challenge does with it. A challenge opens nothing but these routes, for as long as nothing changes about
//! the account.

use axum::{extract::State, response::Response};
use domain::User;
use http::{HeaderMap, Method, StatusCode};
use identity::Purpose;
use problem::Problem;
use serde::Deserialize;
use storage::Database;
use web::{Json, Result};

use super::{Confirmation, SetupBody, begin_setup, counts, finish_setup, wrong_code};
use crate::routes::{Auth, log_in_session};

/// A challenge alone.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Challenged, example = json!({"challenge": "..."})))]
pub(crate) struct Challenged {
    /// Of the problem that the log-in answered with.
    challenge: String,
}

/// A challenge, and a code.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CodeAnswer, example = json!({"challenge": "...", "code": "123456"})))]
pub(crate) struct CodeAnswer {
    /// Of the problem that the log-in answered with.
    challenge: String,
    /// Six digits of the app, or a recovery code.
    code: String,
}

/// A challenge, and the first code of a second factor.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = SetupAnswer, example = json!({"challenge": "...", "setup": "...", "code": "123456"})))]
pub(crate) struct SetupAnswer {
    /// Of the problem that the log-in answered with.
    challenge: String,
    #[serde(flatten)]
    confirmation: Confirmation,
}

/// Whose challenge this is, and the hash of their password, if nothing has changed about the account since it was made.
async fn challenged<D: Database>(auth: &Auth<D>, challenge: &str) -> Result<(User, Option<String>)> {
    let expired = || {
        let detail = "The log-in took too long, or the account has changed meanwhile. Enter your password again.";
        Problem::new(StatusCode::UNAUTHORIZED, "challenge_expired", detail)
    };
    let caller = match auth.app.signed_caller(challenge, Purpose::SecondFactor).await {
        Err(error) if error.status() == StatusCode::UNAUTHORIZED => return Err(expired().into()),
        caller => caller?,
    };
    // Exactly: what the instance knows about changes may be half a second old.
    let found = auth.store().user_with_password(caller.user_id).await?;
    let same =
        |(user, _): &(User, Option<String>)| Some(user.access_version) == caller.access_version && !user.is_suspended;
    Ok(found.filter(same).ok_or_else(expired)?)
}

/// Logs in with a code, after the password.
///
/// Until it expires, a challenge can be answered again with another code.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/login/second-factor", tag = "Second factor", operation_id = "answerChallenge",
    request_body = CodeAnswer,
    responses(
        (status = 200, description = "The session, and its cookies.", body = crate::routes::SessionBody),
        (status = 401, description = "`challenge_expired`: begin with the password again. `invalid_code`: the code does not count. `invalid_credentials`: the account was changed in the same moment."),
        (status = 403, description = "`cross_origin`."),
        (status = 409, description = "`second_factor_unreadable`: the key that it was encrypted with is missing; use a recovery code."),
        (status = 429, description = "`rate_limited`."),
    ),
))]
pub(crate) async fn log_in<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(CodeAnswer { challenge, code }): Json<CodeAnswer>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let (user, hash) = challenged(&auth, &challenge).await?;
    if !counts(&auth, &headers, (&user, hash.as_deref()), &code).await? {
        return Err(wrong_code().into());
    }
    log_in_session(&auth, &headers, (user, hash.as_deref()), StatusCode::OK, None).await
}

/// Begins to set up the second factor that a log-in needs.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/login/second-factor/setup", tag = "Second factor", operation_id = "beginRequiredSecondFactor",
    request_body = Challenged,
    responses(
        (status = 200, description = "What is set up.", body = SetupBody),
        (status = 401, description = "`challenge_expired`: begin with the password again."),
        (status = 403, description = "`cross_origin`."),
        (status = 409, description = "`second_factor_exists`: there is one already."),
    ),
))]
pub(crate) async fn log_in_setup<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(Challenged { challenge }): Json<Challenged>,
) -> Result<Json<SetupBody>> {
    auth.check_origin(&method, &headers)?;
    let (user, _) = challenged(&auth, &challenge).await?;
    if user.has_second_factor {
        return Err(exists().into());
    }
    begin_setup(&auth, &user).await
}

/// Sets up the second factor that a log-in needs, and logs in.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/login/second-factor/confirm", tag = "Second factor", operation_id = "confirmRequiredSecondFactor",
    request_body = SetupAnswer,
    responses(
        (status = 201, description = "The session with the recovery codes, and its cookies.", body = crate::routes::SessionBody),
        (status = 401, description = "`challenge_expired`: begin with the password again. `invalid_credentials`: the account was changed in the same moment."),
        (status = 403, description = "`cross_origin`."),
        (status = 409, description = "`second_factor_exists`: there is one already."),
    ),
))]
pub(crate) async fn log_in_confirm<D: Database>(
    State(auth): State<Auth<D>>,
    method: Method,
    headers: HeaderMap,
    Json(SetupAnswer { challenge, confirmation }): Json<SetupAnswer>,
) -> Result<Response> {
    auth.check_origin(&method, &headers)?;
    let (user, _) = challenged(&auth, &challenge).await?;
    if user.has_second_factor {
        return Err(exists().into());
    }
    let codes = finish_setup(&auth, &user, &confirmation, None).await?.ok_or_else(exists)?;
    let (user, hash) = auth.store().user_with_password(user.id).await?.ok_or_else(Problem::unauthenticated)?;
    log_in_session(&auth, &headers, (user, hash.as_deref()), StatusCode::CREATED, Some(codes)).await
}

fn exists() -> Problem {
    let detail = "This account has a second factor already. Enter your password again, and a code of it.";
    Problem::conflict("second_factor_exists", detail)
}
