//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), which every component verifies for itself. There are two kinds, each valid
//! only for its own purpose.

use domain::{Id, Timestamp, User};
use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, Token, UnixTimeStamp,
    VerificationOptions,
};
use permissions::{
    role::MAX_ROLES_OF_PERSON,
    table::{ADMIN, MEMBER},
};
use serde::{Deserialize, Serialize};

use crate::{IdentityError, refresh_token::RefreshToken};

/// Fifteen minutes. For so long, instances must remember which tokens are void.
pub const LIFETIME_S: u64 = 15 * 60;

/// The `iss` of our own tokens. Tokens of an identity provider have another.
const ISSUER: &str = "edge-assistant";

/// Our tokens are below 600 bytes; a much longer one is not decoded.
const MAX_TOKEN_BYTES: usize = 4096;

/// How long a token is valid after its expiry. The database's clock issues and checks tokens, so this can be short.
const TOLERANCE_S: u64 = 10;

/// How far in the future a token's time of issue may be. An earlier release issues tokens by its host's clock, which may be minutes ahead.
/// Accepting a token early does no harm.
const EARLY_S: u64 = 15 * 60;

/// Our tokens are valid for at most [`LIFETIME_S`]. This leaves room for a release that issues longer ones.
const MAX_LIFETIME_S: u64 = 24 * 60 * 60;

/// What a token is valid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Everything a person may do, except the gateway.
    Session,
    /// Only the gateway for programs: a program with this token cannot change its own policies.
    Gateway,
    /// Only the second step of a log-in, by whoever knew the password: it opens nothing without a code.
    SecondFactor,
}

impl Purpose {
    /// The `aud`. Before there were two kinds, all tokens had that of the first.
    const fn audience(self) -> &'static str {
        match self {
            Self::Session => "edge-assistant",
            Self::Gateway => "edge-assistant/mcp",
            Self::SecondFactor => "edge-assistant/second-factor",
        }
    }
}

/// The caller, from a verified token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The account.
    pub user_id: Id,
    /// The session in which the token was made. An earlier release did not say it.
    pub session_id: Option<Id>,
    /// The names of the account's roles when the token was made.
    pub roles: Vec<String>,
    /// How often the account's access had changed by then. An earlier release did not say it,
    /// and a token that does not name all roles does not.
    pub access_version: Option<i64>,
    /// When the token was made.
    pub issued_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SessionClaims {
    /// `admin` or `user`: all that an earlier release reads and says.
    role: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default, rename = "ver", skip_serializing_if = "Option::is_none")]
    access_version: Option<i64>,
    #[serde(default, rename = "sid", skip_serializing_if = "Option::is_none")]
    session_id: Option<Id>,
}

/// What an earlier release calls everybody who is not an administrator.
const FORMER_MEMBER: &str = "user";

impl SessionClaims {
    fn new(user: &User, session_id: Option<Id>) -> Self {
        let role = if user.role == ADMIN { ADMIN } else { FORMER_MEMBER };
        let mut roles: Vec<String> = user.roles().map(str::to_owned).collect();
        // More do not fit into a token. One without a version has the account read at each request, with all its roles.
        let access_version = (roles.len() <= MAX_ROLES_OF_PERSON).then_some(user.access_version);
        roles.truncate(MAX_ROLES_OF_PERSON);
        Self { role: role.to_owned(), roles, access_version, session_id }
    }

    fn roles(self) -> Vec<String> {
        match self.role.as_str() {
            _ if !self.roles.is_empty() => self.roles,
            ADMIN => vec![ADMIN.to_owned()],
            FORMER_MEMBER => vec![MEMBER.to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Signs tokens. Only `auth` has one.
pub struct Issuer {
    pub(crate) key: Ed25519KeyPair,
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

    /// With a key from configuration (PKCS#8 PEM) or from [`Self::private_key`]. Environment files cannot hold line breaks, so a PEM whose lines
    /// are joined by spaces or by `\n` is accepted too.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let pem = with_lines(pem);
        Ok(Self::with(Ed25519KeyPair::from_pem(&pem).map_err(|error| IdentityError::Key(error.to_string()))?))
    }

    /// A key's id is its thumbprint (RFC 7638), so the same key has the same id everywhere.
    fn with(key: Ed25519KeyPair) -> Self {
        let id = key.jwk_thumbprint();
        Self { key: key.with_key_id(&id), id }
    }

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key as a JWK (RFC 7517), to store and publish.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_jwk()
    }

    /// The private key as PEM, to store when none is configured.
    #[must_use]
    pub fn private_key(&self) -> String {
        self.key.to_pem()
    }

    /// Issues a token for an account in a session, valid for [`LIFETIME_S`] from `now`, the database's time.
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn issue(
        &self,
        user: &User,
        session_id: Option<Id>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let custom = SessionClaims::new(user, session_id);
        let mut claims = Claims::with_custom_claims(custom, Duration::from_secs(LIFETIME_S))
            .with_subject(user.id)
            .with_issuer(ISSUER)
            .with_audience(purpose.audience());
        let now = seconds(now.as_millis());
        claims.issued_at = Some(now);
        claims.invalid_before = Some(now);
        claims.expires_at = Some(now + Duration::from_secs(LIFETIME_S));
        self.key.sign(claims).map_err(|error| IdentityError::Sign(error.to_string()))
    }

    /// The successor of a refresh token: always the same, on every host with this key.
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

/// Verifies tokens with the known public keys.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<(String, Ed25519PublicKey)>,
    ahead_ms: i64,
}

/// Why a token is not valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is signed with a key that is not known (yet).
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// It is one of our tokens, but for another purpose.
    #[error("the token is for another purpose")]
    OtherPurpose,
    /// It is forged, expired, meant for another audience, or not a token.
    #[error("the token does not verify")]
    Refused,
}

impl Verifier {
    /// From `(kid, JWK)` pairs. A damaged key is left out, so its tokens do not verify. Times are checked by this host's clock.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let keys = keys
            .into_iter()
            .filter_map(|(id, jwk)| Some((id.to_owned(), Ed25519PublicKey::from_jwk(jwk).ok()?)))
            .collect();
        Self { keys, ahead_ms: 0 }
    }

