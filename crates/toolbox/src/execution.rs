//! The steps of a call: find the tool, validate the arguments, check permission, ask for approval, limit the rate, look into the cache, record the
//! start, call, audit. Models and clients of the gateway use the same steps; there is no other way.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use json_schema::canonical;
use mcp::{Content, InputNeeded, MissingCapability, Task};
use permissions::Action;
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};

use crate::{
    AuditCode, CallFailure, Catalog, Effect, KnownTool, Outcome, ServerName, ToolFailure, arguments,
    content::{MAX_RESULT_CHARS, has_text, written_bytes},
    cut, decide,
    exposure::says_only,
    policy::decide_exposed,
    tasks::end_in_time,
    world::{Approval, AuditEntry, Called, Reached, Started, World},
};

/// The time limit of a call. To the person who waits, a slower tool has hung.
pub const CALL_LIMIT: Duration = Duration::from_secs(55);
/// The largest result, including its images. Our own servers send no larger ones.
pub const MAX_OUTCOME_BYTES: usize = mcp::MAX_OUTCOME_BYTES;

/// The longest description of a problem with a result. The server can make the path in it as long as it likes.
const MAX_PROBLEM_CHARS: usize = 300;

/// The end of a call, or the reason why it has to wait.
#[derive(Clone, PartialEq, Debug)]
pub enum Execution {
    /// A result. Failures are results too.
    Result {
        /// The result; [`crate::text_for_model`] is what the model reads.
        outcome: Outcome,
        /// The code for the audit.
        code: AuditCode,
    },
    /// The person must decide first.
    ApprovalNeeded {
        /// The server.
        server: ServerName,
        /// The tool's display name.
        title: String,
        /// Whether the tool always asks, so that only this one call can be allowed.
        always_asks: bool,
        /// Whether the question is asked because the call may disclose something private to others.
        may_disclose: bool,
        /// When the question expires, in milliseconds since 1970.
        expires_at_ms: i64,
    },
    /// The call was made and continues as a task on its server.
    Task {
        /// The server.
        server: ServerName,
        /// The tool's name on its server.
        tool: String,
        /// The tool's display name.
        title: String,
        /// The task, as the server describes it.
        task: Box<Task>,
        /// When the task began, in milliseconds since 1970.
        started_at_ms: i64,
    },
    /// The tool asks the gateway's client for input, and the client must call again with the answer.
    InputNeeded(InputNeeded),
    /// The tool needs input from the gateway's client, which did not declare that it can be asked.
    CapabilityNeeded(MissingCapability),
    /// Another executor has the run now. Nothing was done.
    LeaseLost,
}

