//! `/api/...`

mod conversations;
mod files;
mod messages;
mod runs;
mod search;
