//! Tasks of runs that were stopped or deleted: `tools` stops them at their servers.

use bytes::Bytes;
use domain::Id;
use http::{Request, header};
use platform::http_client;
use serde_json::json;
use toolbox::wire::{STOP_TASKS_PATH, StopTasks};
use web::log::{Level, log};

use crate::COMPONENT;

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "http://tools.spin.internal";

/// Stops tasks at their servers: those of the run, and others that are to be stopped. The caller does not wait. If it fails, the tasks are stopped with
/// the next ones.
pub(crate) fn stop(run_id: Option<Id>) {
    platform::spawn(async move {
        let which = StopTasks { run_id: run_id.map(|id| id.to_string().into()) };
        let cause = match asked(&which).await {
            Ok(()) => return,
            Err(cause) => cause,
        };
        log(COMPONENT, Level::Error, "the tasks of a stopped run go on", json!({ "run_id": run_id, "cause": cause }));
    });
}

async fn asked(which: &StopTasks<'_>) -> Result<(), String> {
    let body = serde_json::to_vec(which).map_err(|error| error.to_string())?;
    let request = Request::post(format!("{TOOLS}{STOP_TASKS_PATH}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("tools answered {}", response.status)) }
}
