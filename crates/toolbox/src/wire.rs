//! What `stream` and `tools` say to each other, inside the house. Not for anybody else: clients speak MCP or the public API.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where `tools` lists what a run's model may be offered.
pub const OFFERS_PATH: &str = "/internal/offers";

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

/// The tools a model may be offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offers {
    /// In a stable order.
    pub items: Vec<Offer>,
    /// Servers that have more tools, which want something of the person first.
    pub unconfigured: Vec<String>,
}

/// A tool as a model gets to know it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The name by which it is called.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Box<RawValue>,
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

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Called {
    /// A result, or what went wrong, in words.
    Result {
        /// For the model and the person.
        content: String,
        /// Whether it went wrong.
        is_error: bool,
    },
    /// The person must decide first.
    ApprovalNeeded {
        /// Where the tool is.
        server: String,
        /// What people call it.
        title: String,
        /// Whether it always asks, so that nothing but this call can be allowed.
        always_asks: bool,
        /// Whether it is asked about because others would hear something in it that may be private.
        may_disclose: bool,
        /// Until when they may, in milliseconds since 1970.
        expires_at_ms: i64,
    },
    /// Somebody else executes the run.
    LeaseLost,
}
