//! One request to a stranger and its whole answer, within limits.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{
    StreamExt,
    future::{Either, select},
};
use http::{Request, StatusCode, header, request};
use mcp::{Transport, TransportError};
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use crate::{OAuthError, address::host_of};

/// The longest answer. Metadata of real servers have some thousand bytes.
const MAX_BYTES: usize = 128 * 1024;
/// How long a server may take: a person waits.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest words of a server that are repeated.
const MAX_WORDS_CHARS: usize = 300;
/// The longest code of an error that is repeated where a secret was sent. Those of the standards have half of it.
const MAX_CODE_BYTES: usize = 40;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    host: String,
    body: Vec<u8>,
    /// A secret was sent, which the server's words may repeat.
    has_seen_secret: bool,
}

/// An error as OAuth has it.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl Answer {
    /// The answer, if it is the one that was asked for. Some servers refuse with the status 200.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, OAuthError> {
        let Self { status, host, body, has_seen_secret } = self;
        if let Ok(Refusal { error, error_description }) = serde_json::from_slice::<Refusal>(&body) {
            let is_code = error.len() <= MAX_CODE_BYTES && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let (code, words) = match error_description {
                _ if has_seen_secret && !is_code => ("unknown".to_owned(), "with an unknown error".to_owned()),
                Some(said) if !has_seen_secret => (shown(&error), format!("{} ({})", shown(&error), shown(&said))),
                _ => (shown(&error), shown(&error)),
            };
            return Err(OAuthError::Refused { host, status, code, words });
        }
        if !status.is_success() {
            return Err(OAuthError::Status { host, status });
        }
        serde_json::from_slice(&body).map_err(|error| OAuthError::Malformed { host, cause: error.to_string() })
    }
}

/// Words from outside, short and on one line.
pub(crate) fn shown(words: &str) -> String {
    words.chars().take(MAX_WORDS_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Asks for a document.
pub(crate) async fn get(transport: &impl Transport, url: &Url) -> Result<Answer, OAuthError> {
    send(transport, url, Request::get(url.as_str()), Bytes::new()).await
}

/// Sends a form, which has a secret in it.
pub(crate) async fn post_form(
    transport: &impl Transport,
    url: &Url,
    authorization: Option<&str>,
    fields: &[(&str, &str)],
) -> Result<Answer, OAuthError> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::post(url.as_str()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let answer = send(transport, url, request, form.into()).await?;
    Ok(Answer { has_seen_secret: true, ..answer })
}

/// Sends JSON.
pub(crate) async fn post_json(transport: &impl Transport, url: &Url, json: String) -> Result<Answer, OAuthError> {
    let request = Request::post(url.as_str()).header(header::CONTENT_TYPE, "application/json");
    send(transport, url, request, json.into()).await
}

async fn send(
    transport: &impl Transport,
    url: &Url,
    request: request::Builder,
    body: Bytes,
) -> Result<Answer, OAuthError> {
    let host = host_of(url);
    let request = request.header(header::ACCEPT, "application/json").body(body);
    let request = request.map_err(|error| OAuthError::Malformed { host: host.clone(), cause: error.to_string() })?;
    match select(pin!(answered(transport, request, &host)), pin!(transport.sleep(LIMIT))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(OAuthError::Transport { host: host.clone(), cause: TransportError::TimedOut }),
    }
}

async fn answered(transport: &impl Transport, request: Request<Bytes>, host: &str) -> Result<Answer, OAuthError> {
    let failed = |cause| OAuthError::Transport { host: host.to_owned(), cause };
    let response = transport.send(request).await.map_err(failed)?;
    let (status, mut chunks, mut body) = (response.status(), response.into_body(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(failed)?);
        if body.len() > MAX_BYTES {
            let cause = format!("it is longer than {MAX_BYTES} bytes");
            return Err(OAuthError::Malformed { host: host.to_owned(), cause });
        }
    }
    Ok(Answer { status, host: host.to_owned(), body, has_seen_secret: false })
}
