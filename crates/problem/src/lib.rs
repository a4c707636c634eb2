//! The one HTTP error: a problem of RFC 9457, with a message for the person and a cause for the log.
//!
//! It has a status, a stable code for programs, and a message; [`Problem::to_response`] writes it. Nothing here logs.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// Carries the id of a request in the response and, between components, in the request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The media type of a problem.
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error response.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    field: Option<&'static str>,
    permission: Option<Cow<'static, str>>,
    challenge: Option<Challenge>,
    limit: Option<Cow<'static, str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    has_openai_error: bool,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a program sends back with the answer to the problem. It must not be logged, so `Debug` does not print it.
#[derive(Clone)]
struct Challenge(String);

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge")
    }
}

/// A problem (RFC 9457, section 3), with our extensions `code`, `request_id`, `field`, `permission`, `challenge` and `limit`.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct Body<'a> {
    /// Always `about:blank`: `code` says which problem it is.
    r#type: &'static str,
    /// The words for the status.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened and what to do next, for the person.
    detail: &'a str,
    /// For programs. It stays the same in later releases.
    code: &'static str,
    /// The id of the request, which the log has too.
    request_id: &'a str,
    /// The field or parameter that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    field: Option<&'static str>,
    /// The permission or scope that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    permission: Option<&'a str>,
    /// What to send with the answer to the problem: the second step of a log-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    challenge: Option<&'a str>,
    /// The limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    limit: Option<&'a str>,
    /// The same for clients of OpenAI's API, below `/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    error: Option<OpenAiError<'a>>,
}

/// The error as OpenAI's clients read it (openapi.yaml of its API, `ErrorResponse`).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct OpenAiError<'a> {
    /// What happened, as in `detail`.
    message: &'a str,
    /// Such as `invalid_request_error`.
    r#type: &'static str,
    /// As `field`.
    param: Option<&'static str>,
    /// OpenAI's own code where it has one, or `code`.
    code: &'static str,
}

