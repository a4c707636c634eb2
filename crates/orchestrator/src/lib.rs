//! A chat turn, from a queued run to a stored answer. Seven parts, a module each:
//!
//! | module | does |
//! | --- | --- |
//! | [`request_handler`] | lets a reader in: replays, tails, or executes the run for it |
//! | [`session_manager`] | holds the run's lease, logs its events in time, hears when to stop |
//! | [`prompt_builder`] | chooses what of the conversation the model sees |
//! | [`llm_client`] | asks the model, again if it is busy, and passes on what it says |
//! | [`tool_executor`] | has the calls made that the model asks for, and lets the run wait for the person's approval |
//! | [`response_streamer`] | writes events, once for the log and once for the reader |
//! | [`error_handler`] | says what an error means: try again, or what to tell the person |
//!
//! [`refusal`] reads what a model's server says when it refuses, [`ledger`] is what the runs of an instance share, [`tool_search`] chooses what tools the model is offered, [`tool_output`] fences what they
//! said. Pure: everything outside comes through the [`Host`] port, so all of it runs in tests without Spin.

pub mod error_handler;
pub mod host;
pub mod ledger;
pub mod llm_client;
pub mod prompt_builder;
pub mod refusal;
pub mod request_handler;
pub mod response_streamer;
pub mod session_manager;
mod tokens;
pub mod tool_executor;
pub mod tool_output;
pub mod tool_search;
mod turn;
mod unpacking;

pub use host::{
    Host, ModelAnswer, Offered, Reader, Settings, Severity, ToolAnswer, ToolDefinition, ToolProgress, Unreachable,
};
pub use ledger::Ledger;
pub use request_handler::{Opened, open};
