//! The tools, resources and prompts that the conformance suite of the protocol requires of a server.
//!
//! It is pure and not shipped. [`tools`], [`content`] and [`asking`] are plain functions, so that a component can offer the same behind the adapter.
//! [`Fixture`] offers it natively.

pub mod asking;
pub mod content;
mod provider;
pub mod tools;

pub use provider::Fixture;

/// The input of a call.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The arguments.
    pub arguments: &'a mcp::Map,
    /// The caller's answers to requests for input.
    pub responses: &'a mcp::Map,
    /// The state that the caller sent back.
    pub state: Option<&'a str>,
    /// The kinds of input that the caller supports.
    pub capabilities: &'a mcp::Map,
}

/// The result of a call.
#[derive(Debug)]
pub enum Step {
    /// A result.
    Done(mcp::Outcome),
    /// Notices, and then a result.
    Live(Vec<mcp::Notice>),
    /// A request for input.
    Asks(mcp::InputNeeded),
}