impl Problem {
    /// A problem; `detail` is for the person.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self {
            status,
            code,
            detail,
            field: None,
            permission: None,
            challenge: None,
            limit: None,
            headers: Vec::new(),
            has_openai_error: false,
            cause: None,
        }
    }

    /// 400: the body is not JSON, or does not fit the route.
    pub fn invalid_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", detail)
    }

    /// 401: no token, or an invalid one.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "Sign in first: this needs a valid session.")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the caller's roles do not include this permission.
    pub fn forbidden(permission: impl Into<Cow<'static, str>>) -> Self {
        let permission = permission.into();
        let detail =
            format!("Your role does not allow this: it needs the permission {permission}. Ask an administrator.");
        Self { permission: Some(permission), ..Self::new(StatusCode::FORBIDDEN, "forbidden", detail) }
    }

    /// 403: the caller may do this, but not with what they sent, which lacks this permission.
    pub fn lacking(
        permission: impl Into<Cow<'static, str>>,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { permission: Some(permission.into()), ..Self::new(StatusCode::FORBIDDEN, code, detail) }
    }

    /// 404: it does not exist, or belongs to another person.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found, or it belongs to another account.")
    }

    /// 405, with the methods that are allowed.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take that method.")
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// 409: the current state does not allow it.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 413: the body is longer than the route accepts.
    #[must_use]
    pub fn too_large(max_bytes: usize) -> Self {
        let detail = format!("The request is too long: at most {max_bytes} bytes are taken here.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 415: the body is not declared as JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        let detail = "Send JSON, with the header Content-Type: application/json.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422: a field has an invalid value.
    pub fn invalid_field(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail) }
    }

    /// 429: too many attempts. `retry_after_s` is at least 1; `detail` says in words when to try again.
    #[must_use]
    pub fn rate_limited(detail: impl Into<Cow<'static, str>>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s.max(1)))
    }

    /// 500: an error of ours.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "Something went wrong on our side. Nothing you sent before is lost; try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).with_cause(cause)
    }

    /// 503: a service that we need does not respond.
    pub fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "The service is too busy or starting. Try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            .with_cause(cause)
    }

    /// 507: nothing can be stored.
    pub fn unwritable(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "Nothing could be stored: the disk of this installation is full or read-only. Ask the administrator to fix it, then try \
                      again.";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "unwritable", detail).with_cause(cause)
    }

    /// Adds the cause, which is logged and not shown to the person.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds a challenge to the response: what to send back with the answer.
    #[must_use]
    pub fn with_challenge(mut self, challenge: String) -> Self {
        self.challenge = Some(Challenge(challenge));
        self
    }

    /// Names the limit that is reached.
    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<Cow<'static, str>>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Adds a header to the response, or replaces one of this name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with other words for the person.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Names the field of the request that is wrong.
    #[must_use]
    pub const fn with_field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Has the body say it in OpenAI's form too, in a field `error`, for clients that know no other.
    #[must_use]
    pub const fn with_openai_error(mut self) -> Self {
        self.has_openai_error = true;
        self
    }

    /// OpenAI's own codes where it has one that its clients know.
    fn openai_error(&self) -> OpenAiError<'_> {
        let r#type = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let code = match self.code {
            "unauthenticated" => "invalid_api_key",
            "rate_limited" => "rate_limit_exceeded",
            "budget" => "insufficient_quota",
            _ => self.code,
        };
        OpenAiError { message: &self.detail, r#type, param: self.field, code }
    }

    /// The response's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The code for programs; it never changes its meaning.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What the person is told.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The cause and its causes in one line, for the log.
    #[must_use]
    pub fn causes(&self) -> Option<String> {
        let mut next: Option<&dyn Error> = Some(self.cause.as_deref()?);
        let mut causes = Vec::new();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        Some(causes.join(": "))
    }

    /// The response to the request with this id.
    #[must_use]
    pub fn to_response(&self, request_id: &str) -> Response<Vec<u8>> {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            field: self.field,
            permission: self.permission.as_deref(),
            challenge: self.challenge.as_ref().map(|challenge| challenge.0.as_str()),
            limit: self.limit.as_deref(),
            error: self.has_openai_error.then(|| self.openai_error()),
        };
        // Serializing strings and numbers always succeeds; an empty body would still carry the status.
        let mut response = Response::new(serde_json::to_vec(&body).unwrap_or_default());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.detail)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_rfc_9457_says_and_keeps_the_cause_to_itself() {
        let cause = std::io::Error::other("the disk is on fire");
        let problem = Problem::invalid_field("email", "This is not an address.").with_cause(cause);
        let response = problem.to_response("r1");
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[REQUEST_ID], "r1");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "This is not an address.",
                "code": "invalid_field", "request_id": "r1", "field": "email",
            })
        );
        assert_eq!(problem.causes().as_deref(), Some("the disk is on fire"));
    }

    #[test]
    fn clients_of_openai_find_the_error_where_they_look_for_it() {
        let said = |problem: Problem| -> serde_json::Value {
            serde_json::from_slice(problem.with_openai_error().to_response("r").body()).unwrap()
        };
        let wrong = said(Problem::invalid_field("model", "Name a model."));
        let error = serde_json::json!({
            "message": "Name a model.", "type": "invalid_request_error", "param": "model", "code": "invalid_field",
        });
        assert_eq!((&wrong["error"], &wrong["code"]), (&error, &"invalid_field".into()));
        assert_eq!(said(Problem::unauthenticated())["error"]["code"], "invalid_api_key");
        assert_eq!(said(Problem::rate_limited("Wait.", 1))["error"]["code"], "rate_limit_exceeded");
    }

    #[test]
    fn what_a_role_does_not_allow_is_named() {
        let response = Problem::forbidden("users:read").to_response("r");
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!((response.status().as_u16(), &body["code"]), (403, &"forbidden".into()));
        assert_eq!(body["permission"], "users:read");
    }

    #[test]
    fn a_challenge_is_sent_and_never_written_by_debug() {
        let problem =
            Problem::new(StatusCode::UNAUTHORIZED, "more", "One more step.").with_challenge("secret".to_owned());
        let body: serde_json::Value = serde_json::from_slice(problem.to_response("r").body()).unwrap();
        assert_eq!(body["challenge"], "secret");
        assert!(!format!("{problem:?}").contains("secret"));
    }

    #[test]
    fn says_how_to_sign_in_and_when_to_come_back() {
        assert_eq!(Problem::unauthenticated().to_response("r").headers()[header::WWW_AUTHENTICATE], "Bearer");
        let limited = Problem::rate_limited("Try again in 2 minutes.", 90);
        assert_eq!(limited.to_response("r").headers()[header::RETRY_AFTER], "90");
        let busy = Problem::unavailable(std::io::Error::other("busy"));
        assert_eq!(busy.to_response("r").headers()[header::RETRY_AFTER], "1");
    }
}
