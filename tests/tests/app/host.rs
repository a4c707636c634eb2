//! The host dies or is told to stop: runs are taken over, and nothing is lost or sent twice.

mod erasing;
mod stopping;
mod takeover;
