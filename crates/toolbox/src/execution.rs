//! The way of a call: find, validate, permit, ask, limit, look into the cache, write down, call, audit. For the model and for clients of the
//! gateway alike, and there is no other.

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

/// A tool that takes longer has hung, as far as the person who waits is concerned.
pub const CALL_LIMIT: Duration = Duration::from_secs(55);
/// The largest result, with its images: as much as our own servers send.
pub const MAX_OUTCOME_BYTES: usize = mcp::MAX_OUTCOME_BYTES;

/// The longest words about what is wrong with a result. The path to it is as long as whoever answers likes.
const MAX_PROBLEM_CHARS: usize = 300;

/// What a call came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Execution {
    /// A result, be it a failure in words.
    Result {
        /// The result; [`crate::text_for_model`] is what the model reads.
        outcome: Outcome,
        /// What it is.
        code: AuditCode,
    },
    /// The person has to decide first.
    ApprovalNeeded {
        /// The server.
        server: ServerName,
        /// The tool's name for people.
        title: String,
        /// Whether it always asks, so that nothing but this call can be allowed.
        always_asks: bool,
        /// Whether it is asked about because others would hear something in it that may be private.
        may_disclose: bool,
        /// Until when, in milliseconds since 1970.
        expires_at_ms: i64,
    },
    /// It was made, and goes on at its server.
    Task {
        /// The server.
        server: ServerName,
        /// The tool's name there.
        tool: String,
        /// The tool's name for people.
        title: String,
        /// What the server says of it.
        task: Box<Task>,
        /// Since when, in milliseconds since 1970.
        started_at_ms: i64,
    },
    /// The tool asks the client of the gateway something, and is to be called again with the answer.
    InputNeeded(InputNeeded),
    /// The tool would ask the client of the gateway something, which has not declared that it can be asked.
    CapabilityNeeded(MissingCapability),
    /// The run is somebody else's by now; nothing was done.
    LeaseLost,
}

