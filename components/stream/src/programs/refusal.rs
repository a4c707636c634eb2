//! What a program is told when no provider answers: the provider's own words where they are about the request, never its headers or this installation's key.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use completions::{Withheld, without_credentials_of};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use models::Provider;
use orchestrator::refusal;
use passthrough::{Additions, Endpoint, Request};
use problem::Problem;

use super::upstream::Unheard;

/// Why a provider does not answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It refuses the request, with words that are passed on: status, `Retry-After`, and a JSON object.
    Said(StatusCode, Option<HeaderValue>, Vec<u8>),
    /// We say it.
    Ours(Problem),
    /// It took too long, so it may have done the work.
    Late(Problem),
}

impl Refusal {
    /// For the log: a status or a code, nothing that a provider said.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Said(status, ..) => format!("status {}", status.as_u16()),
            Self::Ours(problem) | Self::Late(problem) => problem.code().to_owned(),
        }
    }

    /// For metrics: one of a few codes.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Said(..) => "provider_refused",
            Self::Ours(problem) | Self::Late(problem) => problem.code(),
        }
    }

    /// Of the refusals of two providers: what one says about the request is more useful than that another cannot be reached, and that may pass is more
    /// useful than that an address is missing.
    pub(crate) fn or_before(self, before: Option<Self>) -> Self {
        match (self, before) {
            (Self::Ours(_) | Self::Late(_), Some(said @ Self::Said(..))) => said,
            (Self::Ours(new), Some(Self::Ours(before)))
                if before.status().is_server_error() && !new.status().is_server_error() =>
            {
                Self::Ours(before)
            }
            (new, _) => new,
        }
    }

    /// The response.
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Ours(problem) | Self::Late(problem) => web::Error::from(problem).into_response(),
            Self::Said(status, retry_after, body) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.extend(retry_after.map(|value| (header::RETRY_AFTER, value)));
                response
            }
        }
    }
}

/// OpenAI's clients send a request again that was refused with 429 or 5xx, unless this header says that it does not help.
pub(crate) fn never_again(problem: Problem) -> Problem {
    problem.with_header(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))
}

/// A provider that cannot be reached, or that broke off before it said anything.
pub(crate) fn unheard(provider: &Provider, error: Unheard) -> Refusal {
    let name = &provider.name;
    match error {
        Unheard::Silent => {
            let detail =
                format!("The provider {name} does not answer in time. Ask for less at once, or use another model.");
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, "provider_silent", detail).with_cause(error);
            // It may go on with the work, and would be paid for it again.
            Refusal::Late(never_again(problem))
        }
        Unheard::Http(_) => {
            let detail = format!("The provider {name} cannot be reached right now. Try again, or use another model.");
            Refusal::Ours(Problem::new(StatusCode::BAD_GATEWAY, "provider_unreachable", detail).with_cause(error))
        }
    }
}

/// A provider whose answer is empty.
pub(crate) fn empty(provider: &Provider) -> Refusal {
    let detail = format!("The provider {} sent an empty answer. Try again, or use another model.", provider.name);
    Refusal::Ours(Problem::new(StatusCode::BAD_GATEWAY, "provider_empty", detail))
}

/// A provider that sent an error in the place of an answer.
pub(crate) fn failed(provider: &Provider, said: &[u8], request: &Request<'_>) -> Refusal {
    in_words(provider, StatusCode::BAD_GATEWAY, said, request)
}

/// A provider that refused the request, with its error's body.
pub(crate) fn refused(
    provider: &Provider,
    endpoint: Endpoint,
    (status, headers, body): (StatusCode, &HeaderMap, &[u8]),
    request: &Request<'_>,
) -> Refusal {
    let name = &provider.name;
    // The program's own key was right, so it must not be told that it is wrong.
    if status == StatusCode::UNAUTHORIZED {
        let detail =
            format!("The provider {name} refuses this installation's key. Ask an administrator to enter another.");
        return Refusal::Ours(never_again(Problem::new(StatusCode::BAD_GATEWAY, "provider_key_refused", detail)));
    }
    // Nor that its own budget is used up.
    let withheld = Withheld::default();
    let is_empty = status == StatusCode::PAYMENT_REQUIRED
        || refusal::refused(status.as_u16(), headers, body, &withheld).refusal == Some(refusal::Refusal::Quota);
    if is_empty {
        let detail =
            format!("The account of this installation at the provider {name} has nothing left. Ask an administrator.");
        return Refusal::Ours(never_again(Problem::new(StatusCode::BAD_GATEWAY, "provider_account_empty", detail)));
    }
    let is_elsewhere = endpoint.api().is_some_and(|api| api != provider.api);
    if is_elsewhere && matches!(status.as_u16(), 404 | 405 | 501) {
        let (path, other) = match endpoint {
            Endpoint::Responses => ("/v1/responses", "/v1/chat/completions"),
            Endpoint::ChatCompletions | Endpoint::Embeddings => ("/v1/chat/completions", "/v1/responses"),
        };
        let detail = format!("The provider {name}, which has this model, has no {path}. Ask it with {other}.");
        return Refusal::Ours(Problem::new(StatusCode::BAD_REQUEST, "api_not_offered", detail));
    }
    if !(status.is_client_error() || status.is_server_error()) {
        let detail = format!("The provider {name} has moved. Ask an administrator to correct its address.");
        return Refusal::Ours(never_again(Problem::new(StatusCode::BAD_GATEWAY, "provider_moved", detail)));
    }
    if is_object(body) {
        let retry_after = headers.get(header::RETRY_AFTER).cloned();
        let body = without_credentials_of(&String::from_utf8_lossy(body), &provider.secrets());
        return Refusal::Said(status, retry_after, body.into_bytes());
    }
    in_words(provider, status, body, request)
}

/// What is no error of the API, in a few words of it.
fn in_words(provider: &Provider, status: StatusCode, said: &[u8], request: &Request<'_>) -> Refusal {
    let secrets = provider.secrets();
    let withheld = Withheld { authorization: &secrets, request: &request.body(Additions::default()) };
    let words = withheld.shown(&String::from_utf8_lossy(said));
    let is_page = said.trim_ascii_start().starts_with(b"<");
    let detail = match words.is_empty() || is_page {
        true => format!("The provider {} refuses the request with status {}.", provider.name, status.as_u16()),
        false => format!("The provider {} says: {words}", provider.name),
    };
    Refusal::Ours(Problem::new(status, "provider_refused", detail))
}

fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}
