//! Requests about tasks: calls that continue on their server.

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

/// The longest text of version and session that is stored with a task. The sessions of real servers are UUIDs.
const MAX_SESSION_BYTES: usize = 1024;

impl<T: Transport> Client<T> {
    /// Asks for the state of a task, and for its result if it has ended. `session` is the [`Task::session`] of the answer that made the task.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Protocol`] with -32602 if the server does not know the task, or no longer knows it.
    pub async fn task(&self, id: &str, session: Option<&str>) -> Result<Task, ClientError> {
        self.resume(session);
        let result = self.ask_about("tasks/get", id).await?;
        let mut task = Task::read(&result).map_err(ClientError::Malformed)?;
        // In 2025-11-25 the result takes another request, whose answer is the call's.
        if self.era() == Some(Era::Legacy) && matches!(task.state, TaskState::Completed(_) | TaskState::Failed { .. }) {
            task.state = match self.ask_about("tasks/result", id).await {
                Ok(result) => {
                    let result = serde_json::from_str(result.get());
                    let result = result.map_err(|error| ClientError::Malformed(error.to_string()))?;
                    TaskState::Completed(CallResult::read(result).into())
                }
                // A failed task answers with its error. If a completed task answers with an error, the request failed and can be repeated.
                Err(ClientError::Protocol { code, message, .. }) if matches!(task.state, TaskState::Failed { .. }) => {
                    failed(RpcError::new(code, message))
                }
                Err(error) => return Err(error),
            };
        }
        Ok(task)
    }

    /// Asks the server to stop a task. The server decides whether and when it does.
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

    /// The connection to store with a task that was made in it: the version that the server speaks, and the session, because many servers know a task
    /// only in its session. This client no longer ends the session. The server decides how long it keeps it.
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

    /// Restores the connection in which a task was made. If the server has ended the session meanwhile, a new one begins, as for any request.
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
