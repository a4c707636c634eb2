//! The messages of `stream`, `chat` and `auth` to `tools` on the private routes. The answer to a call is a sequence of JSON lines, each a [`Said`]. Clients
//! do not use these routes: they speak MCP or use the public API.

use std::borrow::Cow;

use domain::tool::{ToolAnswer, ToolProgress};
use serde::{Deserialize, Serialize};

/// The route on which `tools` executes a call of a run.
pub const CALLS_PATH: &str = "/internal/calls";

/// The executor of a run, which makes the request. Only the executor knows the owner of the lease, so this also tells for which person the request
/// is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Executor<'a> {
    /// The run, as an id.
    pub run_id: Cow<'a, str>,
    /// The owner of the run's lease.
    pub lease_owner: Cow<'a, str>,
}

/// A call that the executor of a run requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call<'a> {
    /// The executor.
    pub executor: Executor<'a>,
    /// The model's id for the call.
    pub call_id: Cow<'a, str>,
    /// The tool's name, as offered.
    pub name: Cow<'a, str>,
    /// The arguments, as the model wrote them.
    pub arguments: Cow<'a, str>,
    /// Patterns of the tools that the run may use; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Cow<'a, [String]>>,
    /// Nobody is there who could approve it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unattended: bool,
    /// The conversation began elsewhere, where something private may have been read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub began_elsewhere: bool,
}

/// The route on which `tools` asks about a run's tasks that are due: the run and the person of the caller's token. A request cannot cause more than is
/// due anyway.
pub const ASK_TASKS_PATH: &str = "/internal/tasks/ask";
/// The route on which `tools` stops tasks of runs that were stopped, have ended or are deleted. A request cannot cause more than is due anyway.
pub const STOP_TASKS_PATH: &str = "/internal/tasks/stop";

/// The route on which `tools` revokes the tokens of all connections of the caller's person, whose account is being erased, at the servers that gave them.
pub const REVOKE_CONNECTIONS_PATH: &str = "/internal/connections/revoke";

/// The tasks to stop at once. Other tasks that are due to be stopped are stopped too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StopTasks<'a> {
    /// The id of the run, that of the caller's token, if the request is about one.
    pub run_id: Option<Cow<'a, str>>,
}

/// A line of the answer to a call. The last line is the result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Progress, at most some times a second.
    Progress(ToolProgress),
    /// The result.
    Answer(ToolAnswer),
}
