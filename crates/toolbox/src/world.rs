//! The port through which a call reaches everything outside: the store, the servers, time.

use std::time::Duration;

use mcp::{FailureKind, Task};
use permissions::Access;

use crate::{AuditCode, CallFailure, KnownTool, Outcome, Policy, ServerName};

/// What a call needs of the world. One value of it is one call, by one user.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait World {
    /// The store failed, so nothing can be said about the call.
    type Error;

    /// The policies that hold, and how far the approval of this call is.
    async fn permission(&self, tool: &KnownTool) -> Result<Permission, Self::Error>;

    /// Whether what the tool needs is there, as far as is known before the call. Nobody is asked to approve what cannot be done.
    async fn is_set_up(&self, tool: &KnownTool) -> Result<(), CallFailure>;

    /// Asks the person about this call. When the question expires, in milliseconds since 1970. Asked again: the same. `None`: the run is
    /// somebody else's by now.
    async fn ask_approval(&self, tool: &KnownTool) -> Result<Option<i64>, Self::Error>;

    /// Takes one call from what may be made. `Err`: none is left; how many milliseconds until one is.
    async fn take_rate(&self, tool: &KnownTool) -> Result<Result<(), u64>, Self::Error>;

    /// A result kept for this key. A cache that cannot be read has none. Keys know nothing of users: results that are one user's are kept
    /// under that user's name.
    async fn cached(&self, key: &str) -> Option<Outcome>;

    /// Keeps a result. What goes wrong is the world's to log.
    async fn cache(&self, key: &str, outcome: &Outcome, ttl_ms: u64);

    /// Writes down that the call is about to be made. For clients that are no run: always [`Started::First`].
    async fn start(&self) -> Result<Started, Self::Error>;

    /// Makes the call with these arguments, byte for byte. Reads no more than [`MAX_OUTCOME_BYTES`](crate::execution::MAX_OUTCOME_BYTES). Dropped
    /// when [`CALL_LIMIT`](crate::execution::CALL_LIMIT) is over.
    async fn call(&self, tool: &KnownTool, arguments: &str) -> Result<Reached, CallFailure>;

    /// Keeps a task that the call has become, for whoever asks later what it came to. Since when it is one, in milliseconds since 1970. `None`:
    /// nobody waits for it any more.
    async fn keep_task(&self, tool: &KnownTool, task: &Task) -> Result<Option<i64>, Self::Error>;

    /// Asks how far a task is, which a call has become.
    async fn task(&self, tool: &KnownTool, task: &Task) -> Result<Task, CallFailure>;

    /// Has a task stopped, as far as its server does that. What goes wrong is the world's to log.
    async fn cancel_task(&self, tool: &KnownTool, task: &Task);

    /// Appends to the audit. What goes wrong is the world's to log: the result is not lost over it.
    async fn audit(&self, entry: AuditEntry) -> Result<(), Self::Error>;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// Whether this very call was begun before, by somebody who did not live to see its end.
    fn begun(&self) -> bool;

    /// Whether this call can wait for a person. A run can; an outside client cannot.
    fn can_ask(&self) -> bool;

    /// Whether whoever wants this call can ask later what it came to. A run can, and an outside client that says so.
    fn can_wait(&self) -> bool;

    /// Whether something private was read before in this conversation, which this call could carry out.
    fn has_read_private(&self) -> bool;

    /// What the person has written in this conversation. Asked for only when it matters.
    async fn written_by_person(&self) -> Result<Vec<String>, Self::Error>;
}

/// What is known about whether a call may be made.
#[derive(Clone, Debug, Default)]
pub struct Permission {
    /// What the user's roles allow.
    pub access: Access,
    /// The installation's policies.
    pub installation: Vec<Policy>,
    /// The user's.
    pub user: Vec<Policy>,
    /// The approval of this very call.
    pub approval: Approval,
}

/// How far the approval of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Approval {
    /// Nobody was asked.
    #[default]
    None,
    /// The person was asked and has not decided.
    Pending {
        /// Milliseconds since 1970.
        expires_at_ms: i64,
    },
    /// The person said yes.
    Allowed,
    /// The person said no.
    Denied,
    /// The person did not decide in time.
    Expired,
}

/// Whether a call was written down before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// It was not.
    First,
    /// It was.
    Again,
    /// The run is somebody else's by now.
    LeaseLost,
}

/// What is kept about a call. No content: not its arguments, not its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// The server; `None`: there is no such tool.
    pub server: Option<ServerName>,
    /// The tool's name there, or what was asked for.
    pub tool: String,
    /// What it came to.
    pub code: AuditCode,
}

/// What a tool answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Called {
    /// Its result.
    pub outcome: Outcome,
    /// If it failed, which kind of failure that is, as far as its server is believed.
    pub failure: Option<FailureKind>,
}

/// What a call has come to so far.
#[derive(Clone, PartialEq, Debug)]
pub enum Reached {
    /// Its tool has answered.
    Result(Called),
    /// It goes on at its server.
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
