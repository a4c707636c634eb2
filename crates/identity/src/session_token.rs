//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), which every component verifies for itself. There are two kinds, and neither
//! opens what the other does.

use domain::{Id, Timestamp, User, UserRole};
use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, Token, UnixTimeStamp,
    VerificationOptions,
};
use serde::{Deserialize, Serialize};

use crate::{IdentityError, refresh_token::RefreshToken};

/// Fifteen minutes: how long somebody whose session was ended can still act.
pub const LIFETIME_S: u64 = 15 * 60;

/// `iss` of our own tokens. A token from an identity provider has another.
const ISSUER: &str = "edge-assistant";

/// Ours are below 600 bytes; whatever is much longer is not worth decoding.
const MAX_TOKEN_BYTES: usize = 4096;

/// How much longer than it says a token holds. It is made and checked by the database's clock, so little can go wrong.
const TOLERANCE_S: u64 = 10;

/// How far in the future a token may have been made. An earlier release makes them by its host's clock, which may be minutes ahead; that a
/// token of ours holds from the beginning on harms nobody.
const EARLY_S: u64 = 15 * 60;

/// No token of ours says that it holds for longer than [`LIFETIME_S`]; this leaves room for a release that makes longer ones.
const MAX_LIFETIME_S: u64 = 24 * 60 * 60;

/// What a token opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// What a person may do: everything but the gateway.
    Session,
    /// The gateway for programs, and nothing else: a program that holds it cannot change the rules that it is held by.
    Gateway,
}

impl Purpose {
    /// `aud`. Releases before there were two kinds made tokens of the first.
    const fn audience(self) -> &'static str {
        match self {
            Self::Session => "edge-assistant",
            Self::Gateway => "edge-assistant/mcp",
        }
    }
}

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

    /// With a key from configuration (PKCS#8 PEM) or from [`Self::private_key`]. Files of environment variables hold no line breaks: a PEM
    /// whose lines are joined by spaces or by `\n` is read too.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let pem = with_lines(pem);
        Ok(Self::with(Ed25519KeyPair::from_pem(&pem).map_err(|error| IdentityError::Key(error.to_string()))?))
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

    /// A token for an account, good for [`LIFETIME_S`] from `now`, which is the database's clock.
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn issue(&self, user: &User, purpose: Purpose, now: Timestamp) -> Result<String, IdentityError> {
        let mut claims = Claims::with_custom_claims(SessionClaims { role: user.role }, Duration::from_secs(LIFETIME_S))
            .with_subject(user.id)
            .with_issuer(ISSUER)
            .with_audience(purpose.audience());
        let now = seconds(now.as_millis());
        claims.issued_at = Some(now);
        claims.invalid_before = Some(now);
        claims.expires_at = Some(now + Duration::from_secs(LIFETIME_S));
        self.key.sign(claims).map_err(|error| IdentityError::Sign(error.to_string()))
    }

    /// The token that takes the place of a refresh token: the same for the same one, at every host that signs with this key.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn successor(&self, token: &RefreshToken) -> Result<RefreshToken, IdentityError> {
        token.successor(&self.key.to_bytes())
    }
}

fn seconds(millis: i64) -> UnixTimeStamp {
    UnixTimeStamp::from_secs(u64::try_from(millis / 1000).unwrap_or(0))
}

/// Verifies tokens against the public keys that are known.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<(String, Ed25519PublicKey)>,
    ahead_ms: i64,
}

/// Why a token does not hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Signed with a key that is not known (yet).
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// One of ours that opens something else.
    #[error("the token is for another purpose")]
    OtherPurpose,
    /// Forged, expired, meant for somebody else, or no token at all.
    #[error("the token does not verify")]
    Refused,
}

