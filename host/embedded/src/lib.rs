//! The embedded host: serves an unmodified Spin manifest on a machine without Spin.
//!
//! It is for development: it implements only what our manifest uses, with Spin's semantics, on wasmtime. Nothing may work on it that does not
//! work on Spin. Other crates should use only [`cli`]; `key_value`, `postgres` and `sqlite` are public because generated code uses their types.

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
