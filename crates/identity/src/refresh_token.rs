//! Refresh tokens: a session's id and a secret. Only hashes of the secret are stored.
//!
//! The first half of the secret is the same in all tokens of a session, so an old token still proves its session. The second half is new in
//! each. A token's successor is derived from it with a key of the server. So every host gives the same successor, however often it is requested,
//! and nobody else can compute it.

use std::fmt;

use domain::Id;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};

use crate::{IdentityError, hex};

/// 128 bits for the session and 128 for the token: neither can be guessed, so one fast hash is enough to store them.
const HALF_BYTES: usize = 16;
const HALF_CHARS: usize = 2 * HALF_BYTES;

/// A session ends after thirty days without use.
pub const LIFETIME_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// How long a used token still gives its successor. A response may be lost, and several tabs or retries may come at once. Later use may mean
/// that the token was stolen.
pub const GRACE_MS: i64 = 30 * 1000;

/// Separates these values from other uses of the same key.
const PURPOSE: &[u8] = b"successor of a refresh token\0";

/// A refresh token. `Display` writes the cookie's value; `Debug` does not.
#[derive(Clone)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session_id: Id,
    secret: String,
}

impl RefreshToken {
    /// The first token of a session.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new(session_id: Id) -> Result<Self, IdentityError> {
        let mut secret = [0; 2 * HALF_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self { session_id, secret: hex(&secret) })
    }

    /// Parses a cookie's value; `None` when it is not one of our tokens.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (session_id, secret) = text.split_once('.')?;
        let well_formed = secret.len() == 2 * HALF_CHARS && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self { session_id: session_id.parse().ok()?, secret: well_formed.then(|| secret.to_owned())? })
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_bytes()))
    }

    /// The stored hash of the half that all tokens of the session share.
    #[must_use]
    pub fn family_hash(&self) -> String {
        hex(&Sha256::digest(self.family().as_bytes()))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn family(&self) -> &str {
        self.secret.get(..HALF_CHARS).unwrap_or_default()
    }

    /// The token that replaces this one.
    pub(crate) fn successor(&self, key: &[u8]) -> Result<Self, IdentityError> {
        let mut code = Hmac::<Sha256>::new_from_slice(key).map_err(|error| IdentityError::Key(error.to_string()))?;
        code.update(PURPOSE);
        code.update(self.to_string().as_bytes());
        let mut secret = self.family().to_owned();
        secret.extend(hex(&code.finalize().into_bytes()).chars().take(HALF_CHARS));
        Ok(Self { session_id: self.session_id, secret })
    }
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

    #[test]
    fn a_successor_is_the_same_for_whoever_has_the_key_and_of_the_same_session() {
        let token = RefreshToken::new(Id::new()).unwrap();
        let next = token.successor(b"key").unwrap();
        assert_eq!(next.to_string(), token.successor(b"key").unwrap().to_string());
        assert_eq!((next.session_id, next.family_hash()), (token.session_id, token.family_hash()));
        assert!(RefreshToken::parse(&next.to_string()).is_some_and(|read| read.hash() == next.hash()));
        let other = RefreshToken { session_id: Id::new(), ..token.clone() };
        for another in
            [token.hash(), token.successor(b"other").unwrap().hash(), other.successor(b"key").unwrap().hash()]
        {
            assert_ne!(another, next.hash());
        }
        assert_ne!(next.successor(b"key").unwrap().hash(), next.hash());
    }
}
