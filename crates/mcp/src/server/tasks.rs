//! Requests about tasks, in either revision, and the capability that declares tasks.

use serde_json::{Value, json};

use super::{Refusal, input, request::Asked, results::Frame};
use crate::{
    model::{Map, Tool},
    provider::{Failure, MissingCapability, Provider},
    task::{self, Task, TaskState, TaskSupport},
    wire::{Era, INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND},
};

/// The capability of a server with tasks. The server does not list them: the client that made a task knows its id.
pub(crate) fn capability(era: Era) -> (&'static str, Value) {
    match era {
        Era::Modern => ("extensions", task::declaration()),
        Era::Legacy => ("tasks", json!({"cancel": {}, "requests": {"tools": {"call": {}}}})),
    }
}

/// Checks whether a call of 2025-11-25 that asks for a task can have one. A server without tasks ignores the wish.
pub(crate) fn check_asked(asked: &mut Asked<'_>, has_tasks: bool, tool: &Tool) -> Result<(), Refusal> {
    if !has_tasks {
        asked.params.task = None;
    }
    if asked.params.task.is_some() && tool.execution.task_support == TaskSupport::Forbidden {
        return Err(Refusal::within(METHOD_NOT_FOUND, "This tool cannot be called as a task"));
    }
    Ok(())
}

/// Answers a request about a task.
pub(crate) async fn answer<P: Provider>(provider: &P, mut asked: Asked<'_>, frame: Frame) -> Result<Vec<u8>, Refusal> {
    let era = frame.era;
    let is_known = match era {
        Era::Modern => asked.method != "tasks/result",
        Era::Legacy => asked.method != "tasks/update",
    };
    if !is_known {
        return Err(asked.unknown_method());
    }
    if era == Era::Modern && !asked.declares_tasks() {
        return Err(undeclared());
    }
    let id = asked.params.task_id.take().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Refusal::within(INVALID_PARAMS, "Invalid params: no taskId"))?;
    match (era, asked.method) {
        (Era::Modern, "tasks/update") => {
            let responses = asked.params.input_responses.take();
            let responses =
                responses.ok_or_else(|| Refusal::within(INVALID_PARAMS, "Invalid params: no inputResponses"))?;
            provider.update_task(&id, responses).await.map_err(refusal)?;
            Ok(frame.complete(Map::new(), None))
        }
        (Era::Modern, "tasks/cancel") => {
            provider.cancel_task(&id).await.map_err(refusal)?;
            Ok(frame.complete(Map::new(), None))
        }
        (Era::Legacy, "tasks/cancel") => {
            let task = provider.task(&id).await.map_err(refusal)?;
            if task.state.has_ended() {
                return Err(Refusal::within(INVALID_PARAMS, "The task has already ended"));
            }
            provider.cancel_task(&id).await.map_err(refusal)?;
            Ok(frame.task(Task { state: TaskState::Cancelled, ..task }))
        }
        (Era::Legacy, "tasks/result") => match provider.ended_task(&id).await.map_err(refusal)?.state {
            TaskState::Completed(outcome) => Ok(frame.task_result(outcome, &id)),
            TaskState::Failed { code, message } => Err(Refusal::within(code, message)),
            TaskState::Cancelled => Err(Refusal::within(INTERNAL_ERROR, "The task was cancelled")),
            TaskState::Working | TaskState::InputRequired(_) => {
                Err(Refusal::within(INTERNAL_ERROR, "The task has not ended yet. Ask for its state with tasks/get"))
            }
        },
        _ => Ok(frame.task(provider.task(&id).await.map_err(refusal)?)),
    }
}

/// The refusal of a caller that does not declare that it understands tasks.
pub(crate) fn undeclared() -> Refusal {
    let capabilities = Map::from_iter([("extensions".to_owned(), task::declaration())]);
    input::missing_capability(MissingCapability { capabilities, words: None })
}

fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Unknown(_) => {
            Refusal::within(INVALID_PARAMS, "Task not found: no task has this id, or it is no longer kept")
        }
        failure => Refusal::within(INTERNAL_ERROR, failure.to_string()),
    }
}
