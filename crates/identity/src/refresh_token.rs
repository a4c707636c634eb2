//! Refresh tokens: the id of a session and a secret. Only a hash of the secret is kept.

use std::fmt;

use domain::Id;
use sha2::{Digest, Sha256};

use crate::IdentityError;

/// 256 bits: nobody guesses it, so one fast hash is enough to keep it.
const SECRET_BYTES: usize = 32;

/// Thirty days without a visit end a session.
pub const LIFETIME_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// A refresh token. `Display` writes what goes into the cookie; `Debug` does not.
#[derive(Clone)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session_id: Id,
    secret: String,
}

impl RefreshToken {
    /// A new one for a session.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new(session_id: Id) -> Result<Self, IdentityError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self { session_id, secret: hex(&secret) })
    }

    /// From a cookie; `None` when it is nothing of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (session_id, secret) = text.split_once('.')?;
        let well_formed = secret.len() == SECRET_BYTES * 2 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self { session_id: session_id.parse().ok()?, secret: well_formed.then(|| secret.to_owned())? })
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session_id, self.secret)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_keeps_its_secret_out_of_debug() {
        let token = RefreshToken::new(Id::new()).unwrap();
        let read = RefreshToken::parse(&token.to_string()).unwrap();
        assert_eq!((read.session_id, read.hash()), (token.session_id, token.hash()));
        assert!(!format!("{token:?}").contains(&token.secret));
        for rubbish in ["", ".", "x.y", &format!("{}.short", token.session_id)] {
            assert!(RefreshToken::parse(rubbish).is_none(), "{rubbish}");
        }
    }
}
