//! What a program is told when no provider answers: the provider's own words where they are about the request, never its headers or this installation's key.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use completions::Withheld;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use models::Provider;
use passthrough::{Endpoint, Request};
use problem::Problem;

use super::upstream::Unheard;

/// Replaces a credential of ours that a provider repeats.
const SECRET: &str = "[secret]";
/// Shorter texts occur by chance.
const MIN_SECRET_BYTES: usize = 6;

/// Why a provider does not answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It refuses the request, with words that are passed on: status, `Retry-After`, and a JSON object.
    Said(StatusCode, Option<HeaderValue>, Vec<u8>),
    /// We say it.
    Ours(Problem),
}

impl Refusal {
    /// For the log: a status or a code, nothing that a provider said.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Said(status, ..) => format!("status {}", status.as_u16()),
            Self::Ours(problem) => problem.code().to_owned(),
        }
    }

    /// Of two providers' refusals, what one says about the request is more useful than that another cannot be reached.
    pub(crate) fn or_before(self, before: Option<Self>) -> Self {
        match (self, before) {
            (Self::Ours(_), Some(said @ Self::Said(..))) => said,
            (new, _) => new,
        }
    }

    /// The response.
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Ours(problem) => web::Error::from(problem).into_response(),
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

/// A provider that cannot be reached, or that broke off before it said anything.
pub(crate) fn unheard(provider: &Provider, error: Unheard) -> Refusal {
    let (status, words) = match error {
        Unheard::Silent => (StatusCode::GATEWAY_TIMEOUT, "does not answer in time"),
        Unheard::Http(_) => (StatusCode::BAD_GATEWAY, "cannot be reached right now"),
    };
    let detail = format!("The provider {} {words}. Try again, or use another model.", provider.name);
    Refusal::Ours(Problem::new(status, "provider_unreachable", detail).with_cause(error))
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
        return Refusal::Ours(Problem::new(StatusCode::BAD_GATEWAY, "provider_key_refused", detail));
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
        return Refusal::Ours(Problem::new(StatusCode::BAD_GATEWAY, "provider_moved", detail));
    }
    if is_object(body) {
        let retry_after = headers.get(header::RETRY_AFTER).cloned();
        return Refusal::Said(status, retry_after, without_secrets(body, provider));
    }
    in_words(provider, status, body, request)
}

/// What is no error of the API, in a few words of it.
fn in_words(provider: &Provider, status: StatusCode, said: &[u8], request: &Request<'_>) -> Refusal {
    let secrets = provider.secrets();
    let withheld = Withheld { authorization: &secrets, request: &request.body(false) };
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

/// A body without this installation's credentials, which some providers repeat when they refuse them.
fn without_secrets(body: &[u8], provider: &Provider) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let secrets = provider.secrets();
    let bare = |line: &str| line.split_once(' ').map(|(_, bare)| bare.to_owned());
    let all = secrets.lines().flat_map(|line| [Some(line.to_owned()), bare(line)]).flatten();
    let clean = all
        .filter(|secret| secret.len() >= MIN_SECRET_BYTES)
        .fold(text.into_owned(), |text, secret| text.replace(&secret, SECRET));
    clean.into_bytes()
}
