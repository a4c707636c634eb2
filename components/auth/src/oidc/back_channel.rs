//! The provider says that somebody has logged out there (Back-Channel Logout 1.0).

use std::collections::BTreeMap;

use ::oidc::{Error as ProviderError, logout};
use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use problem::Problem;
use serde::Serialize;
use storage::{Database, provider_sessions::ProviderLogout};
use web::{
    Json, Result,
    log::{Level, log},
};

use super::{Failure, providers};
use crate::{COMPONENT, routes::Auth};

/// An error as OAuth 2.0 writes it (RFC 6749, section 5.2).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LogoutRefusal))]
struct Refusal {
    error: &'static str,
    error_description: String,
}

/// What a provider sends (OpenID Connect Back-Channel Logout 1.0, section 2.5).
#[cfg(test)]
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[schema(as = ProviderLogout, example = json!({"logout_token": "..."}))]
#[expect(dead_code, reason = "it is described; the handler reads the form")]
struct LogoutForm {
    /// A JWT of the provider.
    logout_token: String,
}

/// Ends sessions because a provider says so (OpenID Connect Back-Channel Logout 1.0).
///
/// They are over on every host within a second.
#[cfg_attr(test, utoipa::path(
    post, path = "/auth/oidc/backchannel-logout", tag = "Providers to sign in with", operation_id = "logOutByProvider",
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "They are over."),
        (status = 400, description = "`invalid_request`: the token is not valid, or was used before.", body = Refusal),
    ),
))]
pub(crate) async fn log_out<D: Database>(State(auth): State<Auth<D>>, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    // Percent-encoding may triple the token, and the form has a name.
    let body = web::body::read(&head.headers, body, 4 * logout::MAX_TOKEN_BYTES).await?;
    let token = url::form_urlencoded::parse(&body).find(|(name, _)| name == "logout_token");
    let done = match token {
        Some((_, token)) => ended(&auth, &token).await,
        None => Err(ProviderError::TokenRefused("there is no logout_token".to_owned()).into()),
    };
    let mut response = match done {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Failure::Provider(error @ (ProviderError::Unavailable(_) | ProviderError::Random(_)))) => {
            return Err(Problem::unavailable(error).into());
        }
        Err(Failure::Provider(error)) => {
            let fields = BTreeMap::from([("cause", error.to_string())]);
            log(COMPONENT, Level::Warn, "a log-out token was refused", fields);
            let refusal = Refusal { error: "invalid_request", error_description: error.to_string() };
            (StatusCode::BAD_REQUEST, Json::<_>(refusal)).into_response()
        }
        Err(Failure::Ours(error)) => return Err(error),
        Err(Failure::Told(_)) => StatusCode::BAD_REQUEST.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn ended<D: Database>(auth: &Auth<D>, token: &str) -> Result<(), Failure> {
    let refused = |reason: &str| ProviderError::TokenRefused(reason.to_owned());
    let issuer = logout::issuer_of(token).ok_or_else(|| refused("it is not a JWT"))?;
    let provider = auth.sign_in.provider_of(&issuer).ok_or_else(|| refused("iss names no provider of ours"))?;
    let published = providers::published(auth, provider).await?;
    let now_s = auth.issuer().await?.1.as_millis() / 1000;
    let token = match logout::verify(provider, &published, token, now_s) {
        Err(ProviderError::UnknownKey) => {
            let renewed = providers::with_new_keys(auth, provider, published).await?;
            logout::verify(provider, &renewed, token, now_s)?
        }
        verified => verified?,
    };
    let (subject, sid) = (token.subject.as_deref(), token.sid.as_deref());
    let logout = ProviderLogout { issuer: &provider.issuer, token_id: &token.id, subject, sid };
    // For as long as it would be accepted again.
    let remembered_ms = (logout::LIFETIME_S + 2 * ::oidc::CLOCK_TOLERANCE_S) * 1000;
    if auth.store().log_out_by_provider(logout, remembered_ms).await? {
        Ok(())
    } else {
        Err(refused("it was used before").into())
    }
}
