//! The app over HTTP, as `docs/api.md` says. The folders mirror the addresses; `model` and `host` are about faults around the app.

#![allow(clippy::indexing_slicing, reason = "of JSON alone, where what is missing is null")]
#![allow(clippy::panic, reason = "that is how a check fails")]

mod api;
mod auth;
mod errors;
mod extraction;
mod host;
mod inside;
mod isolation;
mod logs;
mod mcp;
mod model;
mod operations;
mod page;
mod planted;
mod rotel;
mod tools;
mod traces;
mod webhooks;
