//! The port to everything outside: the store, the model's server, the tools, time, and the reader.

use std::time::Duration;

use bytes::Bytes;
pub use domain::tool::{CallTerms, Offered, ToolAnswer, ToolDefinition, ToolProgress};
use domain::{Id, ToolCall};
use futures::Stream;
use http::HeaderMap;
use models::{Pricing, Provider};
use storage::{Database, Store, claims::Claim, runs::Lease, tool_listings::ToolOffers};

use crate::Ledger;

/// The operations that a run needs from outside.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Host {
    /// The database behind the store.
    type Database: Database;
    /// The body of the model's response. Dropping it closes the connection.
    type Body: Stream<Item = Result<Bytes, Unreachable>> + Unpin;

    /// The store.
    fn store(&self) -> &Store<Self::Database>;

    /// The runs of this instance.
    fn ledger(&self) -> &Ledger;

    /// The addresses of the model servers that are configured, without parts that may be secret, with spaces between them: the claim of a run reads
    /// what is remembered about them.
    fn model_servers(&self) -> String;

    /// The providers that have the run's model, in the order in which they are asked.
    async fn providers(&self, claim: &Claim) -> Vec<Provider>;

    /// Sends a request to a provider and waits for the response's head.
    async fn ask_model(&self, provider: &Provider, body: Vec<u8>) -> Result<ModelAnswer<Self::Body>, Unreachable>;

    /// The tools that the run's person may use. `offers` was read with the run's claim. `None`: they cannot be listed, and the log says why.
    async fn tools(&self, offers: &ToolOffers) -> Option<Offered>;

    /// Whether anybody has a budget, so that a run has to ask before it uses anything.
    async fn has_budgets(&self) -> bool;

    /// The bytes of a person's file that has so many. `None`: it is gone, or cannot be read whole now.
    async fn file(&self, user_id: Id, file_id: Id, size: u64) -> Option<Vec<u8>>;

    /// The text of a person's document, at most so many bytes. Waits as long as somebody reads it.
    async fn file_text(&self, user_id: Id, file_id: Id, max_bytes: usize) -> FileText;

    /// Makes a call of a run, if the lease holds, the call is allowed and it was not made before. Failures are answers too. The same call may be
    /// requested again if it is unknown whether it took effect. `told` receives the call's progress, at most a few times a
    /// second.
    async fn call_tool(
        &self,
        lease: Lease,
        call: &ToolCall,
        terms: CallTerms<'_>,
        told: &dyn Fn(ToolProgress),
    ) -> ToolAnswer;

    /// Asks the servers of the person's waiting run about the tasks that are due. The answers are in the store afterwards. `false`: nobody could be
    /// asked.
    async fn ask_about_tasks(&self, user_id: Id, run_id: Id) -> bool;

    /// The time since a fixed moment. It never goes back, and is the same for all runs of this instance.
    fn now(&self) -> Duration;

    /// Waits for a duration.
    async fn sleep(&self, duration: Duration);

    /// Writes a log line about a run for the operator. `fields` is a JSON object.
    fn log(&self, severity: Severity, message: &str, fields: serde_json::Value);
}

/// The text of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileText {
    /// It was read.
    Read {
        /// The text, or its beginning.
        text: String,
        /// It is only the beginning.
        is_cut: bool,
        /// The codes of what is missing in it (docs/files.md).
        notes: Vec<String>,
    },
    /// It cannot be read, with a sentence for the person.
    Failed(String),
    /// It is gone, or cannot be had now.
    Away,
}

/// The severity of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// A normal event.
    Info,
    /// A failure.
    Error,
}

/// The destination of live events.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Reader {
    /// Passes frames on without waiting. `false`: the reader has left, or is too slow; it can come back and replay.
    fn send(&mut self, frames: &str) -> bool;

    /// Waits until more can be sent, so a log is replayed only as fast as it is read. `false`: the reader has left.
    async fn ready(&mut self) -> bool {
        true
    }
}

/// A response of the model's server.
#[derive(Debug)]
pub struct ModelAnswer<B> {
    /// The HTTP status.
    pub status: u16,
    /// The response's headers.
    pub headers: HeaderMap,
    /// The body, still arriving.
    pub body: B,
}

/// Why the model's server cannot be reached, or the connection broke.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreachable {
    /// The configuration forbids it.
    #[error("{0}")]
    NotAllowed(String),
    /// The network failed.
    #[error("{0}")]
    Connection(String),
}

/// The operator's settings for runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The size of the standard provider's models' context, including the answer, and that of models about which nothing is known.
    pub context_window_tokens: u64,
    /// The installation's instructions to the model; may be empty.
    pub system_prompt: String,
    /// The longest silence of the model.
    pub silence: Duration,
    /// What models cost.
    pub pricing: Pricing,
}

impl Settings {
    /// The size of a model's context at a provider, in tokens, as far as it is known before anybody was asked.
    #[must_use]
    pub fn window(&self, provider: &Provider, model: &str) -> u64 {
        let configured = self.context_window_tokens;
        match provider.name == models::STANDARD {
            true => configured,
            false => provider.facts(model).context_window_tokens.unwrap_or(configured),
        }
    }
}
