//! Errors in OpenAI's format: `{"error":{"message","type","param","code"}}`.
//! Source: the API reference's "Error codes". Must not reveal how the server works inside.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer that refuses the request.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ScriptedFailure {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u64>,
}

impl ScriptedFailure {
    /// The field `param` is invalid.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message) }
    }

    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after_s: None }
    }

    /// OpenAI's error for this status, for the knob `fail`.
    pub(crate) fn scripted(status: StatusCode, retry_after_s: Option<u64>) -> Self {
        let (kind, code, message) = match status {
            StatusCode::BAD_REQUEST => (
                "invalid_request_error",
                Some("context_length_exceeded"),
                "This model's maximum context length is 128000 tokens. Please reduce the length of the messages.",
            ),
            StatusCode::UNAUTHORIZED => {
                ("invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided: scripted.")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests. Please try again later.")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                ("server_error", None, "The engine is currently overloaded, please try again later.")
            }
            _ => ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
        };
        Self { retry_after_s, ..Self::new(status, kind, code, message) }
    }

    /// The body, which is also the event when a stream fails midway.
    pub(crate) fn body(&self) -> Value {
        json!({"error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl IntoResponse for ScriptedFailure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
