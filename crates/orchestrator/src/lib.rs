//! A chat turn, from a queued run to a stored answer. It has seven parts, one module each:
//!
//! | module | does |
//! | --- | --- |
//! | [`request_handler`] | serves a reader: replays, tails, or executes the run |
//! | [`session_manager`] | holds the run's lease, logs its events in time, learns when to stop |
//! | [`prompt_builder`] | chooses the messages that the model sees |
//! | [`llm_client`] | asks the model, again if it is busy, and passes the answer on |
//! | [`tool_executor`] | has the model's calls made, and lets the run wait for the person's approval |
//! | [`response_streamer`] | writes events, once for the log and once for the reader |
//! | [`error_handler`] | decides what an error means: retry, or what to tell the person |
//!
//! [`refusal`] reads the refusals of a model's server. [`budget`] reserves what a round may use, by the rule of [`reservation`]. [`ledger`] is shared by the runs of an instance. [`tool_search`] chooses the tools that the
//! model is offered. `wanted` says what the person wants of the answer, `memories` what they had remembered. [`tool_output`] fences tools' results. The crate is pure: everything outside is behind the port [`Host`], so all of it runs in
//! tests without Spin.

pub mod api;
mod asking;
pub mod attachments;
pub mod budget;
pub mod error_handler;
pub mod host;
pub mod ledger;
pub mod llm_client;
mod memories;
pub mod prompt_builder;
pub mod refusal;
pub mod request_handler;
pub mod reservation;
pub mod response_streamer;
pub mod session_manager;
mod spans;
mod task_watch;
pub mod tool_executor;
pub mod tool_output;
pub mod tool_search;
mod turn;
mod unpacking;
mod wanted;

use domain::tokens;
pub use host::{
    CallTerms, FileText, Host, ModelAnswer, Offered, Reader, Settings, Severity, ToolAnswer, ToolDefinition,
    ToolProgress, Unreachable,
};
pub use ledger::Ledger;
pub use request_handler::{Opened, open};
