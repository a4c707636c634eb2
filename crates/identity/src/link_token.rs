//! Secrets in links that an administrator hands over: invitations, and links that reset a password. Only their hashes are stored.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{IdentityError, hex};

/// 256 bits: it cannot be guessed, so one fast hash is enough to store it.
const SECRET_BYTES: usize = 32;

/// The secret of a link. `Display` writes it; `Debug` does not.
#[derive(Clone)]
pub struct LinkToken(String);

impl LinkToken {
    /// A new one.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new() -> Result<Self, IdentityError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(hex(&secret)))
    }

    /// Reads what a person sends; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 2 * SECRET_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Display for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_keeps_its_secret_out_of_debug() {
        let token = LinkToken::new().unwrap();
        assert_eq!(LinkToken::parse(&token.to_string()).unwrap().hash(), token.hash());
        assert_ne!(LinkToken::new().unwrap().hash(), token.hash());
        assert!(!format!("{token:?}").contains(&token.to_string()) && token.hash() != token.to_string());
        for rubbish in ["", "x", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert!(LinkToken::parse(rubbish).is_none(), "{rubbish}");
        }
    }
}
