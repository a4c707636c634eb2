//! An attempt to sign in, from leaving for the provider to coming back. The browser keeps it in a cookie that scripts cannot read, so any host can
//! go on with it, and nobody else can.
//!
//! `state`, `nonce` and the code verifier are derived from one secret that never leaves the cookie. A code that belongs to another browser's attempt
//! fits none of them. That the code is valid once is up to the provider; coming back removes the cookie.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, return_to::local_path};

/// How long a person may take at the provider, a second factor and a new password included.
pub const LIFETIME_S: i64 = 15 * 60;

/// 256 bits: it cannot be guessed.
const SECRET_BYTES: usize = 32;

/// The cookie's value is at most this long.
const MAX_BYTES: usize = 2048;

/// An attempt. `Debug` does not show its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Attempt {
    secret: String,
    /// The name of the provider.
    pub provider: String,
    /// Where the person goes back to, a path of this installation.
    pub return_to: String,
    /// The secret of the invitation that the person came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
    /// The person wants to keep an account that is going to be erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_account: bool,
}

impl Attempt {
    /// Begins an attempt.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn new(provider: &str, return_to: &str, invitation: Option<String>) -> Result<Self, Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        let secret = BASE64_URL_SAFE_NO_PAD.encode(secret);
        Ok(Self {
            secret,
            provider: provider.to_owned(),
            return_to: local_path(return_to),
            invitation,
            keep_account: false,
        })
    }

    /// Reads a cookie's value. `None`: it is not one of ours.
    #[must_use]
    pub fn parse(cookie: &str) -> Option<Self> {
        let json = BASE64_URL_SAFE_NO_PAD.decode(Some(cookie).filter(|cookie| cookie.len() <= MAX_BYTES)?).ok()?;
        let attempt: Self = serde_json::from_slice(&json).ok()?;
        let is_secret = BASE64_URL_SAFE_NO_PAD.decode(&attempt.secret).is_ok_and(|secret| secret.len() == SECRET_BYTES);
        is_secret.then(|| Self { return_to: local_path(&attempt.return_to), ..attempt })
    }

    /// The cookie's value.
    #[must_use]
    pub fn cookie(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// `state` (RFC 6749, section 4.1.1): the response belongs to this browser's request.
    #[must_use]
    pub fn state(&self) -> String {
        self.derived("state")
    }

    /// Whether a response belongs to this attempt.
    #[must_use]
    pub fn has_state(&self, state: &str) -> bool {
        // Comparing hashes tells nothing about where they differ.
        Sha256::digest(self.state().as_bytes()) == Sha256::digest(state.as_bytes())
    }

    /// `nonce` (OpenID Connect Core, section 3.1.2.1): the ID token was made for this attempt.
    #[must_use]
    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// The code verifier (RFC 7636, section 4.1): whoever redeems the code began the attempt.
    #[must_use]
    pub fn code_verifier(&self) -> String {
        self.derived("code verifier")
    }

    fn derived(&self, purpose: &str) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{purpose}\0{}", self.secret).as_bytes()))
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("provider", &self.provider).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_comes_back_from_its_cookie_and_its_values_are_its_own() {
        let attempt = Attempt::new("corp", "/c/x", Some("invited".into())).unwrap();
        let back = Attempt::parse(&attempt.cookie()).unwrap();
        assert!(!back.keep_account);
        let keeping = Attempt { keep_account: true, ..attempt.clone() };
        assert!(Attempt::parse(&keeping.cookie()).unwrap().keep_account);
        assert_eq!((back.provider.as_str(), back.return_to.as_str()), ("corp", "/c/x"));
        assert_eq!(back.invitation.as_deref(), Some("invited"));
        assert!(back.has_state(&attempt.state()) && back.nonce() == attempt.nonce());
        let values = [attempt.state(), attempt.nonce(), attempt.code_verifier()];
        // RFC 7636: 43 to 128 characters.
        assert!(values.iter().all(|value| value.len() == 43 && !attempt.cookie().contains(value)));
        let other = Attempt::new("corp", "/c/x", None).unwrap();
        assert!(!other.has_state(&attempt.state()) && values.iter().all(|value| *value != other.nonce()));
        assert!(!format!("{attempt:?}").contains(&attempt.secret));
    }

    #[test]
    fn a_cookie_that_was_tampered_with_leads_nowhere_else() {
        for rubbish in ["", "x", &"a".repeat(5000)] {
            assert!(Attempt::parse(rubbish).is_none());
        }
        let forged = |json: &str| Attempt::parse(&BASE64_URL_SAFE_NO_PAD.encode(json));
        assert!(forged(r#"{"secret":"","provider":"corp","return_to":"/"}"#).is_none());
        let secret = Attempt::new("corp", "/", None).unwrap().secret;
        let away = format!(r#"{{"secret":"{secret}","provider":"corp","return_to":"//evil.example"}}"#);
        assert_eq!(forged(&away).unwrap().return_to, "/");
    }
}
