//! The scripted model from outside, over real connections. One file for each feature that a client may rely on.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy.toml allows them in test functions, and the client's functions serve tests alone"
)]

mod client;
mod faults;
mod journal;
mod refusals;
mod streams;
mod tools;
