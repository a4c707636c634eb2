//! Statements that this installation signs for everybody to check: JWTs (RFC 7519) with the signing key, as access tokens are, for other audiences,
//! so that no statement opens anything. They do not expire: what was said stays said, also after the key was retired.

use domain::Timestamp;
use jwt_simple::prelude::{
    Claims, Duration, Ed25519PublicKey, EdDSAKeyPairLike as _, EdDSAPublicKeyLike as _, Token, UnixTimeStamp,
    VerificationOptions,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{IdentityError, session_token::Issuer};

/// The `iss`, as that of access tokens.
const ISSUER: &str = "edge-assistant";
/// A longer statement is not decoded. A receipt has a number for each table, which is far less.
const MAX_BYTES: usize = 16 * 1024;

/// What a statement is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The end of a batch of the audit log.
    AuditSeal,
    /// The erasure of a person.
    Erasure,
}

impl About {
    const fn audience(self) -> &'static str {
        match self {
            Self::AuditSeal => "edge-assistant/audit-seal",
            Self::Erasure => "edge-assistant/erasure",
        }
    }
}

impl Issuer {
    /// Signs a statement, made at `now`.
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn sign_statement<T: Serialize + DeserializeOwned>(
        &self,
        about: About,
        statement: T,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let mut claims = Claims::with_custom_claims(statement, Duration::from_secs(0))
            .with_issuer(ISSUER)
            .with_audience(about.audience());
        claims.issued_at = Some(UnixTimeStamp::from_secs(u64::try_from(now.as_millis() / 1000).unwrap_or(0)));
        claims.invalid_before = None;
        claims.expires_at = None;
        self.key.sign(claims).map_err(|error| IdentityError::Sign(error.to_string()))
    }
}

/// Checks statements with the known public keys, also retired ones.
#[derive(Debug)]
pub struct StatementVerifier {
    keys: Vec<(String, Ed25519PublicKey)>,
}

impl StatementVerifier {
    /// From `(kid, JWK)` pairs. A damaged key is left out, so what it signed does not verify.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let key = |(id, jwk): (&str, &str)| Some((id.to_owned(), Ed25519PublicKey::from_jwk(jwk).ok()?));
        Self { keys: keys.into_iter().filter_map(key).collect() }
    }

    /// What the statement says. `None`: it is forged, about something else, or signed with an unknown key.
    #[must_use]
    pub fn verified<T: Serialize + DeserializeOwned>(&self, about: About, statement: &str) -> Option<T> {
        if statement.len() > MAX_BYTES {
            return None;
        }
        let metadata = Token::decode_metadata(statement).ok()?;
        let (_, key) = self.keys.iter().find(|(id, _)| Some(id.as_str()) == metadata.key_id())?;
        let options = VerificationOptions {
            allowed_issuers: Some([ISSUER.to_owned()].into()),
            allowed_audiences: Some([about.audience().to_owned()].into()),
            max_token_length: Some(MAX_BYTES),
            // Whenever it was said, by whichever clock.
            accept_future: true,
            ..VerificationOptions::default()
        };
        Some(key.verify_token::<T>(statement, Some(options)).ok()?.custom)
    }
}

/// The key that a statement says it is signed with. A statement that verifies is signed with that one.
#[must_use]
pub fn key_id(statement: &str) -> Option<String> {
    if statement.len() > MAX_BYTES {
        return None;
    }
    Token::decode_metadata(statement).ok()?.key_id().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, Verifier};

    #[derive(Clone, PartialEq, Debug, Serialize, serde::Deserialize)]
    struct Said {
        person: String,
    }

    #[test]
    fn a_statement_is_verified_for_ever_by_whoever_has_the_public_key_and_only_for_what_it_is_about() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let long_ago = Timestamp::from_millis(1_000_000_000_000);
        let said = issuer.sign_statement(About::Erasure, Said { person: "p".into() }, long_ago).unwrap();
        let key = |issuer: &Issuer| (issuer.id().to_owned(), issuer.public_key());
        let of = |(id, jwk): &(String, String)| StatementVerifier::new([(id.as_str(), jwk.as_str())]);
        let ours = of(&key(&issuer));
        assert_eq!(ours.verified(About::Erasure, &said), Some(Said { person: "p".into() }));
        assert_eq!(ours.verified::<Said>(About::AuditSeal, &said), None);
        assert_eq!(of(&key(&other)).verified::<Said>(About::Erasure, &said), None);
        let (head, rest) = said.split_at(said.len() - 10);
        let forged = format!("{head}{}", rest.chars().rev().collect::<String>());
        assert_eq!(ours.verified::<Said>(About::Erasure, &forged), None);
        let (id, jwk) = key(&issuer);
        let verifier = Verifier::new([(id.as_str(), jwk.as_str())]);
        for purpose in [Purpose::Session, Purpose::Gateway, Purpose::SecondFactor] {
            assert!(verifier.verify(&said, purpose).is_err(), "it opens nothing");
        }
    }
}
