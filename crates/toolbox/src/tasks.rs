//! Calls that go on at their servers as tasks: what a task comes to, and how long it is waited for if nobody can ask later.

use std::{pin::pin, time::Duration};

use futures::future::{FutureExt, select};
use mcp::{Task, TaskState};

use crate::{CallFailure, Called, KnownTool, World, execution::CALL_LIMIT};

/// So long before the end of [`CALL_LIMIT`], a task is asked about once more, whatever its server says about the interval.
const LAST_QUESTION: Duration = Duration::from_secs(5);

/// What a task has come to, if it has: a call's answer like any other. A task that asks for something can get nothing here, so that is its end.
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

/// The same for whoever cannot ask later: the server is asked until the task has ended. Dropped when [`CALL_LIMIT`] is over.
pub(crate) async fn end_in_time<W: World>(world: &W, tool: &KnownTool, made: &Task) -> Result<Called, CallFailure> {
    // What the call itself answered has no result, so it is not an end.
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
            // It is asked again, as long as there is time.
            Err(_) => poll = made.poll,
        }
    }
}
