//! Small requests to providers besides the runs': whole responses, within limits. Redirects are not followed.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use completions::{ChatRequest, Dialect, Generation, Part, Sent};
use futures::TryStreamExt as _;
use http::{HeaderMap, Method, Request, header};
use models::Provider;
use orchestrator::api;
use platform::{
    http_client::{self, HttpError},
    within,
};
use send_wrapper::SendWrapper;

/// Somebody waits for it, on a page.
const LIMIT: Duration = Duration::from_secs(10);

/// Room for a word, and for what models think before it, where a server wants to know.
const QUESTION_TOKENS: u64 = 1_024;

/// Lists of resellers have half a megabyte.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Unasked {
    /// `spin.toml` does not allow the address.
    #[error("spin.toml does not allow this component to reach the address")]
    Denied,
    /// The request cannot be written.
    #[error("the request cannot be sent: {0}")]
    Request(String),
    /// The network failed.
    #[error("{0}")]
    Connection(String),
    /// It took too long.
    #[error("no answer within {} s", LIMIT.as_secs())]
    Slow,
    /// The response is too long.
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLong,
}

impl From<HttpError> for Unasked {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied => Self::Denied,
            HttpError::Request(error) => Self::Request(error.to_string()),
            HttpError::Connection(_) => Self::Connection(error.to_string()),
        }
    }
}

/// A response that is awaited.
pub(crate) type Exchange = Pin<Box<dyn Future<Output = Result<Whole, Unasked>> + Send>>;

/// The way out.
pub(crate) type Outlet = fn(Request<Bytes>) -> Exchange;

/// The request for a provider's list of models.
pub(crate) fn list_request(provider: &Provider) -> Result<Request<Bytes>, Unasked> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(provider.address.models())
        .header(header::ACCEPT, "application/json");
    let request = provider.headers().fold(request, |request, (name, value)| request.header(name, value));
    request.body(Bytes::new()).map_err(|error| Unasked::Request(error.to_string()))
}

/// A short question to a model, as a run would ask it.
pub(crate) fn question_request(
    provider: &Provider,
    model: &str,
    dialect: &Dialect,
) -> Result<(Request<Bytes>, Sent), Unasked> {
    let parts = vec![Part::User("Answer with the word ok.".into())];
    let server = &provider.remembered_as();
    let chat = ChatRequest {
        model,
        server,
        instructions: "",
        parts,
        tools: Vec::new(),
        may_call: false,
        answer_tokens: QUESTION_TOKENS,
        generation: Generation::default(),
    };
    let odd = |error: serde_json::Error| Unasked::Request(error.to_string());
    let (body, sent) = api::write(provider.api, chat, dialect).map_err(odd)?;
    let request = Request::post(provider.address.of(provider.api))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "text/event-stream");
    let request = provider.headers().fold(request, |request, (name, value)| request.header(name, value));
    let request = request.body(Bytes::from(body)).map_err(|error| Unasked::Request(error.to_string()))?;
    Ok((request, sent))
}

/// Sends a request.
pub(crate) fn send(request: Request<Bytes>) -> Exchange {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    Box::pin(SendWrapper::new(async move { within(LIMIT, exchange(request)).await.unwrap_or(Err(Unasked::Slow)) }))
}

async fn exchange(request: Request<Bytes>) -> Result<Whole, Unasked> {
    let mut answer = http_client::send(request).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.body.try_next().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Unasked::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Whole { status: answer.status.as_u16(), headers: answer.headers, body })
}
