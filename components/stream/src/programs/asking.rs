//! Whom a program's request goes to: the first provider that has the model, and after a failure before the first byte of an answer the next one, as in runs
//! (docs/adr/0045). A provider whose own API is the request's comes before others.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use models::{Provider, head_patience};
use passthrough::{Endpoint, Request, is_failure};
use storage::Database;
use web::log::{Level, log};

use super::{
    MAX_MODEL_BYTES, Programs,
    refusal::{self, Refusal},
    upstream::{Open, Opened, Patience, Pieces},
};
use crate::{COMPONENT, config::Config, stored};

/// How much of an error is read. What is longer is no error of an API.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// The fields that we add to a request, for servers that refuse what they do not know.
const ADDED: [&[u8]; 2] = [b"stream_options", b"include_usage"];

/// What of a provider's headers is passed on. The others are about the provider's account, or about the connection.
const PASSED: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_ENCODING];

/// nginx and its kind hold answers back unless they are told not to.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// A provider that answers.
pub(crate) struct Answered {
    /// Who it is.
    pub(crate) provider: Provider,
    /// The first piece of its answer.
    pub(crate) first: Bytes,
    /// The others.
    pub(crate) rest: Pieces,
    /// Whether they are events.
    pub(crate) is_stream: bool,
    /// Whether it reports tokens that the program has not asked for.
    pub(crate) hides_usage: bool,
}

/// The providers that have a model, in the order in which they are asked.
pub(crate) async fn providers<D: Database>(
    programs: &Programs<D>,
    endpoint: Endpoint,
    model: &str,
) -> web::Result<Vec<Provider>> {
    if model.len() > MAX_MODEL_BYTES {
        return Ok(Vec::new());
    }
    let store = programs.app.store();
    let all = stored::all(store, &programs.config, &store.model_providers().await?, Some(model)).await;
    let mut fitting: Vec<Provider> = all.of_model(model).into_iter().cloned().collect();
    fitting.sort_by_key(|provider| endpoint.api().is_some_and(|api| api != provider.api));
    Ok(fitting)
}

/// Asks one after the other, until one answers. Its response has no body yet.
pub(crate) async fn ask(
    open: Open,
    config: &Config,
    request: &Request<'_>,
    endpoint: Endpoint,
    providers: &[Provider],
    headers: &HeaderMap,
) -> Result<(Response, Answered), Refusal> {
    let (mut others, mut refusal) = (providers, None);
    while let Some((provider, successors)) = others.split_first() {
        let asked = Asked { open, config, request, endpoint, provider, has_successor: !successors.is_empty(), headers };
        match asked.ask().await {
            Ok(answered) => return Ok(answered),
            Err(new) => {
                if let Some(next) = successors.first() {
                    let fields = serde_json::json!({ "cause": new.cause(), "from": provider.name, "to": next.name });
                    log(COMPONENT, Level::Info, "asking another provider", fields);
                }
                refusal = Some(new.or_before(refusal));
            }
        }
        others = successors;
    }
    // There is one provider at least, or nobody would have come here.
    Err(refusal.unwrap_or_else(|| Refusal::Ours(problem::Problem::not_found())))
}

/// A provider that is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    open: Open,
    config: &'a Config,
    request: &'a Request<'a>,
    endpoint: Endpoint,
    provider: &'a Provider,
    has_successor: bool,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    async fn ask(&self) -> Result<(Response, Answered), Refusal> {
        let Self { request, provider, .. } = *self;
        match self.ask_once(true).await? {
            Ok(answered) => Ok(answered),
            // It refuses a field that the program has not sent.
            Err((_, _, body)) if request.asks_for_usage() && names_an_addition(&body) => {
                self.ask_once(false).await?.map_err(|(status, headers, body)| {
                    refusal::refused(provider, self.endpoint, (status, &headers, &body), request)
                })
            }
            Err((status, headers, body)) => {
                Err(refusal::refused(provider, self.endpoint, (status, &headers, &body), request))
            }
        }
    }

    /// The answer, or the error that the provider sent.
    async fn ask_once(
        &self,
        reports_usage: bool,
    ) -> Result<Result<(Response, Answered), (StatusCode, HeaderMap, Vec<u8>)>, Refusal> {
        let Self { request, provider, .. } = *self;
        let silence = self.config.settings.silence;
        let patience = Patience { head: head_patience(silence, self.has_successor, request.streams()), silence };
        let unheard = |error| refusal::unheard(provider, error);
        let sent = self.upstream_request(reports_usage).map_err(|error| {
            let error = platform::http_client::HttpError::from(error);
            unheard(error.into())
        })?;
        let Opened { status, headers, mut body } = (self.open)(sent, patience).await.map_err(unheard)?;
        if !status.is_success() {
            return Ok(Err((status, headers, error_body(&mut body).await)));
        }
        let first = loop {
            match body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => break piece,
                Some(Err(error)) => return Err(unheard(error)),
                None => return Err(refusal::empty(provider)),
            }
        };
        // The last one's error is passed on as it came.
        if self.has_successor && is_failure(&first) {
            return Err(refusal::failed(provider, &first, request));
        }
        let is_stream =
            headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let kept = PASSED.into_iter().filter_map(|name| Some((name.clone(), headers.get(&name)?.clone())));
        response.headers_mut().extend(kept.chain(is_stream.then_some(UNBUFFERED)));
        let hides_usage = reports_usage && request.asks_for_usage();
        let answered = Answered { provider: provider.clone(), first, rest: body, is_stream, hides_usage };
        Ok(Ok((response, answered)))
    }

    fn upstream_request(&self, reports_usage: bool) -> Result<http::Request<Bytes>, http::Error> {
        let accept = if self.request.streams() { "text/event-stream" } else { "application/json" };
        let mut request = http::Request::post(self.provider.address.at(self.endpoint.path()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept);
        for (name, value) in self.provider.headers() {
            request = request.header(name, value);
        }
        if let Some(traceparent) = self.headers.get("traceparent") {
            request = request.header("traceparent", traceparent);
        }
        request.body(Bytes::from(self.request.body(reports_usage).into_owned()))
    }
}

async fn error_body(body: &mut Pieces) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        read.extend_from_slice(&piece);
        if read.len() > MAX_ERROR_BYTES {
            read.truncate(MAX_ERROR_BYTES);
            break;
        }
    }
    read
}

fn names_an_addition(error: &[u8]) -> bool {
    ADDED.iter().any(|field| memchr::memmem::find(error, field).is_some())
}
