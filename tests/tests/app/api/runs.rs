//! `/api/runs/...`

mod cancel;
mod events;
mod readers;
mod retry;
