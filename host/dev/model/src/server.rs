//! Connections and routes. Must not decide the content of an answer: `answer` and `stream` do.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Body};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

use crate::answer;
use crate::attempts::Attempts;
use crate::completion::{self, Head};
use crate::failure::ScriptedFailure;
use crate::journal::{AnswerOutcome, Journal, Record};
use crate::request::ChatRequest;
use crate::script::{PREFIX, Script};
use crate::stream;

/// Larger than a long conversation with tool results.
const REQUEST_MAX_BYTES: usize = 16 * 1024 * 1024;
/// More than a load test on one machine opens; further ones wait in the listener's queue.
const CONNECTIONS_MAX: usize = 8_192;
/// A failed `accept` is a problem of the machine (no file descriptor left), so an immediate retry would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The models in the list for people; any other name with knobs works too.
const LISTED: [&str; 4] =
    [PREFIX, "scripted-reasoning=8", "scripted-chunks=500-delay=10", "scripted-chunks=200-delay=0-ttft=0"];

struct Server {
    needs_key: bool,
    journal: Journal,
    attempts: Attempts,
}

/// Marks a response that is never sent: the connection is closed instead.
#[derive(Clone)]
struct Cut;

/// Serves until the task is dropped. Every request needs an `Authorization: Bearer` header with any key.
///
/// # Errors
/// None while it runs; the `Result` is for the caller's `?`.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    run(listener, true).await
}

/// [`serve`] without requiring a key.
///
/// # Errors
/// As [`serve`].
pub async fn serve_open(listener: TcpListener) -> anyhow::Result<()> {
    run(listener, false).await
}

async fn run(listener: TcpListener, needs_key: bool) -> anyhow::Result<()> {
    let server = Server { needs_key, journal: Journal::default(), attempts: Attempts::default() };
    let app = Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(completions))
        .route("/_journal", get(read_journal).delete(clear_journal))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(Arc::new(server));
    // Connections end with this future.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection(socket, app.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Uses HTTP/1 directly instead of `axum::serve`, which cannot close a connection without a response.
async fn connection(socket: TcpStream, app: Router) {
    // Without it a small event can wait 40 ms for an acknowledgement. If it cannot be set, the connection is only slower.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut app = app.clone();
        async move {
            let Ok(response): Result<Response, Infallible> = app.call(request.map(Body::new)).await;
            match response.extensions().get::<Cut>() {
                Some(Cut) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                None => Ok(response),
            }
        }
    });
    // A client that disconnects is the normal end of a stream; the journal records it.
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(socket), service).await;
}

async fn models(State(server): State<Arc<Server>>, headers: HeaderMap) -> Result<Json<Value>, ScriptedFailure> {
    server.check_key(&headers)?;
    let list = LISTED.map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "edge-assistant"}));
    Ok(Json(json!({"object": "list", "data": list})))
}

async fn completions(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ScriptedFailure> {
    server.check_key(&headers)?;
    let body = body.map_err(|rejection| {
        ScriptedFailure::new(rejection.status(), "invalid_request_error", None, rejection.body_text())
    })?;
    let (request, raw) = ChatRequest::parse(&body)?;
    let script = Script::parse(&request.model)?;
    let record = server.journal.open(&headers, raw, body.len(), script.test.as_deref());

    let faulty = server.faulty(&request, &script);
    if faulty && let Some(status) = script.faults.fail {
        record.status(status);
        record.ended(AnswerOutcome::Failed);
        return Err(ScriptedFailure::scripted(status, script.faults.retry_after_s));
    }
    if faulty && script.faults.reset == Some(0) {
        record.ended(AnswerOutcome::Cut);
        return Ok(cut());
    }
    let answer = answer::write(&request, &script);
    let head = Head::new(&request);
    record.status(StatusCode::OK);
    if request.stream {
        let steps = stream::plan(completion::events(&head, &request, &script, &answer), &script, faulty);
        let headers = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
        return Ok((headers, Body::from_stream(stream::play(steps, record))).into_response());
    }
    let chunks = u32::try_from(answer.content.len() + answer.reasoning.len()).unwrap_or(u32::MAX);
    tokio::time::sleep(script.ttft.saturating_add(script.delay.saturating_mul(chunks))).await;
    if faulty && let Some(response) = faulty_whole(&script, &record).await? {
        return Ok(response);
    }
    record.ended(AnswerOutcome::Finished);
    Ok(Json(completion::whole(&head, &script, &answer)).into_response())
}

/// The faults that happen midway, for a response that is not streamed. `None`: the script has no such fault.
async fn faulty_whole(script: &Script, record: &Record) -> Result<Option<Response>, ScriptedFailure> {
    let faults = &script.faults;
    if faults.silence.is_some() {
        std::future::pending::<()>().await;
    }
    if faults.reset.is_some() {
        record.ended(AnswerOutcome::Cut);
        return Ok(Some(cut()));
    }
    if faults.midstream_error.is_some() {
        record.ended(AnswerOutcome::Failed);
        return Err(ScriptedFailure::scripted(StatusCode::INTERNAL_SERVER_ERROR, None));
    }
    if faults.bad_json.is_some() {
        record.ended(AnswerOutcome::Finished);
        let body = ([(header::CONTENT_TYPE, "application/json")], "{\"id\":\"chatcmpl-");
        return Ok(Some(body.into_response()));
    }
    Ok(None)
}

fn cut() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Cut);
    response
}

#[derive(Deserialize)]
struct JournalQuery {
    test: Option<String>,
}

async fn read_journal(State(server): State<Arc<Server>>, Query(query): Query<JournalQuery>) -> Json<Value> {
    Json(server.journal.read(query.test.as_deref()))
}

async fn clear_journal(State(server): State<Arc<Server>>, Query(query): Query<JournalQuery>) -> StatusCode {
    server.journal.clear(query.test.as_deref());
    StatusCode::NO_CONTENT
}

async fn unknown() -> ScriptedFailure {
    ScriptedFailure::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        None,
        "Unknown URL: the scripted model has GET /v1/models, POST /v1/chat/completions and /_journal.",
    )
}

impl Server {
    fn check_key(&self, headers: &HeaderMap) -> Result<(), ScriptedFailure> {
        let key = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        if self.needs_key && key.is_none_or(|key| key.trim().is_empty()) {
            return Err(ScriptedFailure::new(
                StatusCode::UNAUTHORIZED,
                "invalid_request_error",
                Some("invalid_api_key"),
                "You didn't provide an API key: send any in an Authorization header, as in `Bearer scripted`.",
            ));
        }
        Ok(())
    }

    /// Whether the script's faults apply to this request.
    fn faulty(&self, request: &ChatRequest, script: &Script) -> bool {
        let Some(failures) = script.failures else { return true };
        let key = match &script.test {
            Some(test) => {
                let mut hasher = DefaultHasher::new();
                (test, &request.model).hash(&mut hasher);
                hasher.finish()
            }
            None => request.fingerprint,
        };
        self.attempts.count(key) < failures
    }
}
