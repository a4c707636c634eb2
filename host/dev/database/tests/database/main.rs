//! The program `database` from outside, on SQLite and on a real PostgreSQL.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod audit;
mod copy;
mod keys;
mod places;
mod tls;
mod upgrade;
