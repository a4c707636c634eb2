//! `/api/...`

mod conversations;
mod messages;
mod runs;
mod search;
