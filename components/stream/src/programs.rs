//! `/v1`: what programs say to models, in OpenAI's API. A request goes on to a provider as it came, and its answer back, within the same limits, budgets and
//! permissions as everything else, and counted (docs/adr/0048). Errors are said in OpenAI's form, too. Nothing of what is said is stored.

mod asking;
mod assistants;
mod beginning;
mod delivery;
#[cfg(test)]
mod described;
mod execution;
pub(crate) mod models;
mod refusal;
mod upstream;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    middleware,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use domain::limits::MAX_MODEL_BYTES;
use http::{HeaderMap, Method, StatusCode, Uri};
use passthrough::{Endpoint, InvalidRequest, Request};
use permissions::{Action, table::ModelsCall};
use problem::Problem;
use send_wrapper::SendWrapper;
use storage::{Database, model_requests::ModelRequestUsage};
use web::{
    Allowed, App, Authenticator, Error, Result,
    extract::RawJson,
    log::{Level, log},
};

use crate::{COMPONENT, config::Config, outside::Outlet, router::Stream};
use asking::{Question, ask};
use beginning::Beginning;
use delivery::{Deliver, deliver};
pub(crate) use execution::Listener;
use execution::{Execute, execute};
use refusal::Refusal;
use upstream::{Open, open};

/// Pictures in a conversation have some megabytes. It is as much as a message may have as JSON, so an instance has room for four at once.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;
/// What a program is told that sends no key, or none of this installation.
const NO_KEY: &str =
    "Send an API key of this installation as Authorization: Bearer ea_… (on its page under Programs and keys).";
/// What a program is told that asks for something of OpenAI's API that is not here.
const NOTHING_HERE: &str = "Of OpenAI's API, this installation has POST /v1/chat/completions, /v1/responses and /v1/embeddings, and GET /v1/models.";

/// The ways out and back that are Spin's, and a script's in tests.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    open: Open,
    deliver: Deliver,
    execute: Execute,
}

/// Those of Spin.
pub(crate) const WAYS: Ways = Ways { open, deliver, execute };

/// The state of the routes for programs.
pub(crate) struct Programs<D> {
    app: App<D>,
    config: Arc<Config>,
    send: Outlet,
    ways: Ways,
}

impl<D> Clone for Programs<D> {
    fn clone(&self) -> Self {
        Self { app: self.app.clone(), config: Arc::clone(&self.config), send: self.send, ways: self.ways }
    }
}

impl<D: Database> Authenticator for Programs<D> {
    type Database = D;

    // That is what keys are for. A session's token is taken, too: there is one rule for who somebody is.
    fn takes_keys(_: &Method) -> bool {
        true
    }

    fn app(&self) -> &App<D> {
        &self.app
    }
}

/// The routes below `/v1`.
pub(crate) fn router<D: Database + 'static>(stream: Stream<D>, ways: Ways) -> Router {
    let Stream { app, config, send } = stream;
    Router::new()
        .route("/v1/chat/completions", post(chat_completions::<D>))
        .route("/v1/responses", post(responses::<D>))
        .route("/v1/embeddings", post(embeddings::<D>))
        .route("/v1/models", get(models::list::<D>))
        .route("/v1/models/{*id}", get(models::one::<D>))
        .layer(middleware::map_response(in_openai_form))
        .with_state(Programs { app, config, send, ways })
}

/// Clients of OpenAI's API look for errors in one form only.
async fn in_openai_form(mut response: Response) -> Response {
    let is_unrouted = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let unrouted = || is_unrouted.then(|| Problem::method_not_allowed(""));
    if let Some(problem) = response.extensions_mut().remove::<Problem>().or_else(unrouted) {
        let is_unsigned = problem.detail() == Problem::unauthenticated().detail();
        let problem = if is_unsigned { problem.with_detail(NO_KEY) } else { problem };
        response.extensions_mut().insert(problem.with_openai_error());
    }
    response
}

/// 404: there is nothing at an address. Clients of OpenAI's API know many that are not here.
pub(crate) async fn unrouted(uri: Uri) -> Error {
    let nothing = Problem::not_found();
    match uri.path().strip_prefix("/v1/") {
        Some(_) => nothing.with_detail(NOTHING_HERE).with_openai_error().into(),
        None => nothing.into(),
    }
}

type Body = RawJson<MAX_BODY_BYTES>;

/// Has a model answer, in the form of Chat Completions.
///
/// The request goes on to a provider as it came, and its answer back, within limits, budgets and permissions. The model `assistant:NAME` is an assistant that
/// answers with the installation's tools; then the scopes `conversations:write` and `tools:call:*` are needed, too. Errors are problems that have a field `error`
/// besides, as clients of OpenAI's API look for it.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/chat/completions", tag = "Models for programs", operation_id = "createChatCompletion",
    request_body(content = serde_json::Value, description = "As in OpenAI's API, of at most 6 MiB.", example = json!({"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]})),
    responses(
        (status = 200, description = "The provider's answer, as it came; a stream if the request wants one.", content((serde_json::Value = "application/json"), (String = "text/event-stream"))),
        described::AssistantRefusals,
    ),
))]
async fn chat_completions<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    pass(Endpoint::ChatCompletions, programs, session, headers, body).await
}

