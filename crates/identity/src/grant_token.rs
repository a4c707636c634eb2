//! The tokens of a program's session: its authorization code and its refresh tokens. They are one family, like a browser's refresh tokens: the code
//! is the first, and each token's successor is derived from it.
//!
//! Their hashes are of other texts than those of a browser's tokens, and a code's of another than a refresh token's. So none of them can be used in
//! the place of another, also with a release that knows nothing of programs.

use std::fmt;

use domain::Id;
use sha2::{Digest, Sha256};

use crate::{IdentityError, hex, refresh_token::RefreshToken};

/// Which of the tokens it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An authorization code.
    Code,
    /// A refresh token.
    Refresh,
}

impl Kind {
    const fn beginning(self) -> &'static str {
        match self {
            Self::Code => "eac_",
            Self::Refresh => "ear_",
        }
    }
}

/// A token of a program's session. `Display` writes it; `Debug` does not.
#[derive(Clone)]
pub struct GrantToken {
    kind: Kind,
    token: RefreshToken,
}

impl GrantToken {
    /// The code of a new session.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn new_code(session_id: Id) -> Result<Self, IdentityError> {
        Ok(Self { kind: Kind::Code, token: RefreshToken::new(session_id)? })
    }

    /// Parses a token of this kind; `None` when it is not one of ours.
    #[must_use]
    pub fn parse(kind: Kind, text: &str) -> Option<Self> {
        Some(Self { kind, token: RefreshToken::parse(text.strip_prefix(kind.beginning())?)? })
    }

    /// The session.
    #[must_use]
    pub const fn session_id(&self) -> Id {
        self.token.session_id
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(self.kind.beginning(), self.token.secret())
    }

    /// The stored hash of the half that all tokens of the session share.
    #[must_use]
    pub fn family_hash(&self) -> String {
        hash("family of a grant\0", self.token.family())
    }

    pub(crate) fn successor(&self, key: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self { kind: Kind::Refresh, token: self.token.successor(key)? })
    }
}

fn hash(beginning: &str, secret: &str) -> String {
    hex(&Sha256::digest(format!("{beginning}{secret}").as_bytes()))
}

impl fmt::Display for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.beginning(), self.token)
    }
}

impl fmt::Debug for GrantToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantToken").field("session_id", &self.session_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_one_kind_is_not_taken_for_another() {
        let code = GrantToken::new_code(Id::new()).unwrap();
        let refresh = code.successor(b"key").unwrap();
        assert_eq!(GrantToken::parse(Kind::Code, &code.to_string()).unwrap().hash(), code.hash());
        assert_eq!(GrantToken::parse(Kind::Refresh, &refresh.to_string()).unwrap().hash(), refresh.hash());
        assert!(GrantToken::parse(Kind::Refresh, &code.to_string()).is_none());
        let renamed = code.to_string().replacen("eac_", "ear_", 1);
        let renamed = GrantToken::parse(Kind::Refresh, &renamed).unwrap();
        assert!(renamed.hash() != code.hash() && renamed.hash() != refresh.hash());
        assert_eq!([&renamed, &refresh].map(GrantToken::family_hash), [code.family_hash(), code.family_hash()]);
        let browsers = RefreshToken::parse(&code.to_string().replacen("eac_", "", 1)).unwrap();
        assert!(browsers.hash() != code.hash() && browsers.family_hash() != code.family_hash());
        assert!(!format!("{code:?}").contains(&code.to_string()));
    }
}
