//! `/v1`: what programs say to models, in OpenAI's API. A request goes on to a provider as it came, and its answer back, within the same limits, budgets and
//! permissions as everything else, and counted (docs/adr/0048). Errors are said in OpenAI's form, too. Nothing of what is said is stored.

mod asking;
mod beginning;
mod delivery;
mod models;
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
use http::{HeaderMap, Method};
use passthrough::{Endpoint, InvalidRequest, Request};
use permissions::{Action, table::ModelsCall};
use problem::Problem;
use send_wrapper::SendWrapper;
use serde_json::value::RawValue;
use storage::{Database, model_requests::ModelRequestUsage};
use web::{Allowed, App, Authenticator, Json, Result};

use crate::{config::Config, outside::Outlet, router::Stream};
use asking::ask;
use beginning::Beginning;
use delivery::{Deliver, deliver};
use upstream::{Open, open};

/// Pictures in a conversation have some megabytes. It is as much as a message may have as JSON, so an instance has room for four at once.
const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;
/// Longer than any model's name.
const MAX_MODEL_BYTES: usize = 200;

/// The ways out and back that are Spin's, and a script's in tests.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    open: Open,
    deliver: Deliver,
}

/// Those of Spin.
pub(crate) const WAYS: Ways = Ways { open, deliver };

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
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response.extensions_mut().insert(problem.with_openai_error());
    }
    response
}

type Body = Json<Box<RawValue>, MAX_BODY_BYTES>;

/// `POST /v1/chat/completions`.
async fn chat_completions<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    Json(body): Body,
) -> Result<Response> {
    pass(Endpoint::ChatCompletions, programs, session, headers, body).await
}

/// `POST /v1/responses`.
async fn responses<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    Json(body): Body,
) -> Result<Response> {
    pass(Endpoint::Responses, programs, session, headers, body).await
}

/// `POST /v1/embeddings`.
async fn embeddings<D: Database + 'static>(
    State(programs): State<Programs<D>>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    Json(body): Body,
) -> Result<Response> {
    pass(Endpoint::Embeddings, programs, session, headers, body).await
}

/// A request goes on, and its answer back. axum wants futures that may move to another thread. A guest has one, so none ever does.
fn pass<D: Database + 'static>(
    endpoint: Endpoint,
    programs: Programs<D>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Box<RawValue>,
) -> impl Future<Output = Result<Response>> + Send {
    SendWrapper::new(passed(endpoint, programs, session, headers, body))
}

async fn passed<D: Database + 'static>(
    endpoint: Endpoint,
    programs: Programs<D>,
    session: Allowed<ModelsCall>,
    headers: HeaderMap,
    body: Box<RawValue>,
) -> Result<Response> {
    let request = Request::read(endpoint, body.get().as_bytes()).map_err(|error| invalid(&error))?;
    let model = request.model();
    session.check(&Action::UseModel(model))?;
    let providers = asking::providers(&programs, endpoint, model).await?;
    let first = providers.first().ok_or_else(|| models::not_offered(model))?;
    let beginning = Beginning { programs: &programs, session: &session, endpoint, request: &request };
    let begun = beginning.begin(first).await?;
    let asked = ask(programs.ways.open, &programs.config, &request, endpoint, &providers, &headers).await;
    let mut response = match asked {
        Ok((response, answered)) => {
            (programs.ways.deliver)(response, delivery::work(&programs, &begun, endpoint, &request, answered))
        }
        Err(refusal) => {
            // A request that nobody answered costs nothing.
            begun.settle(programs.app.store(), &ModelRequestUsage::default()).await?;
            refusal.into_response()
        }
    };
    response.headers_mut().extend(begun.headers);
    Ok(response)
}

fn invalid(error: &InvalidRequest) -> Problem {
    let problem =
        Problem::new(http::StatusCode::BAD_REQUEST, "invalid_request", format!("This cannot be passed on: {error}."));
    match error.field() {
        Some(field) => problem.with_field(field),
        None => problem,
    }
}

#[cfg(test)]
pub(crate) mod tests;