/// Has a model answer, in the form of Responses.
///
/// The request goes on to a provider as it came, and its answer back, within limits, budgets and permissions. Errors are problems that have a field
/// `error` besides, as clients of OpenAI's API look for it.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/responses", tag = "Models for programs", operation_id = "createResponse",
    request_body(content = serde_json::Value, description = "As in OpenAI's API, of at most 6 MiB.", example = json!({"model": "gpt-4.1-mini", "input": "Hello"})),
    responses(
        (status = 200, description = "The provider's answer, as it came; a stream if the request wants one.", content((serde_json::Value = "application/json"), (String = "text/event-stream"))),
        described::Refusals,
    ),
))]
async fn responses<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    pass(Endpoint::Responses, programs, session, headers, body).await
}

/// Has a model turn texts into vectors.
///
/// The request goes on to a provider as it came, and its answer back, within limits, budgets and permissions. Errors are problems that have a field
/// `error` besides, as clients of OpenAI's API look for it.
#[cfg_attr(test, utoipa::path(
    post, path = "/v1/embeddings", tag = "Models for programs", operation_id = "createEmbeddings",
    request_body(content = serde_json::Value, description = "As in OpenAI's API, of at most 6 MiB.", example = json!({"model": "text-embedding-3-small", "input": "Hello"})),
    responses(
        (status = 200, description = "The provider's answer, as it came.", body = serde_json::Value),
        described::Refusals,
    ),
))]
async fn embeddings<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    pass(Endpoint::Embeddings, programs, session, headers, body).await
}

/// A request goes on, and its answer back. axum wants futures that may move to another thread. A guest has one, so none ever does.
fn pass<D: Database + 'static>(
    endpoint: Endpoint,
    programs: Programs<D>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Body,
) -> impl Future<Output = Result<Response>> + Send {
    SendWrapper::new(answered(endpoint, programs, session, headers, body))
}

async fn answered<D: Database + 'static>(
    endpoint: Endpoint,
    programs: Programs<D>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    RawJson(body): Body,
) -> Result<Response> {
    match assistants::named(&body) {
        None => passed(endpoint, programs, session, body).await,
        Some(name) if endpoint == Endpoint::ChatCompletions => {
            assistants::answer(programs, &session, &headers, &name, &body).await
        }
        Some(_) => Err(assistants::elsewhere().into()),
    }
}

async fn passed<D: Database + 'static>(
    endpoint: Endpoint,
    programs: Programs<D>,
    session: Allowed<ModelsCall>,
    body: Bytes,
) -> Result<Response> {
    let request = &Request::read(endpoint, &body).map_err(|error| invalid(&error))?;
    let model = request.model();
    if model.len() > MAX_MODEL_BYTES {
        return Err(models::not_offered(model).into());
    }
    session.check(&Action::UseModel(model))?;
    let providers = asking::providers(&programs, endpoint, model).await?;
    let first = providers.first().ok_or_else(|| models::not_offered(model))?;
    let beginning = Beginning { programs: &programs, session: &session, endpoint, request };
    let begun = beginning.begin(first).await?;
    let question = Question { endpoint, body: &body, request, max_answer_tokens: begun.max_answer_tokens };
    let asked = ask(programs.ways.open, &programs.config, question, &providers).await;
    let mut response = match asked {
        Ok((response, answered)) => {
            (programs.ways.deliver)(response, delivery::work(&programs, &begun, endpoint, request, answered))
        }
        Err(refusal) => {
            if let Err(error) = begun.settle(programs.app.store(), &unanswered(&refusal, request)).await {
                let fields = serde_json::json!({ "cause": error.to_string() });
                log(COMPONENT, Level::Error, "what a program used cannot be stored", fields);
            }
            refusal.into_response()
        }
    };
    response.headers_mut().extend(begun.headers);
    Ok(response)
}

/// What a request cost that nobody answered: nothing, unless a provider may have read it.
fn unanswered(refusal: &Refusal, request: &Request<'_>) -> ModelRequestUsage {
    match refusal {
        Refusal::Late(_) => ModelRequestUsage {
            prompt_tokens: request.prompt_tokens(),
            is_estimated: true,
            ..ModelRequestUsage::default()
        },
        Refusal::Said(..) | Refusal::Ours(_) => ModelRequestUsage::default(),
    }
}

fn invalid(error: &InvalidRequest) -> Problem {
    let problem =
        Problem::new(StatusCode::BAD_REQUEST, "invalid_request", format!("This cannot be passed on: {error}."));
    match error.field() {
        Some(field) => problem.with_field(field),
        None => problem,
    }
}

#[cfg(test)]
pub(crate) mod tests;
