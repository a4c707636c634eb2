//! Whom a program's request goes to: the first provider that has the model, and after a failure before the first byte of an answer the next one, as in runs
//! (docs/adr/0045). A provider whose own API is the request's comes before others.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeSet,
    rc::Rc,
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use cache::Clock as _;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use models::{Provider, head_patience};
use passthrough::{Additions, Endpoint, Request, is_failure};
use platform::SpinClock;
use storage::{Database, StorageError, model_providers::StoredProvider};
use traces::{Kind, Span, names};
use web::log::{Level, log};

use super::{
    Programs,
    refusal::{self, Refusal},
    upstream::{Open, Opened, Patience, Pieces},
};
use crate::{COMPONENT, config::Config, stored};

/// How much of an error is read. What is longer is no error of an API.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// How long a whole answer may take that is not streamed, as OpenAI's clients wait for it.
pub(crate) const WHOLE_PATIENCE: Duration = Duration::from_secs(600);

thread_local! {
    /// The servers that refused a field that we add, so that they are asked without it from then on: their names, and the fields. There are as many as
    /// providers, and the instance does not live long.
    static REFUSED: RefCell<BTreeSet<(String, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
}

/// For so long, the providers that were read count.
const FRESH: Duration = Duration::from_millis(500);

/// Providers as they are stored, and until when they count.
type Added = (Duration, Rc<Vec<StoredProvider>>);

thread_local! {
    static ADDED: RefCell<Option<Added>> = const { RefCell::new(None) };
}

/// What of a provider's headers is passed on. The others are about the provider's account, or about the connection.
const PASSED: [HeaderName; 2] = [header::CONTENT_TYPE, header::CONTENT_ENCODING];

/// nginx and its kind hold answers back unless they are told not to.
pub(crate) const UNBUFFERED: (HeaderName, HeaderValue) =
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
    /// What is recorded of the request to it.
    pub(crate) span: Span,
}

/// The providers that have a model, in the order in which they are asked.
pub(crate) async fn providers<D: Database>(
    programs: &Programs<D>,
    endpoint: Endpoint,
    model: &str,
) -> web::Result<Vec<Provider>> {
    let all = stored::all(programs.app.store(), &programs.config, &added(programs).await?, Some(model)).await;
    let mut fitting: Vec<Provider> = all.of_model(model).into_iter().cloned().collect();
    fitting.sort_by_key(|provider| endpoint.api().is_some_and(|api| api != provider.api));
    Ok(fitting)
}

/// The providers that administrators added, as they were less than half a second ago: as what decides about tokens (docs/adr/0032), so that a request
/// needs no statement for them. Their keys are still sealed.
async fn added<D: Database>(programs: &Programs<D>) -> Result<Rc<Vec<StoredProvider>>, StorageError> {
    let now = SpinClock.now();
    let known = ADDED.with_borrow(|known| known.clone().filter(|(until, _)| *until > now));
    if let Some((_, providers)) = known {
        return Ok(providers);
    }
    let providers = Rc::new(programs.app.store().model_providers().await?);
    ADDED.set(Some((now.saturating_add(FRESH), Rc::clone(&providers))));
    Ok(providers)
}

/// What is asked, as it came and as it was read.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: &'a Bytes,
    pub(crate) request: &'a Request<'a>,
    /// The longest answer, if a budget has no room for a longer one.
    pub(crate) max_answer_tokens: Option<u64>,
}

