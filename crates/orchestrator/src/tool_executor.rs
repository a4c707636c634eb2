//! Has the model's calls made, one after the other. The callee decides whether a call may be made and knows whether it was made before; this module
//! decides what the run does meanwhile. Calls that need the person's approval, or that go on at their servers as tasks, do not hold up the other calls
//! of the round.

use std::{cell::Cell, collections::HashSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

use domain::{Id, Message, MessageRole, RunState, RunStep, Timestamp, ToolCall, ToolResult, Usage, event::Event};
use storage::{
    messages::NewMessage,
    runs::{Batch, Ending},
    tool_tasks::ToolTask,
};

use crate::{
    CallTerms, Host, Reader, ToolAnswer, ToolProgress,
    session_manager::{Interrupted, RunSession},
    tool_search::Tools,
};

/// After this time the tool hangs, as far as the waiting person is concerned. The component that makes the call gives up sooner.
const CALL_LIMIT: Duration = Duration::from_secs(75);

/// The result of a round's calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Executed {
    /// All calls have results.
    Finished,
    /// Some calls wait for the person or go on at their servers, all others have results. The run waits too, and its lease is released.
    Waiting,
}

/// A call that needs the person's approval.
struct Question<'a> {
    call: &'a ToolCall,
    server: String,
    title: String,
    always_asks: bool,
    may_disclose: bool,
    expires_at: Timestamp,
}

/// A call that goes on at its server.
struct Task<'a> {
    call: &'a ToolCall,
    server: String,
    title: String,
    started_at: Timestamp,
}

/// The calls of the run's last round that have no result yet, in the model's order.
#[must_use]
pub fn pending(messages: &[Message], run_id: Id) -> Vec<&ToolCall> {
    let asked = messages.iter().rposition(|message| message.run_id == run_id && message.role == MessageRole::Assistant);
    let Some((round, after)) = asked.and_then(|at| messages.get(at..)).and_then(<[Message]>::split_first) else {
        return Vec::new();
    };
    let answered: Vec<&str> = after.iter().filter_map(|message| message.tool_call_id()).collect();
    round.tool_calls.iter().filter(|call| !answered.contains(&call.id.as_str())).collect()
}

/// The ids of a run's calls so far.
#[must_use]
pub fn call_ids(messages: &[Message], run_id: Id) -> HashSet<String> {
    let of_run = messages.iter().filter(|message| message.run_id == run_id);
    of_run.flat_map(|message| &message.tool_calls).map(|call| call.id.clone()).collect()
}

/// Gives a new id to each call whose id is taken or missing: some servers count from the beginning in each round, or send no id. An approval and the
/// record of a call are for exactly one call of the run.
pub fn make_unique(calls: &mut [ToolCall], taken: &mut HashSet<String>) {
    for call in calls {
        if call.id.is_empty() || !taken.insert(call.id.clone()) {
            call.id = format!("call_{}", Id::new());
        }
    }
}

/// What is known about a run's calls from earlier executors.
#[derive(Default, Debug)]
pub struct Earlier {
    /// The calls that the person was already asked about.
    pub approvals_asked: Vec<String>,
    /// The calls that are known to go on at their servers.
    pub tasks_told: Vec<String>,
    /// The tasks that go on. Their calls are not made again.
    pub tasks: Vec<ToolTask>,
}

/// Stores the results of tasks that have ended, before anything else is done, so that nothing that happens to the run afterwards can lose them.
/// Returns the tasks that go on.
///
/// # Errors
/// [`Interrupted`].
pub async fn store_ended<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    tasks: Vec<ToolTask>,
) -> Result<Vec<ToolTask>, Interrupted> {
    let mut going_on = Vec::new();
    for task in tasks {
        match task.result() {
            Some((content, result)) => store(session, &task.name, content, result).await?,
            None => going_on.push(task),
        }
    }
    Ok(going_on)
}

