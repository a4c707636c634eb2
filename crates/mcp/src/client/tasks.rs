//! What is asked later about a call that goes on as a task.

use http::HeaderValue;
use serde_json::value::RawValue;

use super::{
    Client, ClientError, Connection, Transport,
    call::CallResult,
    exchange::{Call, raw},
};
use crate::{
    task::{Task, TaskState, failed},
    wire::{Era, RpcError},
};

/// The longest session that is kept with a task. Those of real servers are UUIDs.
const MAX_SESSION_BYTES: usize = 1024;

impl<T: Transport> Client<T> {
    /// Asks how far a task is, and if it has ended, what it came to. `session` is what [`Task::session`] was when it was made.
    ///
    /// # Errors
    /// [`ClientError`]: [`ClientError::Protocol`] with -32602 if the server does not know the task, or no longer.
    pub async fn task(&self, id: &str, session: Option<&str>) -> Result<Task, ClientError> {
        self.resume(session);
        let result = self.ask_about("tasks/get", id).await?;
        let mut task = Task::read(&result).map_err(ClientError::Malformed)?;
        // What it came to is another question in 2025-11-25, whose answer is that of the call.
        if self.era() == Some(Era::Legacy) && matches!(task.state, TaskState::Completed(_) | TaskState::Failed { .. }) {
            task.state = match self.ask_about("tasks/result", id).await {
                Ok(result) => {
                    let result = serde_json::from_str(result.get());
                    let result = result.map_err(|error| ClientError::Malformed(error.to_string()))?;
                    TaskState::Completed(CallResult::read(result).into())
                }
                Err(ClientError::Protocol { code, message, .. }) => failed(RpcError::new(code, message)),
                Err(error) => return Err(error),
            };
        }
        Ok(task)
    }

    /// Asks the server to stop working on a task. When it does, and whether, is its affair.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_task(&self, id: &str, session: Option<&str>) -> Result<(), ClientError> {
        self.resume(session);
        self.ask_about("tasks/cancel", id).await.map(drop)
    }

    async fn ask_about(&self, method: &'static str, id: &str) -> Result<Box<RawValue>, ClientError> {
        let mut call = Call::new(method);
        call.name = Some(id);
        call.takes_task = true;
        call.params.insert("taskId", raw(&id)?);
        self.exchange(call, None).await
    }

    /// The session in which a task was made, to be kept with it: many servers know their tasks only there. It is not ended from now on; how long
    /// the server keeps it is its affair.
    pub(super) fn kept_session(&self) -> Option<String> {
        let mut connection = self.connection.borrow_mut();
        let (version, session) =
            (connection.version.as_ref()?.to_str().ok()?, connection.session.as_ref()?.to_str().ok()?);
        let kept = format!("{version} {session}");
        connection.is_kept = true;
        (kept.len() <= MAX_SESSION_BYTES).then_some(kept)
    }

    /// Goes on in the session in which a task was made. If the server has ended it meanwhile, it is begun anew as every other.
    fn resume(&self, kept: Option<&str>) {
        let Some((version, session)) = kept.and_then(|kept| kept.split_once(' ')) else { return };
        let (Ok(version), Ok(session)) = (HeaderValue::from_str(version), HeaderValue::from_str(session)) else {
            return;
        };
        *self.connection.borrow_mut() = Connection {
            era: Some(Era::Legacy),
            version: Some(version),
            session: Some(session),
            makes_tasks: true,
            is_kept: true,
            ..Connection::default()
        };
    }
}