impl Verifier {
    /// From `(kid, JWK)` pairs; a damaged key is left out and its tokens do not verify. Times are checked by this host's clock.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let keys = keys
            .into_iter()
            .filter_map(|(id, jwk)| Some((id.to_owned(), Ed25519PublicKey::from_jwk(jwk).ok()?)))
            .collect();
        Self { keys, ahead_ms: 0 }
    }

    /// The same by a clock that showed `now` just now: hosts need not agree about the time.
    #[must_use]
    pub fn by_clock(self, now: Timestamp) -> Self {
        Self { ahead_ms: now.as_millis().saturating_sub(Timestamp::now().as_millis()), ..self }
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn verify(&self, token: &str, purpose: Purpose) -> Result<Caller, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken::Refused);
        }
        let metadata = Token::decode_metadata(token).map_err(|_| InvalidToken::Refused)?;
        let id = metadata.key_id().ok_or(InvalidToken::Refused)?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == id).ok_or(InvalidToken::UnknownKey)?;
        let now = seconds(Timestamp::now().as_millis().saturating_add(self.ahead_ms));
        let options = VerificationOptions {
            allowed_issuers: Some([ISSUER.to_owned()].into()),
            time_tolerance: Some(Duration::from_secs(TOLERANCE_S)),
            max_token_length: Some(MAX_TOKEN_BYTES),
            // Checked below, with more tolerance than an expiry has.
            accept_future: true,
            artificial_time: Some(now),
            ..VerificationOptions::default()
        };
        let claims = key.verify_token::<SessionClaims>(token, Some(options)).map_err(|_| InvalidToken::Refused)?;
        let (Some(issued), Some(expires)) = (claims.issued_at, claims.expires_at) else {
            return Err(InvalidToken::Refused);
        };
        let latest = now + Duration::from_secs(EARLY_S);
        let begins = claims.invalid_before.map_or(issued, |not_before| issued.max(not_before));
        if begins > latest || expires > issued + Duration::from_secs(MAX_LIFETIME_S) {
            return Err(InvalidToken::Refused);
        }
        let is_for = |purpose: Purpose| {
            let audience = [purpose.audience().to_owned()].into();
            claims.audiences.as_ref().is_some_and(|audiences| audiences.contains(&audience))
        };
        if !is_for(purpose) {
            let ours = is_for(Purpose::Session) || is_for(Purpose::Gateway);
            return Err(if ours { InvalidToken::OtherPurpose } else { InvalidToken::Refused });
        }
        let user_id = claims.subject.and_then(|subject| subject.parse().ok()).ok_or(InvalidToken::Refused)?;
        Ok(Caller { user_id, role: claims.custom.role })
    }
}

/// A PEM (RFC 7468, section 2) with its boundaries on lines of their own.
fn with_lines(pem: &str) -> String {
    let pem = pem.replace("\\n", "\n");
    let parts: Vec<&str> = pem.split("-----").map(str::trim).filter(|part| !part.is_empty()).collect();
    let [begin, base64, end] = parts.as_slice() else { return pem };
    let base64: String = base64.split_whitespace().collect();
    format!("-----{begin}-----\n{base64}\n-----{end}-----\n")
}

#[cfg(test)]
mod tests {
    use jwt_simple::prelude::JWTClaims;

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

    fn session(issuer: &Issuer) -> String {
        issuer.issue(&user(), Purpose::Session, Timestamp::now()).unwrap()
    }

    fn verifier(issuer: &Issuer) -> Verifier {
        Verifier::new([(issuer.id(), issuer.public_key().as_str())])
    }

    fn minutes_away(minutes: i64) -> Timestamp {
        Timestamp::from_millis(Timestamp::now().as_millis() + minutes * 60_000)
    }

    /// What is made of claims like ours that were changed.
    fn verified(change: impl FnOnce(&mut JWTClaims<SessionClaims>)) -> Result<Caller, InvalidToken> {
        let issuer = Issuer::generate();
        let claims = SessionClaims { role: UserRole::Admin };
        let mut claims = Claims::with_custom_claims(claims, Duration::from_secs(LIFETIME_S))
            .with_subject(Id::new())
            .with_issuer(ISSUER)
            .with_audience(Purpose::Session.audience());
        change(&mut claims);
        verifier(&issuer).verify(&issuer.key.sign(claims).unwrap(), Purpose::Session)
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let (issuer, user) = (Issuer::generate(), user());
        let token = issuer.issue(&user, Purpose::Session, Timestamp::now()).unwrap();
        let caller = Caller { user_id: user.id, role: UserRole::User };
        assert_eq!(verifier(&issuer).verify(&token, Purpose::Session), Ok(caller));
    }