/// Makes a call, unless a rule forbids it.
///
/// # Errors
/// Those of the [`World`]. Nothing was called then.
pub async fn execute<W: World>(
    world: &W,
    catalog: &Catalog,
    name: &str,
    arguments: &str,
) -> Result<Execution, W::Error> {
    let found = catalog.find(name);
    // This check comes first. Otherwise another refusal could say that the call was not made, although it was begun.
    if world.begun() && !found.is_some_and(KnownTool::may_repeat) {
        return Ok(refuse(world, &ToolFailure::NotRepeated(name, found)).await);
    }
    let Some(tool) = found else {
        return Ok(refuse(world, &ToolFailure::UnknownTool(name)).await);
    };
    let sent = arguments::as_sent(arguments);
    let arguments = match arguments::validate(&tool.input_schema, arguments) {
        Ok(arguments) => arguments,
        Err(cause) => return Ok(refuse(world, &ToolFailure::InvalidArguments(tool, cause)).await),
    };
    let permitted = match permit(world, tool, &arguments, sent).await? {
        Ok(permitted) => permitted,
        Err(otherwise) => return Ok(otherwise),
    };
    // An approved call must not be lost to the rate limit, and a begun call was counted already.
    if permitted == Permitted::Unasked
        && !world.begun()
        && let Err(retry_after_ms) = world.take_rate(tool).await?
    {
        return Ok(refuse(world, &ToolFailure::TooMany(tool, retry_after_ms)).await);
    }
    // Each conversation that reads something private needs a record of the call. A cached result skips [`World::start`], so private results are not
    // cached.
    let ttl_ms = tool.result_ttl_ms.filter(|ttl_ms| *ttl_ms > 0 && tool.reads_only() && !tool.reads_private);
    let cache = ttl_ms.map(|ttl_ms| (cache_key(tool, &arguments), ttl_ms));
    if let Some((key, _)) = &cache
        && let Some(outcome) = world.cached(key).await
    {
        return Ok(finish(world, tool, outcome, AuditCode::Cached).await);
    }
    match world.start().await? {
        Started::LeaseLost => return Ok(Execution::LeaseLost),
        Started::Again if !tool.may_repeat() => {
            return Ok(refuse(world, &ToolFailure::NotRepeated(name, Some(tool))).await);
        }
        // A run records its calls. For other clients, this entry in the audit is the only record.
        Started::First if !world.can_ask() && !tool.reads_only() => audit(world, tool, AuditCode::Begun).await,
        Started::First | Started::Again => {}
    }
    let called = match call(world, tool, sent).await {
        Ok(Reached::Task(task)) => return keep(world, tool, task).await,
        Ok(Reached::Result(called)) => Ok(called),
        // The question of somebody else's server would look like a question of this installation.
        Err(CallFailure::InputNeeded(needed)) if !world.can_ask() && !tool.remote => {
            audit(world, tool, AuditCode::InputAsked).await;
            return Ok(Execution::InputNeeded(needed));
        }
        Err(CallFailure::Unanswerable { question, capabilities }) if !world.can_ask() && !tool.remote => {
            audit(world, tool, AuditCode::InputAsked).await;
            let cause = CallFailure::Unanswerable { question, capabilities: capabilities.clone() };
            let words = Some(ToolFailure::Call(tool, cause).to_string());
            return Ok(Execution::CapabilityNeeded(MissingCapability { capabilities, words }));
        }
        Err(cause) => Err(cause),
    };
    let (outcome, code) = judged(tool, called);
    if let Some((key, ttl_ms)) = &cache
        && code == AuditCode::Ok
    {
        world.cache(key, &outcome, *ttl_ms).await;
    }
    Ok(finish(world, tool, outcome, code).await)
}

/// The outcome of a call and its code, whether the tool answers at once or with the end of a task.
#[must_use]
pub fn judged(tool: &KnownTool, called: Result<Called, CallFailure>) -> (Outcome, AuditCode) {
    let failed = |cause| {
        let failure = ToolFailure::Call(tool, cause);
        (Outcome::error(failure.to_string()), failure.code())
    };
    match called {
        Err(cause) => failed(cause),
        // The transport has the same limit. Counted here is the size of the stored result.
        Ok(called) if written_bytes(&called.outcome) > MAX_OUTCOME_BYTES => failed(CallFailure::TooLarge),
        Ok(Called { outcome, failure }) if outcome.is_error => {
            (outcome, failure.map_or(AuditCode::ToolError, AuditCode::of_tool))
        }
        Ok(Called { outcome, .. }) => (compared(tool, outcome), AuditCode::Ok),
    }
}

/// Stores a task before anyone waits for it, so that a later executor asks about the task instead of repeating the call.
async fn keep<W: World>(world: &W, tool: &KnownTool, task: Box<Task>) -> Result<Execution, W::Error> {
    let kept = world.keep_task(tool, &task).await;
    let Ok(Some(started_at_ms)) = kept else {
        // The task is not stored, so nobody could ask about it.
        world.cancel_task(tool, &task).await;
        return kept.map(|_| Execution::LeaseLost);
    };
    audit(world, tool, AuditCode::Task).await;
    let (server, name, title) = (tool.server.clone(), tool.name.clone(), tool.title().to_owned());
    Ok(Execution::Task { server, tool: name, title, task, started_at_ms })
}

