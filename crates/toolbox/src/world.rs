//! The port through which a call reaches everything outside: the store, the servers, the clock.

use std::time::Duration;

use mcp::{FailureKind, Task};
use permissions::Access;

use crate::{AuditCode, CallFailure, Chosen, KnownTool, Outcome, Policy, ServerName};

/// The outside of a call. One value stands for one call of one user.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait World {
    /// The store failed, so nothing is known about the call.
    type Error;

    /// The policies that apply, and the state of this call's approval.
    async fn permission(&self, tool: &KnownTool) -> Result<Permission, Self::Error>;

    /// Whether the tool has the settings that it needs, as far as this is known before the call. A person must not be asked to approve a call that
    /// cannot work.
    async fn is_set_up(&self, tool: &KnownTool) -> Result<(), CallFailure>;

    /// Asks the person about this call. Returns when the question expires, in milliseconds since 1970. A second request returns the same. `None`:
    /// another executor has the run now.
    async fn ask_approval(&self, tool: &KnownTool) -> Result<Option<i64>, Self::Error>;

    /// Counts a call against the rate limit. `Err`: the limit is reached; the milliseconds until a call is allowed again.
    async fn take_rate(&self, tool: &KnownTool) -> Result<Result<(), u64>, Self::Error>;

    /// The cached result for this key. `None` also if the cache cannot be read. Keys do not contain the user: the world stores results of a single
    /// user under that user.
    async fn cached(&self, key: &str) -> Option<Outcome>;

    /// Stores a result in the cache. The world logs its own error.
    async fn cache(&self, key: &str, outcome: &Outcome, ttl_ms: u64);

    /// Records that the call is about to be made. For clients without a run: always [`Started::First`].
    async fn start(&self) -> Result<Started, Self::Error>;

    /// Makes the call with these arguments, byte for byte. Reads at most [`MAX_OUTCOME_BYTES`](crate::execution::MAX_OUTCOME_BYTES). The future is
    /// dropped at the end of [`CALL_LIMIT`](crate::execution::CALL_LIMIT).
    async fn call(&self, tool: &KnownTool, arguments: &str) -> Result<Reached, CallFailure>;

    /// Stores the task of this call, so that its result can be requested later. Returns when the task began, in milliseconds since 1970. `None`:
    /// nobody waits for it any more.
    async fn keep_task(&self, tool: &KnownTool, task: &Task) -> Result<Option<i64>, Self::Error>;

    /// Asks for the state of a task of this call.
    async fn task(&self, tool: &KnownTool, task: &Task) -> Result<Task, CallFailure>;

    /// Stops a task, if its server does that. The world logs its own error.
    async fn cancel_task(&self, tool: &KnownTool, task: &Task);

    /// Appends to the audit. The world logs its own error: the call's result must not be lost because of it.
    async fn audit(&self, entry: AuditEntry) -> Result<(), Self::Error>;

    /// Completes after this time.
    async fn sleep(&self, duration: Duration);

    /// Whether this very call was begun before, by an executor that did not see its end.
    fn begun(&self) -> bool;

    /// Whether this call can wait for a person. A run can; an outside client cannot.
    fn can_ask(&self) -> bool;

    /// Whether the caller can ask for the result later. A run can, and so can an outside client that declares it.
    fn can_wait(&self) -> bool;

    /// Whether something private was read earlier in this conversation, which this call could disclose.
    fn has_read_private(&self) -> bool;

    /// Whether something was read earlier in this conversation that others wrote, and that may have asked for this call.
    fn has_read_others(&self) -> bool;

    /// The texts that the person has written in this conversation. Read only when they are needed.
    async fn written_by_person(&self) -> Result<Vec<String>, Self::Error>;
}

/// The rules that decide whether a call may be made.
#[derive(Clone, Debug, Default)]
pub struct Permission {
    /// The permissions of the user's roles.
    pub access: Access,
    /// The tools that the conversation may use.
    pub chosen: Chosen,
    /// Nobody is there who could approve the call.
    pub unattended: bool,
    /// The installation's policies.
    pub installation: Vec<Policy>,
    /// The user's policies.
    pub user: Vec<Policy>,
    /// The state of this call's approval.
    pub approval: Approval,
}

/// The state of a call's approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Approval {
    /// The person was not asked.
    #[default]
    None,
    /// The person was asked and has not decided.
    Pending {
        /// When the question expires, in milliseconds since 1970.
        expires_at_ms: i64,
    },
    /// The person said yes.
    Allowed,
    /// The person said no.
    Denied,
    /// The person did not decide in time.
    Expired,
}

/// Whether the start of a call was recorded before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// No: this is the first start.
    First,
    /// Yes: the call was begun before.
    Again,
    /// Another executor has the run now.
    LeaseLost,
}

/// The record of a call for the audit. It has no content: neither arguments nor result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// The server. `None`: there is no such tool.
    pub server: Option<ServerName>,
    /// The tool's name on its server, or the name that was called.
    pub tool: String,
    /// The outcome.
    pub code: AuditCode,
}

/// A tool's answer to a call.
#[derive(Clone, PartialEq, Debug)]
pub struct Called {
    /// The result.
    pub outcome: Outcome,
    /// The kind of failure if the tool failed, as far as its server is trusted.
    pub failure: Option<FailureKind>,
}

/// The answer to a call so far.
#[derive(Clone, PartialEq, Debug)]
pub enum Reached {
    /// The tool has answered.
    Result(Called),
    /// The call continues as a task on its server.
    Task(Box<Task>),
}

impl From<Called> for Reached {
    fn from(called: Called) -> Self {
        Self::Result(called)
    }
}

impl From<Outcome> for Called {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, failure: None }
    }
}
