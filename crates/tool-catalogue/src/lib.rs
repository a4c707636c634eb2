//! Which tools exist, and for whom. No other crate decides this.
//!
//! The servers' lists are stored in the database ([`storage::tool_listings`]) and are valid for a while. `tools` has a [`Catalogue`], which asks the
//! servers and stores their answers. `stream` only reads what is stored, and asks `tools` to refresh it. Both follow one rule, [`current`]: a fresh
//! list is used. A stale list is used and refreshed in the background. For an old list, a request waits a moment for a new one. An old list is better
//! than none.
//!
//! Pure: the database is behind `storage`, everything else behind the port [`Host`]. This crate makes no tool calls, and decides nothing about them.

mod ask;
mod catalogue;
mod fault;
mod features;
mod freshness;
mod kept;
mod listed;
mod offers;
mod problems;
mod remote;
mod secret;
mod server;
mod timing;

use domain::Id;
use http::HeaderValue;

pub use ask::{kept_for_person, listing_of};
pub use catalogue::{Catalogue, Memory, Servers};
pub use fault::Fault;
pub use features::MAX_URI_BYTES;
pub use freshness::{Age, Flight, Found, List, Source, current};
pub use listed::{Connected, Listed};
pub use offers::{KnownOffers, OFFERS_PATH, Offerable, OfferableTool};
pub use problems::Problem;
pub use remote::{InvalidRemote, RemoteServer};
pub use secret::{MAX_SECRET_NAME_CHARS, Secret};
pub use server::{Server, close};
pub use timing::{CLAIM_MS, REMOTE_TTL_MS};

/// What discovery needs besides the database: a way to the servers, time, a proof of who calls, and a log.
pub trait Host: mcp::Transport + cache::Clock + Clone + 'static {
    /// The proof that this component calls a tool server of this installation, for a person or for nobody in particular. `None`: it cannot be made, and
    /// the log says why.
    fn prove(
        &self,
        component: &str,
        user_id: Option<Id>,
        request_id: &str,
    ) -> impl Future<Output = Option<HeaderValue>>;

    /// Tells the operator what went wrong; `fields` is a JSON object.
    fn log(&self, message: &str, fields: serde_json::Value);
}

/// Why the tools cannot be listed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The database cannot be read.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// Nothing is known, and nothing came in time.
    #[error("the tool servers did not send their lists in time")]
    Slow,
}

/// The text, cut to a number of characters. An ellipsis marks the cut.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
