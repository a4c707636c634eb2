//! `GET /api/runs/{id}/events`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use orchestrator::{Opened, response_streamer::PREAMBLE};
use permissions::table::ConversationsRead;
use platform::{
    measuring,
    outlet::{self, Outflow},
};
use problem::Problem;
use serde::Deserialize;
use storage::Database;
use web::{Allowed, PathId, Query, Result, preferences};

use crate::{COMPONENT, host::SpinHost, reader::RunReader, router::Stream, tools::Tools};

#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Resume {
    /// The last event that was seen, for whoever cannot set headers.
    last_event_id: Option<String>,
}

/// Streams the events of a run.
///
/// The first reader starts the run, and every reader gets all of its events, as server-sent events. `event` repeats the `type` of the data. `id` only
/// grows within a run: it counts the characters of the text so far, so that a run that another host takes over goes on at the same place. A reader
/// that lost the connection asks again with the last `id`. A comment line comes every ten seconds. docs/api.md describes the events.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/runs/{id}/events", tag = "Run events", operation_id = "streamRunEvents",
    params(
        ("id" = domain::Id, Path),
        Resume,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen; browsers send it by themselves. It goes before `last_event_id`."),
        ("Accept-Language" = Option<String>, Header, description = "The language of this installation's tools."),
        ("Time-Zone" = Option<String>, Header, description = "The person's time zone, such as `Europe/Berlin`. It stays that of the run's first call."),
    ),
    responses(
        (status = 200, description = "The events. The data of each is JSON of this form.", content((domain::event::Data = "text/event-stream"))),
        (status = 204, description = "The run has ended, and the reader has all its events."),
    ),
))]
pub(crate) async fn events<D: Database + 'static>(
    State(Stream { app, config, .. }): State<Stream<D>>,
    session: Allowed<ConversationsRead>,
    PathId(run_id): PathId,
    Query(resume): Query<Resume>,
    headers: HeaderMap,
) -> Result<Response> {
    let seen = last_event_id(&headers, resume)?;
    let whose = (session.user_id(), run_id);
    let (preferences, access) = (preferences::passed_on(&headers), session.access().clone());
    let tools = Tools::new(app.clone(), whose, preferences, access);
    let host = SpinHost::new(app.clone(), Arc::clone(&config), tools);
    let reading = match orchestrator::open(&host, session.user_id(), run_id, seen).await? {
        Opened::NotFound => return Err(Problem::not_found().into()),
        Opened::NothingMore => return Ok(StatusCode::NO_CONTENT.into_response()),
        Opened::Events(reading) => reading,
    };
    let outflow = outlet::spawn(PREAMBLE, async move |outlet| {
        orchestrator::request_handler::read(&host, &config.settings, reading, RunReader::Body(outlet)).await;
        // A run may have ended.
        platform::webhooks::wake_if_any(COMPONENT, &app);
        measuring::soon(COMPONENT);
    });
    Ok(stream(outflow))
}

fn stream(outflow: Outflow) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(outflow);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx and its kind hold answers back unless they are told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Where the reader left off: the header that browsers send by themselves, or the query for whoever cannot set headers.
fn last_event_id(headers: &HeaderMap, resume: Resume) -> Result<u64> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("not text").to_owned());
    match header.or(resume.last_event_id) {
        None => Ok(0),
        Some(text) if text.trim().is_empty() => Ok(0),
        Some(text) => {
            text.trim().parse().map_err(|_| Problem::invalid_field("Last-Event-ID", "Use the id of an event.").into())
        }
    }
}
