//! What the conformance suite of the protocol wants of a server under test: its tools, resources and prompts.
//!
//! Pure, and nothing of it is shipped. [`tools`], [`content`] and [`asking`] are plain functions, so that a component can offer the same behind
//! the adapter; [`Fixture`] offers it natively, and [`TaskFixture`] with tools whose calls outlive their requests.

pub mod asking;
pub mod content;
mod provider;
mod tasks;
pub mod tools;

pub use provider::Fixture;
pub use tasks::TaskFixture;

/// What a call comes with.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The arguments.
    pub arguments: &'a mcp::Map,
    /// What the caller answered.
    pub responses: &'a mcp::Map,
    /// What the caller sent back.
    pub state: Option<&'a str>,
    /// What the caller can be asked for.
    pub capabilities: &'a mcp::Map,
}

/// What a call comes to.
#[derive(Debug)]
pub enum Step {
    /// A result.
    Done(mcp::Outcome),
    /// Notices and then a result.
    Live(Vec<mcp::Notice>),
    /// The caller is asked back.
    Asks(mcp::InputNeeded),
}
