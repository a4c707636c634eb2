//! The host dies or is told to stop: runs are taken over, nothing is lost or told twice.

mod stopping;
mod takeover;
