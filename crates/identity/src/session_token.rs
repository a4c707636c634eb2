//! Session tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), which every component verifies for itself.

use domain::{Id, User, UserRole};
use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, Token,
    VerificationOptions,
};
use serde::{Deserialize, Serialize};

use crate::IdentityError;

/// Fifteen minutes: how long somebody whose session was ended can still act.
pub const LIFETIME_S: u64 = 15 * 60;

/// `iss` and `aud` of our own tokens. A token for an MCP client or from an identity provider has others.
const ISSUER: &str = "edge-assistant";
const AUDIENCE: &str = "edge-assistant";

/// Ours are below 600 bytes; whatever is much longer is not worth decoding.
const MAX_TOKEN_BYTES: usize = 4096;

/// Clocks of two hosts may differ by this much.
const TOLERANCE_S: u64 = 10;

/// Who is asking, as a verified token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The account.
    pub user_id: Id,
    /// What it may do.
    pub role: UserRole,
}

#[derive(Serialize, Deserialize)]
struct SessionClaims {
    role: UserRole,
}

/// Signs tokens. Lives in `auth` alone.
pub struct Issuer {
    key: Ed25519KeyPair,
    id: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Issuer {
    /// With a new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::with(Ed25519KeyPair::generate())
    }

    /// With a key from configuration (PKCS#8 PEM) or from [`Self::private_key`].
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        Ok(Self::with(Ed25519KeyPair::from_pem(pem).map_err(|error| IdentityError::Key(error.to_string()))?))
    }

    /// The id of a key is its thumbprint (RFC 7638), so the same key has the same id everywhere.
    fn with(key: Ed25519KeyPair) -> Self {
        let id = key.jwk_thumbprint();
        Self { key: key.with_key_id(&id), id }
    }

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JWK (RFC 7517), to be kept and published.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_jwk()
    }

    /// The private half as PEM, to be kept where no configuration gives one.
    #[must_use]
    pub fn private_key(&self) -> String {
        self.key.to_pem()
    }

    /// A token for an account, good for [`LIFETIME_S`].
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn issue(&self, user: &User) -> Result<String, IdentityError> {
        let claims = Claims::with_custom_claims(SessionClaims { role: user.role }, Duration::from_secs(LIFETIME_S))
            .with_subject(user.id)
            .with_issuer(ISSUER)
            .with_audience(AUDIENCE);
        self.key.sign(claims).map_err(|error| IdentityError::Sign(error.to_string()))
    }
}

/// Verifies tokens against the public keys that are known.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<(String, Ed25519PublicKey)>,
}

/// Why a token does not hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Signed with a key that is not known (yet).
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// Forged, expired, meant for somebody else, or no token at all.
    #[error("the token does not verify")]
    Refused,
}

impl Verifier {
    /// From `(kid, JWK)` pairs; a damaged key is left out and its tokens do not verify.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let keys = keys
            .into_iter()
            .filter_map(|(id, jwk)| Some((id.to_owned(), Ed25519PublicKey::from_jwk(jwk).ok()?)))
            .collect();
        Self { keys }
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn verify(&self, token: &str) -> Result<Caller, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken::Refused);
        }
        let metadata = Token::decode_metadata(token).map_err(|_| InvalidToken::Refused)?;
        let id = metadata.key_id().ok_or(InvalidToken::Refused)?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or(InvalidToken::UnknownKey)?;
        let options = VerificationOptions {
            allowed_issuers: Some([ISSUER.to_owned()].into()),
            allowed_audiences: Some([AUDIENCE.to_owned()].into()),
            time_tolerance: Some(Duration::from_secs(TOLERANCE_S)),
            max_token_length: Some(MAX_TOKEN_BYTES),
            ..VerificationOptions::default()
        };
        let claims = key.verify_token::<SessionClaims>(token, Some(options)).map_err(|_| InvalidToken::Refused)?;
        let user_id = claims.subject.and_then(|subject| subject.parse().ok()).ok_or(InvalidToken::Refused)?;
        Ok(Caller { user_id, role: claims.custom.role })
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn user() -> User {
        User {
            id: Id::new(),
            email: "a@example.org".into(),
            name: String::new(),
            role: UserRole::User,
            created_at: Timestamp::from_millis(0),
        }
    }

    fn verifier(issuer: &Issuer) -> Verifier {
        Verifier::new([(issuer.id(), issuer.public_key().as_str())])
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let (issuer, user) = (Issuer::generate(), user());
        let token = issuer.issue(&user).unwrap();
        assert_eq!(verifier(&issuer).verify(&token), Ok(Caller { user_id: user.id, role: UserRole::User }));
    }

    #[test]
    fn a_kept_key_signs_on_under_the_same_id() {
        let issuer = Issuer::generate();
        let kept = Issuer::from_pem(&issuer.private_key()).unwrap();
        assert_eq!(kept.id(), issuer.id());
        assert!(verifier(&issuer).verify(&kept.issue(&user()).unwrap()).is_ok());
        assert!(Issuer::from_pem("rubbish").is_err());
    }

    #[test]
    fn a_key_that_openssl_made_can_be_used() {
        // Made with `openssl genpkey -algorithm ed25519` for this test, and used nowhere else.
        let pem = concat!(
            "-----BEGIN PRIVATE KEY-----\n",
            "MC4CAQAwBQYDK2VwBCIEIG8jwWRZWrkRzEuEzMGsLvMWk8OJcNhtWdf1/rP9IHRL\n",
            "-----END PRIVATE KEY-----\n"
        );
        let issuer = Issuer::from_pem(pem).unwrap();
        assert!(verifier(&issuer).verify(&issuer.issue(&user()).unwrap()).is_ok());
    }

    #[test]
    fn what_was_tampered_with_or_signed_by_another_does_not_hold() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let token = issuer.issue(&user()).unwrap();
        let (head, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = head.split_once('.').unwrap();
        let shortened = claims.strip_suffix(|_: char| true).unwrap();
        let forged = format!("{header}.{shortened}A.{signature}");
        assert_eq!(verifier(&issuer).verify(&forged), Err(InvalidToken::Refused));
        assert_eq!(verifier(&other).verify(&token), Err(InvalidToken::UnknownKey));
        for rubbish in ["", "..", "a.b.c", &"x".repeat(10_000)] {
            assert_eq!(verifier(&issuer).verify(rubbish), Err(InvalidToken::Refused));
        }
    }

    #[test]
    fn an_expired_token_or_one_for_somebody_else_does_not_hold() {
        let issuer = Issuer::generate();
        let claims = |issuer: &str, audience: &str| {
            Claims::with_custom_claims(SessionClaims { role: UserRole::Admin }, Duration::from_secs(60))
                .with_subject(Id::new())
                .with_issuer(issuer)
                .with_audience(audience)
        };
        let mut expired = claims(ISSUER, AUDIENCE);
        expired.expires_at = Some(Duration::from_secs(1));
        for claims in [expired, claims("somebody", AUDIENCE), claims(ISSUER, "somebody")] {
            let token = issuer.key.sign(claims).unwrap();
            assert_eq!(verifier(&issuer).verify(&token), Err(InvalidToken::Refused));
        }
    }
}
