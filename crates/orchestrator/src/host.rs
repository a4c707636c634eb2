//! The port to everything outside: the store, the model's server, the tools, time, and the reader.

use std::time::Duration;

use bytes::Bytes;
pub use domain::tool::{Offered, ToolAnswer, ToolDefinition, ToolProgress};
use domain::{Id, ToolCall};
use futures::Stream;
use http::HeaderMap;
use storage::{Database, Store, runs::Lease};

use crate::Ledger;

/// What a run needs of the world.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Host {
    /// The database behind the store.
    type Database: Database;
    /// The body of the model's answer. Dropping it closes the connection.
    type Body: Stream<Item = Result<Bytes, Unreachable>> + Unpin;

    /// The store.
    fn store(&self) -> &Store<Self::Database>;

    /// The runs of this instance.
    fn ledger(&self) -> &Ledger;

    /// What proves to the model's server who asks, as it is sent; may be empty. Nobody is shown it.
    fn authorization(&self) -> &str;

    /// The model's server, by its address without what may be secret in it.
    fn model_server(&self) -> &str;

    /// Sends a request to the model's server and waits for the head of its answer.
    async fn ask_model(&self, body: Vec<u8>) -> Result<ModelAnswer<Self::Body>, Unreachable>;

    /// The tools that the person whose run it is may use. Empty when they cannot be listed: an answer without tools beats none.
    async fn tools(&self) -> Offered;

    /// Has a call of a run made, if the lease holds, it may be made and was not made before. What goes wrong is an answer too. It may be asked
    /// for the same call again when nobody knows what came of it. `told` hears how far the call is, some times a second at most.
    async fn call_tool(&self, lease: Lease, call: &ToolCall, told: &dyn Fn(ToolProgress)) -> ToolAnswer;

    /// Has the tasks of a waiting run asked about for which it is time, whoever asks; what came of it is in the store.
    async fn ask_about_tasks(&self, run_id: Id);

    /// Time since some moment, never going back, the same for all runs of this instance.
    fn now(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// Tells the operator what happened to a run; `fields` is a JSON object.
    fn log(&self, severity: Severity, message: &str, fields: serde_json::Value);
}

/// How much an operator wants to know of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// It happened.
    Info,
    /// Something failed.
    Error,
}

/// Where live events go.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Reader {
    /// Hands over frames without waiting. `false`: the reader has left, or is too slow to keep; it can come back and replay.
    fn send(&mut self, frames: &str) -> bool;

    /// Waits until more can be handed over, so that a log is replayed as fast as it is read. `false`: the reader has left.
    async fn ready(&mut self) -> bool {
        true
    }
}

/// The model's server answered.
#[derive(Debug)]
pub struct ModelAnswer<B> {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body as it comes.
    pub body: B,
}

/// The model's server cannot be reached, or the connection broke.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreachable {
    /// Configuration forbids it.
    #[error("{0}")]
    NotAllowed(String),
    /// The network does.
    #[error("{0}")]
    Connection(String),
}

/// What an operator can set about runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the model's context holds, the answer included.
    pub context_window_tokens: u64,
    /// The installation's instructions to the model; may be empty.
    pub system_prompt: String,
    /// How long the model may say nothing at all.
    pub silence: Duration,
}
