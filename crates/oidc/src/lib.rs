//! Signing in with an organisation's provider: OpenID Connect Core 1.0, the authorization code flow with PKCE (RFC 7636), discovery, RP-initiated
//! and back-channel log-out.
//!
//! Pure: it sends its requests through the port [`Outside`], stores nothing and reads no clock. The messages and signatures are those of the crate
//! `openidconnect`; here is what that crate leaves to its user: configuration, the state of an attempt, the checks of `azp`, `iat` and `auth_time`,
//! the claims that matter, and log-out tokens. It knows no account.

pub mod attempt;
pub mod logout;
pub mod person;
pub mod provider;
pub mod relying_party;
pub mod return_to;

use std::{future::Future, pin::Pin};

pub use openidconnect::{HttpRequest, HttpResponse};

/// The way to the provider: sends a request and returns the whole response, within the limits of whoever implements it, and follows no redirect.
pub type Outside = dyn Fn(HttpRequest) -> Exchange + Send + Sync;

/// A request on its way.
pub type Exchange = Pin<Box<dyn Future<Output = Result<HttpResponse, Unreachable>> + Send>>;

/// For so long, the clocks of a provider and of the database may differ.
pub const CLOCK_TOLERANCE_S: i64 = 60;

/// Why a request got no response. The text is for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Why signing in, or logging out, failed at the provider. The texts are for the log: they contain no secret and nothing about a person.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer, or not as OpenID Connect demands.
    #[error("the provider cannot be used: {0}")]
    Unavailable(String),
    /// It did not accept the code or the client: the code was used before, or the configuration is wrong.
    #[error("the provider refused the code: {0}")]
    CodeRefused(String),
    /// A token is signed with none of the provider's keys, as far as they are known.
    #[error("a token is signed with an unknown key")]
    UnknownKey,
    /// A token is forged, too old, or meant for somebody else.
    #[error("a token of the provider is not accepted: {0}")]
    TokenRefused(String),
    /// No random numbers.
    #[error("the host gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}
