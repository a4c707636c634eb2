//! Refresh tokens: the id of a session and a secret. Only hashes of the secret are kept.
//!
//! The first half of the secret is the same in all tokens of a session, so that an old one still proves which session it belongs to; the
//! second half is new in each. A token's successor follows from it and a key of the server's: whoever asks twice, at whichever host,
//! gets the same, and nobody else can tell it.

use std::fmt;

use domain::Id;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};

use crate::IdentityError;

/// 128 bits for the session and as many for the token: nobody guesses either, so one fast hash is enough to keep them.
const HALF_BYTES: usize = 16;
const HALF_CHARS: usize = 2 * HALF_BYTES;

/// Thirty days without a visit end a session.
pub const LIFETIME_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// How long after it was used a token still gives its successor: an answer may be lost on its way, and several tabs or tries may come at
/// once. After that, whoever brings it may have stolen it.
pub const GRACE_MS: i64 = 30 * 1000;

/// Keeps what is computed here apart from whatever else the same key is used for.
const PURPOSE: &[u8] = b"successor of a refresh token\0";

/// A refresh token. `Display` writes what goes into the cookie; `Debug` does not.
#[derive(Clone)]
pub struct RefreshToken {
    /// The session it belongs to.
    pub session_id: Id,
    secret: String,
}

impl RefreshToken {
    /// The first one of a session.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new(session_id: Id) -> Result<Self, IdentityError> {
        let mut secret = [0; 2 * HALF_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self { session_id, secret: hex(&secret) })
    }

    /// From a cookie; `None` when it is nothing of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (session_id, secret) = text.split_once('.')?;
        let well_formed = secret.len() == 2 * HALF_CHARS && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(Self { session_id: session_id.parse().ok()?, secret: well_formed.then(|| secret.to_owned())? })
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.as_bytes()))
    }

    /// What is kept of the half that all tokens of the session share.
    #[must_use]
    pub fn family_hash(&self) -> String {
        hex(&Sha256::digest(self.family().as_bytes()))
    }

    fn family(&self) -> &str {
        self.secret.get(..HALF_CHARS).unwrap_or_default()
    }

    /// The token that takes this one's place.
    pub(crate) fn successor(&self, key: &[u8]) -> Result<Self, IdentityError> {
        let mut code = Hmac::<Sha256>::new_from_slice(key).map_err(|error| IdentityError::Key(error.to_string()))?;
        code.update(PURPOSE);
        code.update(self.to_string().as_bytes());
        let mut secret = self.family().to_owned();
        secret.extend(hex(&code.finalize().into_bytes()).chars().take(HALF_CHARS));
        Ok(Self { session_id: self.session_id, secret })
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
