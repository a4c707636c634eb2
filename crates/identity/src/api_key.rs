//! API keys: `ea_` and 256 random bits. The beginning makes them recognizable, for people and for programs that search code for secrets.
//! Only a hash is stored. One fast hash is enough: what it hides is random and cannot be guessed, other than a password.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{IdentityError, hex};

const BEGINNING: &str = "ea_";
const SECRET_BYTES: usize = 32;
/// The characters that are shown in lists: the beginning and 32 bits, so that a person tells keys apart. 224 bits stay secret.
const SHOWN_CHARS: usize = BEGINNING.len() + 8;

/// An API key. `Display` writes it; `Debug` does not.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// A new one.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new() -> Result<Self, IdentityError> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{BEGINNING}{}", hex(&secret))))
    }

    /// Whether a bearer token begins as keys do, valid or not.
    #[must_use]
    pub fn has_prefix(token: &str) -> bool {
        token.starts_with(BEGINNING)
    }

    /// Parses a bearer token; `None` when it is not one of our keys.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let secret = token.strip_prefix(BEGINNING)?;
        let well_formed = secret.len() == 2 * SECRET_BYTES
            && secret.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        well_formed.then(|| Self(token.to_owned()))
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }

    /// The first characters, which may be shown.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.get(..SHOWN_CHARS).unwrap_or_default()
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("prefix", &self.prefix()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_shows_no_more_than_its_beginning() {
        let key = ApiKey::new().unwrap();
        let read = ApiKey::parse(&key.to_string()).unwrap();
        assert_eq!((read.hash(), read.prefix()), (key.hash(), key.prefix()));
        assert!(key.to_string().starts_with(key.prefix()) && key.prefix().len() == 11);
        assert!(!format!("{key:?}").contains(&key.to_string()) && !key.to_string().contains(&key.hash()));
        assert_ne!(ApiKey::new().unwrap().hash(), key.hash());
        for other in
            ["", "ea_", "x", &format!("ea_{}", "g".repeat(64)), &format!("ea_{}", "A".repeat(64)), &"a".repeat(67)]
        {
            assert!(ApiKey::parse(other).is_none(), "{other}");
        }
    }
}