/// Why a call may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permitted {
    /// No approval is needed.
    Unasked,
    /// The person approved this very call.
    Approved,
}

/// Whether the call may be made, or the answer to give instead.
async fn permit<W: World>(
    world: &W,
    tool: &KnownTool,
    arguments: &Map<String, Value>,
    sent: &str,
) -> Result<Result<Permitted, Execution>, W::Error> {
    let permission = world.permission(tool).await?;
    if !permission.access.allows(&Action::CallTool { server: &tool.server, tool: &tool.name }) {
        return Ok(Err(refuse(world, &ToolFailure::NotPermitted(tool)).await));
    }
    if !permission.chosen.includes(&tool.server, &tool.name) {
        return Ok(Err(refuse(world, &ToolFailure::NotChosen(tool)).await));
    }
    let mut effect = decide(tool, &permission.installation, &permission.user);
    let mut may_disclose = false;
    let may_be_misled = if tool.keeps() { world.has_read_others() } else { world.has_read_private() };
    if effect == Effect::Allow
        && permission.approval != Approval::Allowed
        && may_be_misled
        && decide_exposed(tool, &permission.installation, &permission.user) == Effect::Ask
    {
        // A schema that cannot be read proposes no values.
        let schema = serde_json::from_str(tool.input_schema.get()).unwrap_or_default();
        // What keeps its arguments for later is asked about whatever they say, and discloses nothing.
        if tool.keeps() {
            effect = Effect::Ask;
        } else if !says_only(arguments, sent, &schema, &world.written_by_person().await?) {
            effect = Effect::Ask;
            may_disclose = true;
        }
    }
    let failure = match (effect, permission.approval) {
        (Effect::Deny, _) => ToolFailure::Denied(tool),
        // A person's no to this very call counts, whatever policies allow.
        (_, Approval::Denied) => ToolFailure::Declined(tool),
        (_, Approval::Allowed) => return Ok(Ok(Permitted::Approved)),
        (Effect::Allow, _) => return Ok(Ok(Permitted::Unasked)),
        (Effect::Ask, Approval::Expired) => ToolFailure::Expired(tool),
        (Effect::Ask, Approval::Pending { expires_at_ms }) => {
            return Ok(Err(needed(tool, may_disclose, expires_at_ms)));
        }
        (Effect::Ask, Approval::None) if world.can_ask() && !permission.unattended => {
            if let Err(cause) = world.is_set_up(tool).await {
                return Ok(Err(refuse(world, &ToolFailure::Call(tool, cause)).await));
            }
            let Some(expires_at_ms) = world.ask_approval(tool).await? else { return Ok(Err(Execution::LeaseLost)) };
            audit(world, tool, AuditCode::ApprovalAsked).await;
            return Ok(Err(needed(tool, may_disclose, expires_at_ms)));
        }
        (Effect::Ask, Approval::None) => ToolFailure::CannotAsk(tool),
    };
    Ok(Err(refuse(world, &failure).await))
}

fn needed(tool: &KnownTool, may_disclose: bool, expires_at_ms: i64) -> Execution {
    let (server, title) = (tool.server.clone(), tool.title().to_owned());
    Execution::ApprovalNeeded { server, title, always_asks: tool.always_asks, may_disclose, expires_at_ms }
}

