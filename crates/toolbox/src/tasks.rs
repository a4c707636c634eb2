//! Calls that continue as tasks on their servers: the result of a task, and the wait for callers that cannot ask later.

use std::{pin::pin, time::Duration};

use futures::future::{FutureExt, select};
use mcp::{Task, TaskState};

use crate::{CallFailure, Called, KnownTool, World, execution::CALL_LIMIT};

/// This long before the end of [`CALL_LIMIT`], the task is asked about once more, whatever poll interval the server names.
const LAST_QUESTION: Duration = Duration::from_secs(5);

/// The result of a task that has ended, in the form of a call's result. A task that asks for input counts as ended, because nobody can answer it.
#[must_use]
pub fn end_of(state: TaskState) -> Option<Result<Called, CallFailure>> {
    match state {
        TaskState::Working => None,
        TaskState::Completed(outcome) => Some(Ok(outcome.into())),
        TaskState::Failed { code, message } => {
            Some(Err(CallFailure::Upstream(format!("its server answered error {code}: {message}"))))
        }
        TaskState::Cancelled => Some(Err(CallFailure::Upstream("it was stopped at its server".to_owned()))),
        TaskState::InputRequired(_) => {
            let words = "its server asks for input that cannot be given, so it was stopped";
            Some(Err(CallFailure::Upstream(words.to_owned())))
        }
    }
}

/// Asks about a task until it has ended, for callers that cannot ask later. The future is dropped at the end of [`CALL_LIMIT`].
pub(crate) async fn end_in_time<W: World>(world: &W, tool: &KnownTool, made: &Task) -> Result<Called, CallFailure> {
    // The answer to the call has no result, so even a task that has ended must be asked about.
    let mut poll = if made.state == TaskState::Working { made.poll } else { Duration::ZERO };
    let mut last = pin!(world.sleep(CALL_LIMIT.saturating_sub(LAST_QUESTION)).fuse());
    loop {
        select(pin!(world.sleep(poll)), last.as_mut()).await;
        match world.task(tool, made).await {
            Ok(task) => {
                if let Some(end) = end_of(task.state) {
                    return end;
                }
                poll = task.poll;
            }
            Err(CallFailure::TaskLost) => return Err(CallFailure::TaskLost),
            // The task is asked about again, as long as there is time.
            Err(_) => poll = made.poll,
        }
    }
}
