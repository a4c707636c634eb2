//! The embedded host from outside: the real executable, serving guests built for wasm32-wasip2 with the real SDK.

// The configuration allows these in test functions, but not in the harness.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod alone;
mod composition;
mod connections;
mod faults;
mod files;
mod harness;
mod lifecycle;
mod outbound;
mod permissions;
mod postgres;
mod serving;
mod storage;
