//! `/api/runs/{id}` and the requests about a run. Its events are served by `stream`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Decision, Id, RunState, Timestamp, event::Event, tokens};
use http::StatusCode;
use permissions::{
    Action, Required,
    table::{ConversationsRead, ConversationsWrite, ToolsManage},
};
use problem::Problem;
use serde::Deserialize;
use storage::{
    Database,
    approvals::Decided,
    messages::NewMessage,
    retries::Retried,
    runs::{Batch, Ending, Lease},
};
use web::{
    Allowed, Json, PathId, Query, Result,
    extract::created,
    limits::{RequestLimits, over_budget},
};

use crate::{
    body::{DecidedBody, QueuedBody, RunBody},
    models,
    router::Chat,
};

/// It takes milliseconds to end a run that nobody executes.
const CANCEL_LEASE_MS: i64 = 5_000;

/// Reads a run.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/runs/{id}", tag = "Runs", operation_id = "getRun",
    params(("id" = Id, Path)),
    responses(
        (status = 200, description = "The run.", body = RunBody),
    ),
))]
pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
    PathId(id): PathId,
) -> Result<Json<RunBody>> {
    let run = chat.store().run(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(run.into()))
}

/// How a run is to be stopped.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Cancel {
    /// Nobody waits for whoever executes the run.
    #[serde(default)]
    at_once: bool,
}

/// Stops a run.
///
/// Its executor learns of the request within a tick and ends it; a run without one, or that the person wants to end at once, is ended here: the executor's host may have died, or hang. Servers that work for it are asked to stop. A run
/// that has ended stays as it is.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/runs/{id}/cancel", tag = "Runs", operation_id = "cancelRun",
    params(("id" = Id, Path), Cancel),
    responses(
        (status = 202, description = "The run, as it is now.", body = RunBody),
    ),
))]
pub(crate) async fn cancel<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Query(Cancel { at_once }): Query<Cancel>,
) -> Result<Response> {
    let request = chat.store().request_cancel(session.user_id(), id, at_once).await?.ok_or_else(Problem::not_found)?;
    if request.claimable {
        end_unattended(&chat, id).await?;
    }
    // Also for a run that has ended: a second request is a second attempt.
    if request.has_tasks {
        chat.stop_tasks(session.user_id(), Some(id));
    }
    let run = match request.claimable {
        true => chat.store().run(session.user_id(), id).await?.ok_or_else(Problem::not_found)?,
        false => request.run,
    };
    Ok((StatusCode::ACCEPTED, Json::<_>(RunBody::from(run))).into_response())
}

/// Ends a run without an executor. Its text is kept: the log becomes the answer.
async fn end_unattended<D: Database>(chat: &Chat<D>, run_id: Id) -> Result<()> {
    let lease = Lease { run_id, owner: Id::new() };
    let Some(claim) = chat.store().claim(lease, CANCEL_LEASE_MS, "").await? else { return Ok(()) };
    let mut progress = chat.store().progress(run_id).await?;
    if chat.has_budgets().await? {
        let told = tokens::estimate(&progress.text) + tokens::estimate(&progress.thinking);
        chat.store().settle_budget(lease, true, told).await?;
    }
    store_ended_tasks(chat, lease, &mut progress.last_id).await?;
    let message =
        (!progress.text.is_empty()).then(|| NewMessage::answer(progress.text, progress.thinking, "cancelled"));
    let mut batch = Batch { last_id: progress.last_id, ..Batch::default() };
    let message_id = message.as_ref().map(|message| message.id);
    Event::Complete { finish_reason: "cancelled", usage: None, message_id, attempt: claim.attempt, answered: None }
        .write(&mut batch.last_id, &run_id.to_string(), Timestamp::now(), &mut batch.frames);
    let ending = Ending { state: RunState::Cancelled, failure: None, usage: None, message, batch };
    chat.store().finish_run(lease, &ending).await?;
    Ok(())
}

/// Stores the results of the run's tasks that have ended and that no executor has stored.
async fn store_ended_tasks<D: Database>(chat: &Chat<D>, lease: Lease, last_id: &mut u64) -> Result<()> {
    for task in chat.store().tool_tasks(lease.run_id).await? {
        let Some((content, result)) = task.result() else { continue };
        let (message, mut frames) = (NewMessage::result(content, result.clone()), String::new());
        let event = Event::result(&task.name, &message.content, &result);
        event.write(last_id, &lease.run_id.to_string(), Timestamp::now(), &mut frames);
        chat.store().finish_tool_call(lease, &message, &Batch { last_id: *last_id, frames }).await?;
    }
    Ok(())
}

