//! The client half of OAuth for MCP servers elsewhere (Model Context Protocol, "Authorization", 2025-11-25 and 2026-07-28): from a server's 401 to
//! tokens, and from tokens to newer ones.
//!
//! [`begin`] finds the authorization server, gets a client id there and makes the address that a person opens. [`Attempt::finish`] exchanges the code
//! that comes back. [`Authority`] refreshes and revokes tokens. All three speak to strangers: their addresses, their answers and their words are
//! checked here, and nothing follows a redirect.
//!
//! Pure: requests leave through [`mcp::Transport`]. Where attempts and tokens are kept, for whom, and who may begin, is not decided here.

mod address;
mod attempt;
mod authority;
mod challenge;
mod discovery;
mod error;
mod exchange;
mod registration;

pub use attempt::{Attempt, Begun, Us, begin, secret, state_hash};
pub use authority::{Authority, Tokens};
pub use challenge::{Challenge, scopes_together};
pub use error::OAuthError;
pub use registration::{ClientIdDocument, Registered};
