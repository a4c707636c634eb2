//! Calls that go on at servers elsewhere as tasks: what is asked about them, and how they are stopped. For runs, which wait for them, and for
//! programs at the gateway (`gateway_tasks.rs`).

use std::time::Duration;

use axum::extract::State;
use cache::within;
use domain::Id;
use futures::future::join_all;
use http::StatusCode;
use mcp::{ClientError, Task, TaskState};
use problem::Problem;
use serde_json::json;
use storage::{
    Database,
    tool_tasks::{ClaimedTask, Said},
};
use tool_catalogue::{Host, Listed};
use toolbox::{AuditEntry, CallFailure, Redaction, Tool, end_of, judged, text_for_model, wire::TasksOf};
use web::{
    Json, Result,
    log::{Level, log},
};

use crate::{
    config::COMPONENT,
    failures::failed,
    progress::MAX_MESSAGE_CHARS,
    record::record,
    state::{Tools, here},
};

/// How long a server may take to say how far a task is, or that it will be stopped. It has nothing to do for that but to look.
const ASK_LIMIT: Duration = Duration::from_secs(8);
/// For how long nobody else asks about a task while one does: a little longer.
const ASKING_MS: i64 = 10_000;
/// A request of the house with two ids.
const MAX_BYTES: usize = 1024;
/// JSON-RPC's code for a task that a server does not know.
const INVALID_PARAMS: i64 = -32602;

/// What people read while a server does not answer.
const SILENT: &str = "Its server cannot be asked at the moment.";

/// Where a task is.
#[derive(Clone, Copy)]
pub(crate) struct TaskAt<'a> {
    pub(crate) server: &'a str,
    /// The server's name for it.
    pub(crate) id: &'a str,
    /// Where it was made there, as the client half said it.
    pub(crate) session: Option<&'a str>,
}

impl<'a> From<&'a ClaimedTask> for TaskAt<'a> {
    fn from(task: &'a ClaimedTask) -> Self {
        Self { server: &task.server, id: &task.task_id, session: task.session.as_deref() }
    }
}

/// Why nothing is known about a task.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Its server no longer knows it.
    Unknown,
    /// Its server cannot be asked now; it may be later.
    Silent(CallFailure),
}

impl AskError {
    pub(crate) fn into_failure(self) -> CallFailure {
        match self {
            Self::Unknown => CallFailure::TaskLost,
            Self::Silent(failure) => failure,
        }
    }
}