    /// The same, with a clock that just showed `now`, so hosts' clocks need not agree.
    #[must_use]
    pub fn by_clock(self, now: Timestamp) -> Self {
        Self { ahead_ms: now.as_millis().saturating_sub(Timestamp::now().as_millis()), ..self }
    }

    /// Verifies a token and returns its caller.
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
            // Checked below, with a larger tolerance than for the expiry.
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
        let issued_at = Timestamp::from_millis(i64::try_from(issued.as_millis()).unwrap_or(i64::MAX));
        let (session_id, access_version) = (claims.custom.session_id, claims.custom.access_version);
        Ok(Caller { user_id, session_id, roles: claims.custom.roles(), access_version, issued_at })
    }
}

/// A PEM (RFC 7468, section 2) with its boundaries on separate lines.
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
            role: "auditor".into(),
            group_roles: vec!["member".into(), "auditor".into()],
            is_suspended: false,
            has_second_factor: false,
            access_version: 3,
            created_at: Timestamp::from_millis(0),
        }
    }

    fn session(issuer: &Issuer) -> String {
        issuer.issue(&user(), None, Purpose::Session, Timestamp::now()).unwrap()
    }

    fn verifier(issuer: &Issuer) -> Verifier {
        Verifier::new([(issuer.id(), issuer.public_key().as_str())])
    }

    fn minutes_away(minutes: i64) -> Timestamp {
        Timestamp::from_millis(Timestamp::now().as_millis() + minutes * 60_000)
    }

    /// Verifies a token with changed claims.
    fn verified(change: impl FnOnce(&mut JWTClaims<SessionClaims>)) -> Result<Caller, InvalidToken> {
        let issuer = Issuer::generate();
        let claims = SessionClaims { role: "admin".into(), roles: Vec::new(), access_version: None, session_id: None };
        let mut claims = Claims::with_custom_claims(claims, Duration::from_secs(LIFETIME_S))
            .with_subject(Id::new())
            .with_issuer(ISSUER)
            .with_audience(Purpose::Session.audience());
        change(&mut claims);
        verifier(&issuer).verify(&issuer.key.sign(claims).unwrap(), Purpose::Session)
    }

    #[test]
    fn a_token_says_whose_it_is() {
        let (issuer, user, session) = (Issuer::generate(), user(), Id::new());
        let token = issuer.issue(&user, Some(session), Purpose::Session, Timestamp::now()).unwrap();
        let caller = verifier(&issuer).verify(&token, Purpose::Session).unwrap();
        assert_eq!((caller.user_id, caller.session_id, caller.access_version), (user.id, Some(session), Some(3)));
        assert_eq!(caller.roles, ["auditor", "member"]);
        let age_ms = Timestamp::now().as_millis() - caller.issued_at.as_millis();
        assert!((0..10_000).contains(&age_ms), "{age_ms}");
    }

    #[test]
    fn a_token_of_somebody_with_more_roles_than_fit_says_no_version_so_that_they_are_read() {
        let issuer = Issuer::generate();
        let with = |count: usize| {
            let user = User { group_roles: (1..count).map(|index| index.to_string()).collect(), ..user() };
            let token = issuer.issue(&user, None, Purpose::Session, Timestamp::now()).unwrap();
            let caller = verifier(&issuer).verify(&token, Purpose::Session).unwrap();
            (caller.roles.len(), caller.access_version)
        };
        assert_eq!(with(MAX_ROLES_OF_PERSON), (MAX_ROLES_OF_PERSON, Some(3)));
        assert_eq!(with(MAX_ROLES_OF_PERSON + 1), (MAX_ROLES_OF_PERSON, None));
    }

    #[test]
    fn a_token_of_an_earlier_release_is_an_administrators_or_a_members() {
        for (former, roles) in [("admin", vec!["admin"]), ("user", vec!["member"]), ("root", vec![])] {
            let caller = verified(|claims| claims.custom.role = former.into()).unwrap();
            assert_eq!(caller.roles, roles);
            assert_eq!((caller.session_id, caller.access_version), (None, None));
        }
    }

    #[test]
    fn neither_kind_of_token_opens_what_the_other_does() {
        let issuer = Issuer::generate();
        for (kind, other) in [(Purpose::Session, Purpose::Gateway), (Purpose::Gateway, Purpose::Session)] {
            let token = issuer.issue(&user(), None, kind, Timestamp::now()).unwrap();
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
            let token = issuer.issue(&user(), None, Purpose::Session, shared).unwrap();
            let verified = verifier(&issuer).by_clock(shared).verify(&token, Purpose::Session);
            assert!(verified.is_ok(), "a clock that is {minutes} minutes away");
        }
        let old = issuer.issue(&user(), None, Purpose::Session, minutes_away(0)).unwrap();
        let verified = verifier(&issuer).by_clock(minutes_away(20)).verify(&old, Purpose::Session);
        assert_eq!(verified, Err(InvalidToken::Refused), "expired by the shared clock");
    }
}
