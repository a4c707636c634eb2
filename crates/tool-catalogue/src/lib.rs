//! Which tools exist, and for whom: the one room for that.
//!
//! What servers have is kept in the database ([`storage::tool_listings`]) and believed for a while. `tools` has a [`Catalogue`], which asks the
//! servers and writes down what they say; `stream` only reads what is written, and has `tools` make it anew. Both go by one rule, [`current`]:
//! what is fresh is used, what is stale is used and made anew beside, what is old is waited for a moment, and an old list beats none.
//!
//! Pure: the database is behind `storage`, everything else behind the port [`Host`]. Calls are not made here, and nothing is decided about them.

mod ask;
mod catalogue;
mod fault;
mod freshness;
mod kept;
mod listed;
mod offers;
mod problems;
mod remote;
mod secret;
mod server;
mod timing;

pub use catalogue::{Catalogue, Memory, Servers};
pub use fault::Fault;
pub use freshness::{Age, Flight, Found, List, Source, current};
pub use listed::Listed;
pub use offers::{OFFERS_PATH, Offerable, OfferableTool};
pub use problems::Problem;
pub use remote::{InvalidRemote, RemoteServer};
pub use secret::{MAX_SECRET_NAME_CHARS, Secret};
pub use server::{Server, close};
pub use timing::CLAIM_MS;

/// What discovery needs of the world beside the database: the way to the servers, time, and somebody to tell.
pub trait Host: mcp::Transport + cache::Clock + Clone + 'static {
    /// Tells the operator what went wrong; `fields` is a JSON object.
    fn log(&self, message: &str, fields: serde_json::Value);
}

/// Why it cannot be said which tools there are.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The database cannot be read.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// Nothing is known, and nobody said anything in time.
    #[error("the tool servers did not say in time what they have")]
    Slow,
}

/// A text cut to a number of characters, with a sign that it was.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
