//! Calls that go on at servers elsewhere as tasks: what is asked about them, and how they are stopped. For runs, which wait for them, and for
//! programs at the gateway (`gateway_tasks.rs`).

use std::{rc::Rc, time::Duration};

use axum::extract::State;
use cache::within;
use domain::Id;
use futures::{StreamExt, future::join_all, stream};
use http::StatusCode;
use mcp::{ClientError, INVALID_PARAMS, MAX_TTL, METHOD_NOT_FOUND, Task, TaskState, TransportError};
use problem::Problem;
use serde_json::json;
use storage::{
    Database,
    tool_tasks::{ClaimedTask, Said},
};
use tool_catalogue::{Host, Server, close};
use toolbox::{AuditEntry, CallFailure, KnownTool, Redaction, end_of, judged, text_for_model, wire::StopTasks};
use web::{
    Inside, Json, Result,
    inside::{Chat, Stream},
    log::{Level, log},
};

use crate::{
    access_tokens::{Asked, NoToken, with_token},
    config::COMPONENT,
    connected_lists::listed_for,
    progress::MAX_MESSAGE_CHARS,
    record::record,
    state::{Tools, here},
};

/// How long a server may take to say how far a task is. Its result comes with that, and may be large.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to say that it will stop.
const CANCEL_LIMIT: Duration = Duration::from_secs(8);
/// For how long nobody else asks about a task while one does: longer than asking and stopping take.
const ASKING_MS: i64 = 45_000;
/// For how long nobody else stops a task while one does, and when it is tried again.
const STOPPING_MS: i64 = 30_000;
/// Tasks that are asked about, or stopped, at once. All may be at the same server.
const AT_ONCE: u8 = 4;
/// How long a server must have been silent before a task is given up that it need not keep any more: longer than it takes to start anew.
const SILENCE_MS: i64 = 10 * 60 * 1000;
/// The longest life of a task, whatever its server says.
const MAX_AGE_MS: i64 = MAX_TTL.as_millis() as i64;
/// A request of the house with an id.
const MAX_BYTES: usize = 1024;
/// What people read while a server does not answer.
const SILENT: &str = "Its server cannot be asked at the moment.";

/// What a task came to that never ends.
const TOO_OLD: &str =
    "it did not end within 30 days, so its server was asked to stop; whether it took effect is not known";

/// What a task came to whose server need not keep it any more, and does not answer.
const GIVEN_UP: &str =
    "its server has not answered for a while, and need not know the task any more; whether it took effect is not known";

/// Where a task is.
#[derive(Clone, Copy)]
pub(crate) struct TaskAt<'a> {
    /// Whose it is.
    pub(crate) user_id: Id,
    pub(crate) server: &'a str,
    /// The server's name for it.
    pub(crate) id: &'a str,
    /// Where it was made there, as the client half said it.
    pub(crate) session: Option<&'a str>,
}

impl<'a> From<&'a ClaimedTask> for TaskAt<'a> {
    fn from(task: &'a ClaimedTask) -> Self {
        let ClaimedTask { user_id, server, task_id, session, .. } = task;
        Self { user_id: *user_id, server, id: task_id, session: session.as_deref() }
    }
}

/// Why nothing is known about a task.
#[derive(Debug)]
pub(crate) enum AskError {
    /// Its server no longer knows it.
    Unknown,
    /// Its server cannot be asked now, and why not; it may be later.
    Silent(String),
}

