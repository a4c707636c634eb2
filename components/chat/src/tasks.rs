//! Tasks of runs that were stopped or deleted: `tools` stops them at their servers.

use bytes::Bytes;
use domain::Id;
use http::{Request, header};
use platform::http_client;
use serde_json::json;
use storage::Database;
use toolbox::wire::{STOP_TASKS_PATH, StopTasks};
use web::{
    App,
    log::{Level, log},
};

use crate::COMPONENT;

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "tools";
const TOOLS_ADDRESS: &str = "http://tools.spin.internal";

/// Stops tasks at their servers: those of the run, and others that are to be stopped. The caller does not wait. If it fails, the tasks are stopped with
/// the next ones.
pub(crate) fn stop<D: Database + 'static>(app: &App<D>, user_id: Id, run_id: Option<Id>) {
    let app = app.clone();
    platform::spawn(async move {
        let cause = match asked(&app, user_id, run_id).await {
            Ok(()) => return,
            Err(cause) => cause,
        };
        log(COMPONENT, Level::Error, "the tasks of a stopped run go on", json!({ "run_id": run_id, "cause": cause }));
    });
}

async fn asked<D: Database>(app: &App<D>, user_id: Id, run_id: Option<Id>) -> Result<(), String> {
    let which = StopTasks { run_id: run_id.map(|id| id.to_string().into()) };
    let body = serde_json::to_vec(&which).map_err(|error| error.to_string())?;
    let proof = app.prove(TOOLS, Some(user_id), &run_id.unwrap_or_default().to_string()).await;
    let proof = proof.map_err(|error| error.causes().unwrap_or_default())?;
    let request = Request::post(format!("{TOOLS_ADDRESS}{STOP_TASKS_PATH}"))
        .header(header::AUTHORIZATION, proof)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("tools answered {}", response.status)) }
}
