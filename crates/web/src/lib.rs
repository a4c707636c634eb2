//! Handles every component's requests: gives each an id, authenticates the caller, reads the body within limits, turns errors into problems, and
//! logs the request once.
//!
//! Knows axum and HTTP, not Spin: routers built on it run natively in tests.

pub mod access;
pub mod api_keys;
pub mod app;
pub mod arriving;
pub mod body;
pub mod client_address;
mod compression;
pub mod error;
pub mod extract;
pub mod inside;
pub mod issuing;
pub mod keys;
mod language;
pub mod limits;
pub mod listing;
pub mod preferences;
pub mod serve;
pub mod session;
pub mod settings;
pub mod site;

pub use app::App;
pub use error::{Error, Result};
pub use extract::{Json, PathId, Query};
pub use inside::Inside;
pub use listing::{Listing, Page};
pub use logging as log;
pub use preferences::Preferences;
pub use serve::serve;
pub use session::{Allowed, Authenticator, Session};
pub use site::Site;