/// `POST /internal/tasks/ask`, for `stream`: asks about the tasks of a run for which it is time, and stores what their servers say.
pub(crate) async fn ask<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    Json(of): Json<TasksOf<'static>, MAX_BYTES>,
) -> Result<StatusCode> {
    let (user_id, run_id) = ids(&of)?;
    let due = tools.store().claim_due_tool_tasks(user_id, run_id, ASKING_MS).await?;
    if due.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let listed = tools.listed().await?;
    here(async move {
        let asked = join_all(due.iter().map(|task| look(&tools, &listed, user_id, run_id, task))).await;
        asked.into_iter().collect::<Result<Vec<()>>>()
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /internal/tasks/stop`, for `chat`: has the tasks stopped of a run that its person has stopped. Nobody waits for them any more, so
/// they are forgotten here, whatever their servers do.
pub(crate) async fn stop<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    Json(of): Json<TasksOf<'static>, MAX_BYTES>,
) -> Result<StatusCode> {
    let (user_id, run_id) = ids(&of)?;
    let stopped = tools.store().forget_stopped_tool_tasks(user_id, run_id).await?;
    here(async {
        join_all(stopped.iter().map(|task| cancel(&tools, user_id, task.into()))).await;
    })
    .await;
    Ok(StatusCode::NO_CONTENT)
}

fn ids(of: &TasksOf<'_>) -> Result<(Id, Id)> {
    let id = |text: &str| -> Result<Id> { text.parse().map_err(|_| Problem::not_found().into()) };
    Ok((id(&of.user_id)?, id(&of.run_id)?))
}

/// Asks about one task, and stores what its server says.
async fn look<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    listed: &Listed,
    user_id: Id,
    run_id: Id,
    of: &ClaimedTask,
) -> Result<()> {
    let (store, call_id) = (tools.store(), of.call_id.as_str());
    // What is listed under this name now may be another tool.
    let tool = listed.catalog.find(&of.name).filter(|tool| (&tool.server, &tool.name) == (&of.server, &of.tool));
    let tool = tool.cloned().unwrap_or_else(|| Tool::unlisted(of.server.clone(), of.tool.clone()));
    let end = match asked(tools, user_id, &tool, of.into()).await {
        Ok(task) if task.state == TaskState::Working => {
            return Ok(store.note_tool_task(user_id, run_id, call_id, said(&task)).await?);
        }
        Ok(task) => {
            if matches!(task.state, TaskState::InputRequired(_)) {
                cancel(tools, user_id, of.into()).await;
            }
            end_of(task.state)
        }
        Err(AskError::Silent(_)) if !of.has_lapsed => {
            return Ok(store.note_silent_tool_task(user_id, run_id, call_id, SILENT).await?);
        }
        Err(error) => Some(Err(error.into_failure())),
    };
    let Some(end) = end else { return Ok(()) };
    let (outcome, code) = judged(&tool, end);
    if store.end_tool_task(user_id, run_id, call_id, &text_for_model(&outcome), outcome.is_error).await? {
        let entry = AuditEntry { server: Some(of.server.clone()), tool: of.tool.clone(), code };
        // Logged there; the result is not lost over it.
        let _ = record(tools, user_id, Some((run_id, call_id)), &entry).await;
    }
    Ok(())
}

/// Asks a server about a task, without what is secret in its answer.
pub(crate) async fn asked<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    tool: &Tool,
    of: TaskAt<'_>,
) -> std::result::Result<Task, AskError> {
    let Some(server) = tools.server(of.server).filter(|server| server.remote) else {
        return Err(AskError::Unknown);
    };
    let redaction = Redaction::new(server.secret());
    let client = tools.memory().sessions.lend(tools.host(), server, user_id);
    match within(tools.host(), ASK_LIMIT, client.task(of.id, of.session)).await {
        Some(Ok(task)) => Ok(redacted(task, &redaction)),
        Some(Err(ClientError::Protocol { code: INVALID_PARAMS, .. })) => Err(AskError::Unknown),
        Some(Err(error)) => Err(AskError::Silent(redaction.failure(failed(tool, error)))),
        None => Err(AskError::Silent(CallFailure::Unreachable("it did not answer in time".to_owned()))),
    }
}

/// Asks a server to stop working on a task. It need not, and whether it does is not waited for.
pub(crate) async fn cancel<D: Database + 'static, H: Host>(tools: &Tools<D, H>, user_id: Id, of: TaskAt<'_>) {
    let Some(found) = tools.server(of.server).filter(|server| server.remote) else { return };
    let client = tools.memory().sessions.lend(tools.host(), found, user_id);
    let cause = match within(tools.host(), ASK_LIMIT, client.cancel_task(of.id, of.session)).await {
        // One that has ended cannot be stopped, which 2025-11-25 calls an error.
        Some(Ok(()) | Err(ClientError::Protocol { code: INVALID_PARAMS, .. })) => return,
        Some(Err(error)) => found.masked(&error.to_string()),
        None => "it did not answer in time".to_owned(),
    };
    log(COMPONENT, Level::Warn, "a task cannot be stopped", json!({ "server": of.server, "cause": cause }));
}

/// What is kept of what a server says.
pub(crate) fn said(task: &Task) -> Said<'_> {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Said { message: task.message.as_deref(), poll_ms: ms(task.poll), lifetime_ms: ms(task.lifetime()) }
}

/// A task without what is secret in what its server says.
pub(crate) fn redacted(mut task: Task, redaction: &Redaction) -> Task {
    if let Some(message) = &mut task.message {
        // The secrets go before the message is cut: half a secret would not be found.
        redaction.text(message);
        *message = message.chars().take(MAX_MESSAGE_CHARS).collect();
    }
    task.state = match task.state {
        TaskState::Completed(outcome) => TaskState::Completed(redaction.outcome(outcome)),
        TaskState::Failed { code, mut message } => {
            redaction.text(&mut message);
            TaskState::Failed { code, message }
        }
        other => other,
    };
    task
}