/// `POST /internal/tasks/ask`, for `stream`: asks about the tasks of a run for which it is time, and stores what their servers say.
pub(crate) async fn ask<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    inside: Inside<Stream>,
) -> Result<StatusCode> {
    let (user_id, run_id) = (inside.person()?, inside.run_id()?);
    here(async move {
        let due = tools.store().claim_due_tool_tasks(user_id, run_id, ASKING_MS, AT_ONCE.into()).await?;
        let looked = join_all(due.iter().map(|task| look(&tools, task))).await;
        looked.into_iter().collect::<Result<()>>()
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /internal/tasks/stop`, for `chat`: stops tasks of runs that were stopped, have ended or are deleted.
pub(crate) async fn stop<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    inside: Inside<Chat>,
    Json(which): Json<StopTasks<'static>, MAX_BYTES>,
) -> Result<StatusCode> {
    let run_id = which.run_id.as_deref().map(id).transpose()?;
    run_id.map_or(Ok(()), |run_id| inside.check_run(run_id))?;
    here(async move { stop_some(&tools, run_id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops tasks that are to be stopped, those of `run_id` first. A task is forgotten once its server was told, need not
/// keep it any more, or has nothing to stop.
pub(crate) async fn stop_some<D: Database + 'static, H: Host>(tools: &Tools<D, H>, run_id: Option<Id>) -> Result<()> {
    let taken = tools.store().take_stopped_tool_tasks(run_id, STOPPING_MS).await?;
    let stops: Vec<_> = taken
        .iter()
        .map(|task| async move {
            if cancel(tools, task.into()).await || task.has_lapsed {
                tools.store().forget_tool_task(task.run_id, &task.call_id).await?;
            }
            Ok(())
        })
        .collect();
    let stopped: Vec<Result<()>> = stream::iter(stops).buffer_unordered(AT_ONCE.into()).collect().await;
    tools.store().forget_ended_tool_tasks().await?;
    stopped.into_iter().collect()
}

/// The same while nobody waits for it.
pub(crate) fn stop_later<D: Database + 'static, H: Host>(tools: &Tools<D, H>) {
    let of = tools.clone();
    tools.host().spawn(async move {
        if stop_some(&of, None).await.is_err() {
            log(COMPONENT, Level::Error, "tasks that are to be stopped cannot be read", json!({}));
        }
    });
}

pub(crate) fn id(text: &str) -> Result<Id> {
    text.parse().map_err(|_| Problem::not_found().into())
}

/// Asks about one task, and stores what its server says.
async fn look<D: Database + 'static, H: Host>(tools: &Tools<D, H>, of: &ClaimedTask) -> Result<()> {
    let (store, user_id, run_id, call_id) = (tools.store(), of.user_id, of.run_id, of.call_id.as_str());
    let end = match asked(tools, of.into()).await {
        Ok(task) if task.state == TaskState::Working && of.age_ms < MAX_AGE_MS => {
            return Ok(store.note_tool_task(user_id, run_id, call_id, said(&task)).await?);
        }
        Ok(task) => {
            if !task.state.has_ended() {
                cancel(tools, of.into()).await;
            }
            end_of(task.state).or_else(|| Some(Err(CallFailure::Upstream(TOO_OLD.to_owned()))))
        }
        Err(AskError::Silent(cause)) if !of.has_lapsed || of.silent_ms.is_none_or(|ms| ms < SILENCE_MS) => {
            if of.silent_ms.is_none() {
                let fields = json!({ "server": of.server, "cause": cause });
                log(COMPONENT, Level::Warn, "a task cannot be asked about", fields);
            }
            return Ok(store.note_silent_tool_task(user_id, run_id, call_id, SILENT).await?);
        }
        Err(AskError::Silent(_)) => {
            cancel(tools, of.into()).await;
            Some(Err(CallFailure::Upstream(GIVEN_UP.to_owned())))
        }
        Err(AskError::Unknown) => Some(Err(CallFailure::TaskLost)),
    };
    let Some(end) = end else { return Ok(()) };
    // Only an end is judged by what its tool says of itself.
    let listed = listed_for(tools, user_id).await.ok();
    // What is listed under this name now may be another tool.
    let tool = listed.as_ref().and_then(|listed| listed.catalog.find(&of.name));
    let tool = tool.filter(|tool| (&tool.server, &tool.name) == (&of.server, &of.tool)).cloned();
    let tool = tool.unwrap_or_else(|| KnownTool::unlisted(of.server.clone(), of.tool.clone()));
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
    of: TaskAt<'_>,
) -> std::result::Result<Task, AskError> {
    let Some(server) = tools.server(of.server).filter(|server| server.remote) else {
        // Another host may have it: they are configured one after the other.
        return Err(AskError::Silent("it is not configured".to_owned()));
    };
    let ask = async |server: &Server| {
        let client = Rc::new(server.client(tools.host().clone(), Some(of.user_id), of.id).await);
        let asked = in_time(tools, ASK_LIMIT, client.task(of.id, of.session)).await;
        close(tools.host(), client);
        asked
    };
    let asked = with_token(tools, server, of.user_id, ask).await.map_err(silent)?;
    let refusal = asked.refusal().map(|refusal| refusal.to_string());
    let Asked { server, answer, .. } = asked;
    match answer {
        Ok(task) => Ok(redacted(task, &Redaction::new(server.secret()))),
        Err(error) if is_unknown(&error) => Err(AskError::Unknown),
        Err(error) => Err(AskError::Silent(refusal.unwrap_or_else(|| server.masked(&error.to_string())))),
    }
}

/// An answer, or that there was none in time.
async fn in_time<D: Database + 'static, H: Host, T>(
    tools: &Tools<D, H>,
    limit: Duration,
    answer: impl Future<Output = std::result::Result<T, ClientError>>,
) -> std::result::Result<T, ClientError> {
    within(tools.host(), limit, answer).await.unwrap_or(Err(ClientError::Transport(TransportError::TimedOut)))
}

fn silent(error: NoToken) -> AskError {
    AskError::Silent(CallFailure::from(error).to_string())
}

/// Whether the server does not know the task, or no tasks any more.
fn is_unknown(error: &ClientError) -> bool {
    match error {
        ClientError::Protocol { code, .. } => matches!(*code, INVALID_PARAMS | METHOD_NOT_FOUND),
        ClientError::Http { status, .. } => matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE),
        _ => false,
    }
}

/// Asks a server to stop working on a task. Returns whether it was told, or has nothing to stop. Whether it does stop is not waited for.
pub(crate) async fn cancel<D: Database + 'static, H: Host>(tools: &Tools<D, H>, of: TaskAt<'_>) -> bool {
    let Some(found) = tools.server(of.server).filter(|server| server.remote) else { return false };
    let stop = async |server: &Server| {
        let client = Rc::new(server.client(tools.host().clone(), Some(of.user_id), of.id).await);
        let told = in_time(tools, CANCEL_LIMIT, client.cancel_task(of.id, of.session)).await;
        close(tools.host(), client);
        told
    };
    let Ok(Asked { server, answer, .. }) = with_token(tools, found, of.user_id, stop).await else { return false };
    let cause = match answer {
        Ok(()) => return true,
        // A task that has ended cannot be stopped, which 2025-11-25 calls an error.
        Err(error) if is_unknown(&error) => return true,
        Err(error) => server.masked(&error.to_string()),
    };
    log(COMPONENT, Level::Warn, "a task cannot be stopped", json!({ "server": of.server, "cause": cause }));
    false
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