/// Makes the call. A caller that cannot ask about a task later gets the task's result, if it ends within [`CALL_LIMIT`].
async fn call<W: World>(world: &W, tool: &KnownTool, arguments: &str) -> Result<Reached, CallFailure> {
    let mut limit = pin!(world.sleep(CALL_LIMIT));
    let reached = match select(pin!(world.call(tool, arguments)), limit.as_mut()).await {
        Either::Left((reached, _)) => reached?,
        Either::Right(((), _)) => return Err(CallFailure::TimedOut),
    };
    let made = match reached {
        Reached::Task(task) if !world.can_wait() => *task,
        reached => return Ok(reached),
    };
    // Boxed, because few calls need this future and all would have to hold it.
    let end = Box::pin(end_in_time(world, tool, &made));
    match select(end, limit).await {
        Either::Left((end, _)) => {
            // The task may still continue: it may ask for something, or its server may be out of reach.
            if end.is_err() {
                world.cancel_task(tool, &made).await;
            }
            end.map(Reached::Result)
        }
        Either::Right(((), _)) => {
            world.cancel_task(tool, &made).await;
            Err(CallFailure::Outlasts)
        }
    }
}

/// Adds a note to a result that does not fit the tool's output schema. The result is kept, because the call was made. If the schema or the result
/// exceeds the limits of the check, there is no note.
fn compared(tool: &KnownTool, mut outcome: Outcome) -> Outcome {
    let Some((schema, structured)) = tool.output_schema.as_ref().zip(outcome.structured.as_ref()) else {
        return outcome;
    };
    let problem = |schema: &RawValue| {
        let schema = Some(schema.get()).filter(|schema| schema.len() <= json_schema::MAX_SCHEMA_BYTES)?;
        json_schema::check(&serde_json::from_str(schema).ok()?, structured).ok()?.into_iter().next()
    };
    // Output schemas are stored unrepaired. A result is right if it fits the schema or the repaired schema.
    let problem = problem(schema).and_then(|_| problem(&json_schema::repaired(schema).ok()?));
    if let Some(problem) = problem {
        // The note alone would count as the result's text, so the structured result is added as text before it.
        if !has_text(&outcome) {
            outcome.content.push(Content::text(cut(
                &structured.to_string(),
                MAX_RESULT_CHARS.saturating_sub(2 * MAX_PROBLEM_CHARS),
            )));
        }
        let cause = cut(&problem.to_string(), MAX_PROBLEM_CHARS);
        let note = format!("[the tool's answer does not fit the tool's output schema: {cause}]");
        outcome.content.push(Content::text(note));
    }
    outcome
}

async fn refuse<W: World>(world: &W, failure: &ToolFailure<'_>) -> Execution {
    let code = failure.code();
    match failure {
        ToolFailure::UnknownTool(name) | ToolFailure::NotRepeated(name, None) => {
            let entry = AuditEntry { server: None, tool: cut(name, crate::catalog::MAX_TOOL_NAME_CHARS), code };
            // The world logs its own error.
            let _ = world.audit(entry).await;
        }
        ToolFailure::InvalidArguments(tool, _)
        | ToolFailure::NotPermitted(tool)
        | ToolFailure::NotChosen(tool)
        | ToolFailure::Denied(tool)
        | ToolFailure::CannotAsk(tool)
        | ToolFailure::Declined(tool)
        | ToolFailure::Expired(tool)
        | ToolFailure::TooMany(tool, _)
        | ToolFailure::NotRepeated(_, Some(tool))
        | ToolFailure::Call(tool, _) => audit(world, tool, code).await,
    }
    Execution::Result { outcome: Outcome::error(failure.to_string()), code }
}

async fn finish<W: World>(world: &W, tool: &KnownTool, outcome: Outcome, code: AuditCode) -> Execution {
    audit(world, tool, code).await;
    Execution::Result { outcome, code }
}

async fn audit<W: World>(world: &W, tool: &KnownTool, code: AuditCode) {
    // The world logs its own error.
    let _ = world.audit(AuditEntry { server: Some(tool.server.clone()), tool: tool.name.clone(), code }).await;
}

/// The cache's key of a call. It does not depend on the order and spelling of the arguments.
fn cache_key(tool: &KnownTool, arguments: &Map<String, Value>) -> String {
    let mut text = format!("{}\0{}\0", tool.server, tool.name);
    canonical(&Value::Object(arguments.clone()), &mut text);
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