/// Makes a call, unless something is against it.
///
/// # Errors
/// The world's. Nothing was called then.
pub async fn execute<W: World>(
    world: &W,
    catalog: &Catalog,
    name: &str,
    arguments: &str,
) -> Result<Execution, W::Error> {
    let found = catalog.find(name);
    // First of all: whatever else is against it by now, nobody may be told that this call was not made.
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
    // A person's yes to this very call is not to be lost, and what was begun has been counted.
    if permitted == Permitted::Unasked
        && !world.begun()
        && let Err(retry_after_ms) = world.take_rate(tool).await?
    {
        return Ok(refuse(world, &ToolFailure::TooMany(tool, retry_after_ms)).await);
    }
    // What was read of something private is to be on record for each conversation that reads it.
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
        // What a run does is written down by that; for others this is all there is.
        Started::First if !world.can_ask() && !tool.reads_only() => audit(world, tool, AuditCode::Begun).await,
        Started::First | Started::Again => {}
    }
    let called = match call(world, tool, sent).await {
        Ok(Reached::Task(task)) => return keep(world, tool, task).await,
        Ok(Reached::Result(called)) => Ok(called),
        // What a server elsewhere asks would look as if this installation asked it.
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

/// What a call comes to, whenever its tool answers: at once, or as the end of a task.
#[must_use]
pub fn judged(tool: &KnownTool, called: Result<Called, CallFailure>) -> (Outcome, AuditCode) {
    let failed = |cause| {
        let failure = ToolFailure::Call(tool, cause);
        (Outcome::error(failure.to_string()), failure.code())
    };
    match called {
        Err(cause) => failed(cause),
        // The transport reads no more either; what is counted here is what is kept.
        Ok(called) if written_bytes(&called.outcome) > MAX_OUTCOME_BYTES => failed(CallFailure::TooLarge),
        Ok(Called { outcome, failure }) if outcome.is_error => {
            (outcome, failure.map_or(AuditCode::ToolError, AuditCode::of_tool))
        }
        Ok(Called { outcome, .. }) => (compared(tool, outcome), AuditCode::Ok),
    }
}

/// A task is kept before anybody waits for it: whoever comes after asks about it, and does not make the call again.
async fn keep<W: World>(world: &W, tool: &KnownTool, task: Box<Task>) -> Result<Execution, W::Error> {
    let kept = world.keep_task(tool, &task).await;
    let Ok(Some(started_at_ms)) = kept else {
        // Nobody could ask about it.
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
    /// Nobody need be asked.
    Unasked,
    /// The person said yes to this very call.
    Approved,
}

/// Whether the call may be made, or what is to be answered instead.
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
    let mut effect = decide(tool, &permission.installation, &permission.user);
    let mut may_disclose = false;
    if effect == Effect::Allow
        && permission.approval != Approval::Allowed
        && world.has_read_private()
        && decide_exposed(tool, &permission.installation, &permission.user) == Effect::Ask
    {
        // A schema that cannot be read proposes nothing.
        let schema = serde_json::from_str(tool.input_schema.get()).unwrap_or_default();
        if !says_only(arguments, sent, &schema, &world.written_by_person().await?) {
            effect = Effect::Ask;
            may_disclose = true;
        }
    }
    let failure = match (effect, permission.approval) {
        (Effect::Deny, _) => ToolFailure::Denied(tool),
        // Who was asked about this very call and said no is not overruled by what holds for others.
        (_, Approval::Denied) => ToolFailure::Declined(tool),
        (_, Approval::Allowed) => return Ok(Ok(Permitted::Approved)),
        (Effect::Allow, _) => return Ok(Ok(Permitted::Unasked)),
        (Effect::Ask, Approval::Expired) => ToolFailure::Expired(tool),
        (Effect::Ask, Approval::Pending { expires_at_ms }) => {
            return Ok(Err(needed(tool, may_disclose, expires_at_ms)));
        }
        (Effect::Ask, Approval::None) if world.can_ask() => {
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

/// Makes the call. Whoever cannot ask later gets what a task comes to within the time that any call has.
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
    // Boxed: few calls need it, and all would carry it.
    let end = Box::pin(end_in_time(world, tool, &made));
    match select(end, limit).await {
        Either::Left((end, _)) => {
            // It may go on all the same: asking for something, or out of reach.
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

/// A result, and in words what is wrong with it, if it does not have the form that its tool announced. It is given all the same: the call was
/// made. What cannot be compared within the limits is not.
fn compared(tool: &KnownTool, mut outcome: Outcome) -> Outcome {
    let Some((schema, structured)) = tool.output_schema.as_ref().zip(outcome.structured.as_ref()) else {
        return outcome;
    };
    let problem = |schema: &RawValue| {
        let schema = Some(schema.get()).filter(|schema| schema.len() <= json_schema::MAX_SCHEMA_BYTES)?;
        json_schema::check(&serde_json::from_str(schema).ok()?, structured).ok()?.into_iter().next()
    };
    // A schema is kept as it was sent, and what is right by what it plainly stands for is right.
    let problem = problem(schema).and_then(|_| problem(&json_schema::repaired(schema).ok()?));
    if let Some(problem) = problem {
        // As text it would count as said, with nothing but the note beside it.
        if !has_text(&outcome) {
            outcome.content.push(Content::text(cut(
                &structured.to_string(),
                MAX_RESULT_CHARS.saturating_sub(2 * MAX_PROBLEM_CHARS),
            )));
        }
        let cause = cut(&problem.to_string(), MAX_PROBLEM_CHARS);
        let note = format!("[the tool's answer does not have the form that it announced: {cause}]");
        outcome.content.push(Content::text(note));
    }
    outcome
}

async fn refuse<W: World>(world: &W, failure: &ToolFailure<'_>) -> Execution {
    let code = failure.code();
    match failure {
        ToolFailure::UnknownTool(name) | ToolFailure::NotRepeated(name, None) => {
            let entry = AuditEntry { server: None, tool: cut(name, crate::catalog::MAX_TOOL_NAME_CHARS), code };
            // Logged by the world.
            let _ = world.audit(entry).await;
        }
        ToolFailure::InvalidArguments(tool, _)
        | ToolFailure::NotPermitted(tool)
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
    // Logged by the world.
    let _ = world.audit(AuditEntry { server: Some(tool.server.clone()), tool: tool.name.clone(), code }).await;
}

/// The same for the same call, in whatever order and form its arguments were written.
fn cache_key(tool: &KnownTool, arguments: &Map<String, Value>) -> String {
    let mut text = format!("{}\0{}\0", tool.server, tool.name);
    canonical(&Value::Object(arguments.clone()), &mut text);
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
