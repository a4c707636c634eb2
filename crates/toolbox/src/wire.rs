//! What `stream` and `chat` ask of `tools` over the private routes. A call is answered with lines of JSON, each a [`Said`]. Not for clients: they
//! speak MCP or use the public API.

use std::borrow::Cow;

use domain::tool::{ToolAnswer, ToolProgress};
use serde::{Deserialize, Serialize};

/// Where `tools` executes a call of a run.
pub const CALLS_PATH: &str = "/internal/calls";

/// Who asks: the executor of a run. Nobody else knows the owner of its lease, so this says for whom it is, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Executor<'a> {
    /// The run, as an id.
    pub run_id: Cow<'a, str>,
    /// The owner of its lease.
    pub lease_owner: Cow<'a, str>,
}

/// A call that a run's executor wants made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call<'a> {
    /// Who wants it.
    pub executor: Executor<'a>,
    /// The model's id for the call.
    pub call_id: Cow<'a, str>,
    /// The tool's name, as offered.
    pub name: Cow<'a, str>,
    /// What the model wrote.
    pub arguments: Cow<'a, str>,
}

/// Where `tools` asks about the tasks of a run for which it is time: the run, and the person, of the caller's token. Whoever asks this can do no more by
/// it than what is due anyway.
pub const ASK_TASKS_PATH: &str = "/internal/tasks/ask";
/// Where `tools` stops tasks of runs that were stopped, have ended or are deleted. Likewise.
pub const STOP_TASKS_PATH: &str = "/internal/tasks/stop";

/// Which tasks are stopped at once. Others that are to be stopped come with them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StopTasks<'a> {
    /// A run, as an id, if it is about one: that of the caller's token.
    pub run_id: Option<Cow<'a, str>>,
}

/// A line of the answer. The last one is the call's.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// How far it is, some times a second at most.
    Progress(ToolProgress),
    /// What it came to.
    Answer(ToolAnswer),
}
