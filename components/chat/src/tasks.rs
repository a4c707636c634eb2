//! Tasks of runs that were stopped or deleted: `tools` stops them at their servers.

use domain::Id;
use platform::inside;
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
    inside::ask(TOOLS, STOP_TASKS_PATH, proof, body.into()).await
}
