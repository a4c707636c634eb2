//! The errors of OAuth, in its own form (RFC 6749, section 5.2; RFC 7591, section 3.2.2): programs read `error`, people `error_description`. Faults of
//! ours and of the database are problems, as everywhere else.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use web::Json;

/// Why a program gets nothing, as OAuth writes it (RFC 6749, section 5.2): programs read `error`, people `error_description`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OAuthError, example = json!({"error": "invalid_grant", "error_description": "The code was used before. Sign in again."})))]
pub(crate) struct Refusal {
    /// Such as `invalid_request` or `invalid_grant`.
    pub(crate) error: &'static str,
    /// What is wrong.
    #[serde(rename = "error_description")]
    pub(crate) description: Cow<'static, str>,
    /// When to come again, in seconds, if only that is wrong.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { error, description: description.into(), retry_after_s: None }
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    /// Too many requests come from one address.
    pub(crate) fn too_many(wait_s: u64) -> Self {
        let description = format!("Too many requests come from this address. Try again in {wait_s} s.");
        Self { retry_after_s: Some(wait_s), ..Self::new("temporarily_unavailable", description) }
    }

    /// A code or refresh token that gives nothing (any more). It says no more, because whoever sends it may have stolen it.
    pub(crate) fn invalid_grant() -> Self {
        let description = "The code or refresh token is wrong, was used before, has expired or was revoked, or was given to another client \
                           or for another redirect_uri or resource. Sign in again.";
        Self::new("invalid_grant", description)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.retry_after_s {
            None => (StatusCode::BAD_REQUEST, Json::<_>(self)).into_response(),
            Some(wait_s) => {
                let wait = [(header::RETRY_AFTER, HeaderValue::from(wait_s))];
                (StatusCode::TOO_MANY_REQUESTS, wait, Json::<_>(self)).into_response()
            }
        }
    }
}