    #[test]
    fn neither_kind_of_token_opens_what_the_other_does() {
        let issuer = Issuer::generate();
        for (kind, other) in [(Purpose::Session, Purpose::Gateway), (Purpose::Gateway, Purpose::Session)] {
            let token = issuer.issue(&user(), kind, Timestamp::now()).unwrap();
            assert!(verifier(&issuer).verify(&token, kind).is_ok());
            assert_eq!(verifier(&issuer).verify(&token, other), Err(InvalidToken::OtherPurpose));
        }
    }

    #[test]
    fn a_kept_key_signs_on_under_the_same_id() {
        let issuer = Issuer::generate();
        let kept = Issuer::from_pem(&issuer.private_key()).unwrap();
        assert_eq!(kept.id(), issuer.id());
        assert!(verifier(&issuer).verify(&session(&kept), Purpose::Session).is_ok());
        let refresh = RefreshToken::new(Id::new()).unwrap();
        assert_eq!(issuer.successor(&refresh).unwrap().hash(), kept.successor(&refresh).unwrap().hash());
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
        assert!(verifier(&issuer).verify(&session(&issuer), Purpose::Session).is_ok());
    }

    #[test]
    fn what_was_tampered_with_or_signed_by_another_does_not_hold() {
        let (issuer, other) = (Issuer::generate(), Issuer::generate());
        let token = session(&issuer);
        let (head, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = head.split_once('.').unwrap();
        let shortened = claims.strip_suffix(|_: char| true).unwrap();
        let forged = format!("{header}.{shortened}A.{signature}");
        let refused = Err(InvalidToken::Refused);
        assert_eq!(verifier(&issuer).verify(&forged, Purpose::Session), refused);
        assert_eq!(verifier(&other).verify(&token, Purpose::Session), Err(InvalidToken::UnknownKey));
        for rubbish in ["", "..", "a.b.c", &"x".repeat(10_000)] {
            assert_eq!(verifier(&issuer).verify(rubbish, Purpose::Session), refused);
        }
    }

    #[test]
    fn a_token_holds_only_in_its_time_and_says_when_that_is() {
        let away = |minutes| Some(seconds(minutes_away(minutes).as_millis()));
        assert!(verified(|_| {}).is_ok());
        assert!(verified(|claims| (claims.issued_at, claims.expires_at) = (away(10), away(25))).is_ok());
        assert!(verified(|claims| claims.invalid_before = away(10)).is_ok());
        for (what, change) in [
            ("expired", (away(-16), away(-1), away(-16))),
            ("without an end", (away(0), None, away(0))),
            ("without a beginning", (None, away(15), None)),
            ("for ever", (away(0), away(60 * 24 * 365), away(0))),
            ("made in an hour", (away(60), away(75), away(0))),
            ("good in an hour", (away(0), away(75), away(60))),
        ] {
            let token = |claims: &mut JWTClaims<SessionClaims>| {
                (claims.issued_at, claims.expires_at, claims.invalid_before) = change;
            };
            assert_eq!(verified(token), Err(InvalidToken::Refused), "{what}");
        }
    }

    #[test]
    fn a_token_of_somebody_else_or_for_somebody_else_does_not_hold() {
        for token in
            [verified(|claims| claims.issuer = Some("somebody".into())), verified(|claims| claims.issuer = None)]
        {
            assert_eq!(token, Err(InvalidToken::Refused));
        }
        assert_eq!(verified(|claims| claims.audiences = None), Err(InvalidToken::Refused));
        assert_eq!(verified(|claims| claims.subject = None), Err(InvalidToken::Refused));
    }

    #[test]
    fn hosts_whose_clocks_differ_agree_by_the_clock_that_they_share() {
        let issuer = Issuer::generate();
        for minutes in [-600, -20, -10, 10, 20, 600] {
            let shared = minutes_away(minutes);
            let token = issuer.issue(&user(), Purpose::Session, shared).unwrap();
            let verified = verifier(&issuer).by_clock(shared).verify(&token, Purpose::Session);
            assert!(verified.is_ok(), "a clock that is {minutes} minutes away");
        }
        let old = issuer.issue(&user(), Purpose::Session, minutes_away(0)).unwrap();
        let verified = verifier(&issuer).by_clock(minutes_away(20)).verify(&old, Purpose::Session);
        assert_eq!(verified, Err(InvalidToken::Refused), "expired by the shared clock");
    }
}
