//! Tasks of programs at the gateway. Nothing of them is kept here: a program gets a handle, in which it is sealed for its account where the task is,
//! and which any host opens. Somebody else's is one that does not exist.

use std::time::Duration;

use cache::Clock;
use domain::{Id, Timestamp};
use mcp::{Failure, Task, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{Database, rate_limits::Limit};
use tool_catalogue::Host;
use toolbox::{CallFailure, KnownTool, end_of, execution::CALL_LIMIT, judged};
use web::log::{Level, log};

use crate::{
    config::COMPONENT,
    features::readdressed,
    gateway_caller::Gateway,
    state::Tools,
    tasks::{self, AskError, TaskAt},
};

/// Questions about tasks that an account can ask a minute: a program that waits for some tasks asks about each of them every few seconds, and
/// each question is one to somebody else's server.
const QUESTIONS_PER_MINUTE: u32 = 240;

/// Where a task is, as its handle has it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    server: String,
    tool: String,
    id: String,
    session: Option<String>,
    created_at: String,
}

impl Place {
    fn at(&self, user_id: Id) -> TaskAt<'_> {
        TaskAt { user_id, server: &self.server, id: &self.id, session: self.session.as_deref() }
    }
}

/// What a handle is sealed under, for no server: no server has an empty name, so this is nobody's secret for a tool.
const HANDLE: &str = "task";

fn unavailable(cause: &dyn std::error::Error, words: &str) -> Failure {
    log(COMPONENT, Level::Error, "a program's task cannot be reached", json!({ "cause": cause.to_string() }));
    Failure::Internal(words.to_owned())
}

/// A task as it is given out: its server's name for it is in the handle, and no time is missing.
pub(crate) async fn given_out<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    server: String,
    tool: String,
    task: Task,
) -> Result<Task, Failure> {
    let now = || Timestamp::now().to_string();
    let created_at = Some(task.created_at).filter(|time| !time.is_empty()).unwrap_or_else(now);
    let updated_at = Some(task.updated_at).filter(|time| !time.is_empty()).unwrap_or_else(now);
    let place = Place { server, tool, id: task.id, session: task.session.clone(), created_at: created_at.clone() };
    match sealed(tools, user_id, &place).await {
        // How far it is, its server says when it is asked: its first answer has no result.
        Ok(id) => Ok(Task { id, state: TaskState::Working, created_at, updated_at, ..task }),
        // Nobody could ever ask about it.
        Err(failure) => {
            tasks::cancel(tools, place.at(user_id)).await;
            Err(failure)
        }
    }
}

async fn sealed<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    place: &Place,
) -> Result<String, Failure> {
    let words = "The call takes long, and no handle can be made for it here, so its server was asked to stop.";
    let text = serde_json::to_string(place).map_err(|error| unavailable(&error, words))?;
    let key = tools.store().secrets_key(user_id).await.map_err(|error| unavailable(&error, words))?;
    key.seal("", HANDLE, &text).map_err(|error| unavailable(&error, words))
}

impl<D: Database + 'static, H: Host> Gateway<D, H> {
    /// How far a task is; what it has come to goes the way of every result. It is not recorded: that the call became a task is, and a program asks
    /// about it as often as it likes.
    pub(crate) async fn task_of(&self, handle: &str) -> Result<Task, Failure> {
        let place = self.opened(handle).await?;
        self.asked_about(handle, &place).await
    }

    async fn asked_about(&self, handle: &str, place: &Place) -> Result<Task, Failure> {
        let task = match tasks::asked(&self.tools, place.at(self.session.user_id())).await {
            Ok(task) => task,
            Err(AskError::Unknown) => return Err(Failure::Unknown(handle.to_owned())),
            Err(AskError::Silent(cause)) => return Err(Failure::UpstreamFailed(cause)),
        };
        let state = match task.state {
            // These say themselves what there is to say.
            state @ (TaskState::Working | TaskState::Failed { .. } | TaskState::Cancelled) => state,
            state => {
                if matches!(state, TaskState::InputRequired(_)) {
                    tasks::cancel(&self.tools, place.at(self.session.user_id())).await;
                }
                let found = self.listed.catalog.iter().map(|(_, tool)| tool);
                let mut found = found.filter(|tool| (&tool.server, &tool.name) == (&place.server, &place.tool));
                let tool = found.next().cloned();
                let tool = tool.unwrap_or_else(|| KnownTool::unlisted(place.server.clone(), place.tool.clone()));
                let end = end_of(state).unwrap_or(Err(CallFailure::TaskLost));
                TaskState::Completed(readdressed(self.server.as_deref(), &place.server, judged(&tool, end).0))
            }
        };
        let now = || Timestamp::now().to_string();
        let updated_at = Some(task.updated_at).filter(|time| !time.is_empty()).unwrap_or_else(now);
        Ok(Task { id: handle.to_owned(), state, created_at: place.created_at.clone(), updated_at, ..task })
    }

    /// The same when it has ended, or when a call would have been given up.
    pub(crate) async fn ended_task_of(&self, handle: &str) -> Result<Task, Failure> {
        let host = self.tools.host();
        let until = host.now().saturating_add(CALL_LIMIT);
        // It is one question of the program's, however often its server is asked.
        let place = self.opened(handle).await?;
        loop {
            let task = self.asked_about(handle, &place).await?;
            let left = until.saturating_sub(host.now());
            if task.state.has_ended() || left == Duration::ZERO {
                return Ok(task);
            }
            Clock::sleep(host, task.poll.min(left)).await;
        }
    }

    /// Asks the server to stop. If it does not hear that, the program is told: the task goes on.
    pub(crate) async fn cancel_task_of(&self, handle: &str) -> Result<(), Failure> {
        let place = self.opened(handle).await?;
        if tasks::cancel(&self.tools, place.at(self.session.user_id())).await {
            return Ok(());
        }
        Err(Failure::UpstreamFailed("its server did not answer, so the task goes on. Try again later.".to_owned()))
    }

    /// Where the task of a handle is, if it is the caller's and of a server that is asked here.
    pub(crate) async fn opened(&self, handle: &str) -> Result<Place, Failure> {
        let words = "Tasks cannot be asked about at the moment. Try again later.";
        let user_id = self.session.user_id();
        let limit = Limit::per_minute(format!("tasks:{user_id}"), QUESTIONS_PER_MINUTE);
        let taken = self.tools.store().take_rate(&[limit]).await;
        if taken.map_err(|error| unavailable(&error, words))?.is_err() {
            return Err(Failure::Internal("There were too many questions about tasks. Ask less often.".to_owned()));
        }
        let key = self.tools.store().secrets_key_to_read(user_id).await.map_err(|error| unavailable(&error, words))?;
        let place = key.and_then(|key| key.open("", HANDLE, handle).ok());
        let place = place.and_then(|place| serde_json::from_str::<Place>(&place).ok());
        place.filter(|place| self.is_of(&place.server)).ok_or_else(|| Failure::Unknown(handle.to_owned()))
    }
}
