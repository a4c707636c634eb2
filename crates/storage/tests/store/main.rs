//! The promises of the store, tested on SQLite and on a real PostgreSQL: data in, data out.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod accounts;
mod api_keys;
mod approvals;
mod assistants;
mod audit_chain;
mod connections;
mod conversations;
mod damage;
mod data_key_rotation;
mod document;
mod erasures;
mod files;
mod fixture;
mod full;
mod grants;
mod identities;
mod keys;
mod limit_changes;
mod limits;
mod links;
mod list_plans;
mod lost_keys;
mod master_keys;
mod memories;
mod metrics;
mod migrations;
mod model_requests;
mod models;
mod names;
mod permissions;
mod places;
mod plans;
mod program_conversations;
mod readings;
mod repeated;
mod retention;
mod runs;
mod sealing;
mod search;
mod second_factors;
mod settings;
mod spending;
mod tasks;
mod tools;
mod webhooks;

/// Makes two tests of each function that takes a `Place`.
macro_rules! on_each_database {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(crate::places::Place::sqlite()); })*
        }
        mod postgres {
            $(#[test] fn $name() { if let Some(place) = crate::places::Place::postgres() { super::$name(place); } })*
        }
    };
}
use on_each_database;
