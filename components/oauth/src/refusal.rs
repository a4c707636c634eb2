//! The errors of OAuth, in its own form (RFC 6749, section 5.2; RFC 7591, section 3.2.2): programs read `error`, people `error_description`. Faults of
//! ours and of the database are problems, as everywhere else.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use web::Json;

/// Why a program gets nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Refusal {
    pub(crate) error: &'static str,
    #[serde(rename = "error_description")]
    pub(crate) description: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { error, description: description.into() }
    }

    pub(crate) fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
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
        (StatusCode::BAD_REQUEST, Json::<_>(self)).into_response()
    }
}