/// Tries again to answer a message.
///
/// A new run for the same message, if the last run of the conversation failed or was stopped.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/runs/{id}/retry", tag = "Runs", operation_id = "retryRun",
    params(("id" = Id, Path)),
    responses(
        (status = 201, description = "The new run.", body = QueuedBody),
        (status = 403, description = "`forbidden`: the caller's roles do not have the model. `insufficient_scope`: the key lacks `tools:call:*`."),
        (status = 409, description = "`run_active`: an answer is being written already. `not_retryable`: it is not the last run, or it neither failed nor was stopped."),
        (status = 429, description = "`rate_limited`. `budget`."),
    ),
))]
pub(crate) async fn retry<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
) -> Result<Response> {
    session.check_may_run()?;
    if !session.access().allows_all_models() {
        let run = chat.store().run(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
        models::check(&chat, &session, run.conversation_id, &run.model).await?;
    }
    if let Some(refused) = chat.store().refused_retry(session.user_id(), id).await? {
        return Err(not_retried(refused).into());
    }
    let (limits, api_key_id) = (RequestLimits::of(&session, &chat.config.rates), session.api_key().map(|key| key.id));
    let left = chat.store().take_quotas(limits.buckets()).await?;
    limits.check(&left)?;
    match chat.store().retry_run(session.user_id(), id, api_key_id).await? {
        Retried::Queued(run) => {
            traces::run_begun(run.id.as_u128(), run.id);
            let mut response = created(QueuedBody { run: run.into() });
            response.headers_mut().extend(limits.headers(&left));
            Ok(response)
        }
        refused => Err(limits.told(not_retried(refused), &left).into()),
    }
}

/// Why a run is not tried again.
fn not_retried(refused: Retried) -> Problem {
    match refused {
        Retried::OverBudget(budget) => over_budget(&budget),
        Retried::Queued(_) | Retried::NotFound => Problem::not_found(),
        Retried::RunActive => {
            Problem::conflict("run_active", "An answer is being written already. Wait for it, or stop it.")
        }
        Retried::NotRetryable => {
            let detail = "Only the last answer can be tried again, and only if it failed or was stopped.";
            Problem::conflict("not_retryable", detail)
        }
    }
}

/// A decision about a call that waits for one.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CallDecision, example = json!({"call_id": "call_1", "decision": "allow_once"})))]
pub(crate) struct Decide {
    /// The `call_id` of the event `tool_approval`.
    call_id: String,
    /// `allow_once`, `allow_always` or `deny`. Read as a string, so that an unknown decision is reported as a wrong field, not as a wrong body.
    #[cfg_attr(test, schema(value_type = domain::Decision))]
    decision: String,
}

/// Decides about a call that waits for the person.
///
/// The readers of the events then get the rest of the run; the next of them goes on with it. `allow_always` also stores a policy of this person for
/// this tool of this server, so it needs `tools:manage`. The same decision again is no error.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/runs/{id}/approvals", tag = "Runs", operation_id = "decideCall",
    params(("id" = Id, Path)),
    request_body = Decide,
    responses(
        (status = 200, description = "The decision, and the run.", body = DecidedBody),
        (status = 403, description = "`forbidden`: `allow_always` needs the permission `tools:manage`. `insufficient_scope`: the key lacks `tools:call:*` or `tools:manage`."),
        (status = 409, description = "`already_decided`: another decision was made before. `approval_expired`: the question has expired, or the run has ended. `always_asks`: the tool asks before every call, so that only this one can be allowed; the question stays open."),
    ),
))]
pub(crate) async fn decide<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsWrite>,
    PathId(id): PathId,
    Json(body): Json<Decide>,
) -> Result<Json<DecidedBody>> {
    let Decide { call_id, decision } = body;
    let decision = Decision::parse(&decision)
        .ok_or_else(|| Problem::invalid_field("decision", "Decide with allow_once, allow_always or deny."))?;
    session.check_may_run()?;
    if decision == Decision::AllowAlways {
        // It stores a policy.
        session.check(&Action::Route(ToolsManage::NAME))?;
    }
    match chat.store().decide_approval(session.user_id(), id, &call_id, decision).await? {
        Decided::Decided => {}
        // The same decision twice, for example in two tabs.
        Decided::AlreadyDecided(before) if before == decision => {}
        Decided::AlreadyDecided(_) => {
            return Err(Problem::conflict("already_decided", "You already decided differently.").into());
        }
        Decided::Expired => {
            let detail = "Too late: this question has expired or the run has ended.";
            return Err(Problem::conflict("approval_expired", detail).into());
        }
        Decided::AlwaysAsks => {
            let detail =
                "This tool asks before every call, so only this one can be allowed: decide with allow_once or deny.";
            return Err(Problem::conflict("always_asks", detail).into());
        }
        Decided::NotFound => return Err(Problem::not_found().into()),
    }
    let run = chat.store().run(session.user_id(), id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(DecidedBody { call_id, decision, run: run.into() }))
}
