//! Identity of people and their programs: passwords, second factors, access tokens, refresh tokens, API keys, secrets of links, marks of known browsers, and the rules for addresses and
//! names.
//!
//! Pure: it stores nothing, and reads no clock except to check tokens. A header proves no identity; only a token that verifies here does.

pub mod address;
pub mod api_key;
pub mod grant_token;
pub mod known_browser;
pub mod link_token;
pub mod password;
pub mod refresh_token;
pub mod second_factor;
pub mod session_token;
pub mod signed_text;
pub mod signup;
pub mod statement;

pub use session_token::{Caller, Issuer, Purpose, Verifier};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key is not an Ed25519 private key as PKCS#8 PEM, or a stored one is damaged.
    #[error("the signing key cannot be used: {0}")]
    Key(String),
    /// Signing failed.
    #[error("a token cannot be signed: {0}")]
    Sign(String),
    /// The password could not be hashed.
    #[error("a password cannot be hashed: {0}")]
    Hash(String),
    /// A code could not be made or checked.
    #[error("codes of a second factor cannot be made: {0}")]
    SecondFactor(String),
    /// No random numbers.
    #[error("the host gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}