/// Asks one after the other, until one answers. Its response has no body yet.
pub(crate) async fn ask(
    open: Open,
    config: &Config,
    question: Question<'_>,
    providers: &[Provider],
) -> Result<(Response, Answered), Refusal> {
    let (mut others, mut refusal) = (providers, None);
    while let Some((provider, successors)) = others.split_first() {
        let asked = Asked { open, config, question, provider, has_successor: !successors.is_empty() };
        let (began, mut span) = (Instant::now(), asked.span());
        match trace_context::within(span.scope(), asked.ask()).await {
            Ok((response, answered)) => {
                metrics::provider_request(&provider.name, "ok");
                // What does not come in pieces has no first one.
                if answered.is_stream {
                    metrics::first_token(question.request.model(), began.elapsed());
                    span.set(names::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, began.elapsed().as_secs_f64());
                }
                return Ok((response, Answered { span, ..answered }));
            }
            Err(new) => {
                metrics::provider_request(&provider.name, new.outcome());
                span.fail(new.outcome());
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
    question: Question<'a>,
    provider: &'a Provider,
    has_successor: bool,
}

/// The error that a provider sent.
struct ErrorResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Asked<'_> {
    /// A request to a provider, with all attempts at it (OpenTelemetry, "Semantic conventions for generative AI").
    fn span(&self) -> Span {
        let (model, operation) = (
            self.question.request.model(),
            match self.question.endpoint {
                Endpoint::ChatCompletions | Endpoint::Responses => "chat",
                Endpoint::Embeddings => "embeddings",
            },
        );
        let mut span = Span::begin(Kind::Client, format_args!("{operation} {model}"));
        span.set(names::GEN_AI_OPERATION_NAME, operation);
        span.set(names::GEN_AI_PROVIDER_NAME, self.provider.name.as_str());
        span.set(names::GEN_AI_REQUEST_MODEL, model);
        span
    }

    async fn ask(&self) -> Result<(Response, Answered), Refusal> {
        let Question { endpoint, request, .. } = self.question;
        let mut answer = self.ask_once().await?;
        // It refuses a field that the program has not sent.
        if let Err(error) = &answer
            && self.learn_from(&error.body)
        {
            answer = self.ask_once().await?;
        }
        answer.map_err(|ErrorResponse { status, headers, body }| {
            refusal::refused(self.provider, endpoint, (status, &headers, &body), request)
        })
    }

    /// What is added to the request for this provider.
    fn additions(&self) -> Additions {
        let Question { request, max_answer_tokens, .. } = self.question;
        let server = self.provider.remembered_as();
        let takes = |only: Additions| {
            let is_refused = |field| REFUSED.with_borrow(|refused| refused.contains(&(server.clone(), field)));
            !request.added(only).any(is_refused)
        };
        let length = Additions { max_answer_tokens, ..Additions::default() };
        Additions {
            usage: takes(Additions { usage: true, ..Additions::default() }),
            max_answer_tokens: max_answer_tokens.filter(|_| takes(length)),
        }
    }

    /// Whether an error names a field that was added.
    fn learn_from(&self, error: &[u8]) -> bool {
        let names = |field: &&str| memchr::memmem::find(error, field.as_bytes()).is_some();
        let named: Vec<_> = self.question.request.added(self.additions()).filter(names).collect();
        let server = self.provider.remembered_as();
        REFUSED.with_borrow_mut(|refused| refused.extend(named.iter().map(|field| (server.clone(), *field))));
        !named.is_empty()
    }

    /// The answer, or the error that the provider sent.
    async fn ask_once(&self) -> Result<Result<(Response, Answered), ErrorResponse>, Refusal> {
        let Self { provider, question: Question { request, .. }, .. } = *self;
        let (silence, streams) = (self.config.settings.silence, request.streams());
        let longest = if streams { silence } else { silence.max(WHOLE_PATIENCE) };
        let patience = Patience { head: head_patience(longest, self.has_successor, streams), silence };
        let unheard = |error| refusal::unheard(provider, error);
        let additions = self.additions();
        let sent = self.upstream_request(additions).map_err(|error| {
            let error = platform::http_client::HttpError::from(error);
            unheard(error.into())
        })?;
        let Opened { status, headers, mut body } = (self.open)(sent, patience).await.map_err(unheard)?;
        if !status.is_success() {
            return Ok(Err(ErrorResponse { status, headers, body: error_body(&mut body).await }));
        }
        let first = loop {
            match body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => break piece,
                Some(Err(error)) => return Err(unheard(error)),
                None => return Err(refusal::empty(provider)),
            }
        };
        // A stream's error of the last one is passed on as it came: its clients read it.
        if (self.has_successor || !streams) && is_failure(&first) {
            return Err(refusal::failed(provider, &first, request));
        }
        let kind = headers.get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let kept = PASSED.into_iter().filter_map(|name| Some((name.clone(), headers.get(&name)?.clone())));
        response.headers_mut().extend(kept.chain(is_stream.then_some(UNBUFFERED)));
        let hides_usage = additions.usage && request.asks_for_usage();
        let answered =
            Answered { provider: provider.clone(), first, rest: body, is_stream, hides_usage, span: Span::default() };
        Ok(Ok((response, answered)))
    }

    fn upstream_request(&self, additions: Additions) -> Result<http::Request<Bytes>, http::Error> {
        let Question { endpoint, body, request, .. } = self.question;
        let accept = if request.streams() { "text/event-stream" } else { "application/json" };
        let mut upstream = http::Request::post(self.provider.address.at(endpoint.path()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, accept)
            // What is compressed cannot be counted.
            .header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in self.provider.headers() {
            upstream = upstream.header(name, value);
        }
        upstream.body(match request.body(additions) {
            // No copy: it may have megabytes.
            Cow::Borrowed(_) => body.clone(),
            Cow::Owned(body) => Bytes::from(body),
        })
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
