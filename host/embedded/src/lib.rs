//! The embedded host: serves an unmodified Spin manifest on a machine without Spin.
//!
//! It is a development host: it implements what our manifest uses, with Spin's semantics, on wasmtime. Nothing may
//! work on it that does not work on Spin. Only [`cli`] is meant for others; `key_value`, `postgres` and `sqlite` are
//! public because generated code names types of theirs.

mod application;
mod bindings;
mod cache;
mod compile;
mod compose;
mod connections;
mod engine;
mod gate;
mod grants;
mod instance;
mod logs;
mod outbound;
mod private;
mod row_stream;
mod server;
mod timeouts;
mod variables;

pub mod cli;
pub mod key_value;
pub mod postgres;
pub mod sqlite;
