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
    wire::{Era, MODERN_VERSION, RpcError},
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
                // A task with a result has one, so another error is about the question, which can be repeated.
                Err(ClientError::Protocol { code, message, .. }) if matches!(task.state, TaskState::Failed { .. }) => {
                    failed(RpcError::new(code, message))
                }
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

    /// What is kept with a task that was made in this connection: how its server speaks, and the session, since many servers know their tasks only
    /// there. The session is not ended from now on; how long the server keeps it is its affair.
    pub(super) fn kept_session(&self) -> Option<String> {
        let mut connection = self.connection.borrow_mut();
        if connection.era? == Era::Modern {
            return Some(format!("{MODERN_VERSION} "));
        }
        let version = connection.version.as_ref()?.to_str().ok()?;
        let session = match &connection.session {
            Some(session) => session.to_str().ok()?,
            None => "",
        };
        let kept = format!("{version} {session}");
        connection.is_kept = connection.session.is_some();
        (kept.len() <= MAX_SESSION_BYTES).then_some(kept)
    }

    /// Goes on as it was when a task was made. If the server has ended the session meanwhile, it is begun anew as every other.
    fn resume(&self, kept: Option<&str>) {
        let Some((version, session)) = kept.and_then(|kept| kept.split_once(' ')) else { return };
        if version == MODERN_VERSION {
            self.connection.borrow_mut().era = Some(Era::Modern);
            return;
        }
        let (Ok(version), Ok(session)) = (HeaderValue::from_str(version), HeaderValue::from_str(session)) else {
            return;
        };
        let session = Some(session).filter(|session| !session.is_empty());
        *self.connection.borrow_mut() = Connection {
            era: Some(Era::Legacy),
            version: Some(version),
            is_kept: session.is_some(),
            session,
            makes_tasks: true,
            ..Connection::default()
        };
    }
}