/// Has the calls made and stores each result as it comes. The run has used `usage` so far.
///
/// # Errors
/// [`Interrupted`].
pub async fn execute<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    calls: &[&ToolCall],
    (tools, terms): (&Tools, CallTerms<'_>),
    earlier: &Earlier,
    usage: Option<Usage>,
) -> Result<Executed, Interrupted> {
    let (mut questions, mut tasks) = (Vec::new(), Vec::new());
    for call in calls {
        let started = session.host().now();
        if let Some(ToolTask { server, title, started_at, .. }) =
            earlier.tasks.iter().find(|task| task.call_id == call.id)
        {
            tasks.push(Task { call, server: server.clone(), title: title.clone(), started_at: *started_at });
            continue;
        }
        let answer = match tools.answer(call) {
            Some(answer) => answer,
            None => make(session, call, terms).await?,
        };
        let duration = session.host().now().saturating_sub(started);
        match answer {
            ToolAnswer::Result { content, is_error } => {
                let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                store(session, &call.name, &content, result(call, tools, is_error, duration_ms)).await?;
            }
            ToolAnswer::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at } => {
                questions.push(Question { call, server, title, always_asks, may_disclose, expires_at });
            }
            ToolAnswer::Task { server, title, started_at } => tasks.push(Task { call, server, title, started_at }),
            ToolAnswer::LeaseLost => return Err(Interrupted::LeaseLost),
        }
    }
    if questions.is_empty() && tasks.is_empty() {
        session.step(RunStep::ToolsFinished)?;
        return Ok(Executed::Finished);
    }
    // The person can do something about a question, so that is what the run is said to wait for.
    let (step, state) = match questions.is_empty() {
        true => (RunStep::AwaitTask, RunState::AwaitingTask),
        false => (RunStep::AskApproval, RunState::AwaitingApproval),
    };
    for Task { call, server, title, started_at } in tasks {
        let (name, call_id) = (&call.name, &call.id);
        if !earlier.tasks_told.contains(call_id) {
            session.outbox.write(&Event::ToolTask { name, call_id, server: &server, title: &title, started_at });
        }
    }
    for Question { call, server, title, always_asks, may_disclose, expires_at } in questions {
        let (arguments, name, call_id) = (&call.arguments, &call.name, &call.id);
        let (server, title) = (&server, &title);
        let event =
            Event::ToolApproval { name, call_id, server, title, arguments, always_asks, may_disclose, expires_at };
        // The reader has seen work since the question, and sees again what the run waits for.
        if earlier.approvals_asked.contains(call_id) {
            session.outbox.tell(&event);
        } else {
            session.outbox.write(&event);
        }
    }
    let ending = Ending { state, failure: None, usage, message: None, batch: Batch::default() };
    session.finish(step, ending).await?;
    Ok(Executed::Waiting)
}

fn result(call: &ToolCall, tools: &Tools, is_error: bool, duration_ms: u64) -> ToolResult {
    let title = tools.title(&call.name).map(str::to_owned);
    ToolResult { call_id: call.id.clone(), is_error, duration_ms: Some(duration_ms), title }
}

async fn make<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    call: &ToolCall,
    terms: CallTerms<'_>,
) -> Result<ToolAnswer, Interrupted> {
    let (host, lease) = (session.host(), session.lease());
    let (started, told) = (host.now(), Cell::new(None));
    let tell = |progress| told.set(Some(progress));
    let mut answer = pin!(host.call_tool(lease, call, terms, &tell));
    loop {
        // Progress is passed on while the call is being made.
        let next = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => told.take().map_or(Poll::Pending, |progress| Poll::Ready(Err(progress))),
        });
        let left = CALL_LIMIT.saturating_sub(host.now().saturating_sub(started));
        match session.attend(left, next).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(ToolProgress { progress, total, message })) => {
                session.outbox.deliver();
                session.outbox.tell(&Event::ToolProgress {
                    call_id: &call.id,
                    progress: Some(progress),
                    total,
                    message: &message,
                });
            }
            Err(Interrupted::TimedOut) => {
                let seconds = CALL_LIMIT.as_secs();
                return Ok(ToolAnswer::failed(format!("The tool did not answer within {seconds} seconds.")));
            }
            Err(interrupted) => return Err(interrupted),
        }
    }
}

async fn store<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    name: &str,
    content: &str,
    result: ToolResult,
) -> Result<(), Interrupted> {
    let message = NewMessage::result(content, result.clone());
    session.outbox.write(&Event::result(name, &message.content, &result));
    session.finish_tool_call(&message).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_calls_of_a_run_have_the_same_id() {
        let call = |id: &str| ToolCall { id: id.into(), name: "t".into(), arguments: "{}".into() };
        let mut calls = ["call_0", "call_1", "call_1", "", ""].map(call);
        make_unique(&mut calls, &mut HashSet::from(["call_0".to_owned()]));
        assert_eq!(calls[1].id, "call_1");
        let ids: HashSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids.len(), calls.len());
        assert!(!ids.contains("call_0") && !ids.contains(""));
    }
}
