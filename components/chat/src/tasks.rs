//! Calls of a stopped run that go on at their servers: `tools` has them stopped there.

use bytes::Bytes;
use domain::Id;
use http::{Request, header};
use platform::http_client;
use serde_json::json;
use toolbox::wire::{STOP_TASKS_PATH, TasksOf};
use web::log::{Level, log};

use crate::COMPONENT;

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "http://tools.spin.internal";

/// Has the tasks stopped of a run that its person has stopped. Whoever stopped it does not wait for that.
pub(crate) fn stop(user_id: Id, run_id: Id) {
    platform::spawn(async move {
        let of = TasksOf { run_id: run_id.to_string().into(), user_id: user_id.to_string().into() };
        let cause = match asked(&of).await {
            Ok(()) => return,
            Err(cause) => cause,
        };
        log(COMPONENT, Level::Error, "the tasks of a stopped run go on", json!({ "run_id": run_id, "cause": cause }));
    });
}

async fn asked(of: &TasksOf<'_>) -> Result<(), String> {
    let body = serde_json::to_vec(of).map_err(|error| error.to_string())?;
    let request = Request::post(format!("{TOOLS}{STOP_TASKS_PATH}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())?;
    let response = http_client::send(request).await.map_err(|error| error.to_string())?;
    if response.status.is_success() { Ok(()) } else { Err(format!("tools answered {}", response.status)) }
}
