//! Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), which every component verifies for itself. There are three kinds, each
//! valid only for its own purpose.

use domain::{Id, Timestamp, User};
use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, Token, UnixTimeStamp,
    VerificationOptions,
};
use permissions::{
    role::{FORMER_MEMBER, MAX_ROLES_OF_PERSON, former},
    table::{ADMIN, MEMBER},
};
use serde::{Deserialize, Serialize};

use crate::{
    IdentityError, from_hex,
    grant_token::GrantToken,
    hex,
    refresh_token::RefreshToken,
    signed_text::{self, Use},
};

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

/// Of a new text key.
const TEXT_KEY_BYTES: usize = 32;

/// How the last boundary of a PEM begins, and how each boundary ends.
const END: &str = "-----END ";
const BOUNDARY: &str = "-----";
/// The first boundary of a public key.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY";

/// What may be between two PEMs in a variable.
const BETWEEN_PEMS: [char; 5] = [' ', '\n', '\r', '\t', ','];

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
    /// The `aud`. Before there were several kinds, all tokens had that of the first.
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
    /// The permissions beyond which a program's token does not go, separated by spaces. `None`: all that its person may do.
    pub scopes: Option<String>,
    /// The path of the gateway that a program's token opens. `None`: all of them.
    pub resource: Option<String>,
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
    /// RFC 9068, section 2.2.3.
    #[serde(default, rename = "scope", skip_serializing_if = "Option::is_none")]
    scopes: Option<String>,
    #[serde(default, rename = "res", skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
}

/// What a program was let in for.
#[derive(Clone, Copy, Debug)]
pub struct ProgramSession<'a> {
    /// The session.
    pub session_id: Id,
    /// Permissions, separated by spaces.
    pub scopes: &'a str,
    /// The path of the gateway that the token opens.
    pub resource: &'a str,
}

impl SessionClaims {
    fn new(user: &User, session_id: Option<Id>) -> Self {
        let role = former(&user.role);
        let mut roles: Vec<String> = user.roles().map(str::to_owned).collect();
        // More do not fit into a token. One without a version has the account read at each request, with all its roles.
        let access_version = (roles.len() <= MAX_ROLES_OF_PERSON).then_some(user.access_version);
        roles.truncate(MAX_ROLES_OF_PERSON);
        Self { role: role.to_owned(), roles, access_version, session_id, scopes: None, resource: None }
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

/// Signs tokens, and texts that come back. Only `auth` and `oauth` have one.
pub struct Issuer {
    pub(crate) key: Ed25519KeyPair,
    id: String,
    /// Private halves of keys that signed before, from which successors of refresh tokens may have been derived moments ago.
    former: Vec<Vec<u8>>,
    /// What texts are signed with. The first signs, all verify. Never empty.
    text_keys: Vec<Vec<u8>>,
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
        // Earlier releases signed texts with the private half, and so does a configured key: it is the same on all hosts.
        let text_keys = vec![key.to_bytes()];
        Self { key: key.with_key_id(&id), id, former: Vec::new(), text_keys }
    }

    /// Several keys from configuration, one PEM after the other: the first signs, all verify. None for an empty text.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn parse_list(pems: &str) -> Result<Vec<Self>, IdentityError> {
        let mut parsed = Vec::new();
        let mut rest = pems.trim();
        while !rest.is_empty() {
            // The end of a PEM is its second boundary (RFC 7468, section 2).
            let end = rest.find(END).and_then(|end| {
                let after = end.saturating_add(END.len());
                let boundary = rest.get(after..)?.find(BOUNDARY)?;
                Some(after.saturating_add(boundary).saturating_add(BOUNDARY.len()))
            });
            let (pem, more) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
            // The public half beside it says nothing that the private one does not.
            if !pem.starts_with(PUBLIC) {
                parsed.push(Self::from_pem(pem)?);
            }
            rest = more.trim_start_matches(BETWEEN_PEMS);
            // Joined lines: `\n` is written as two letters.
            while let Some(more) = rest.strip_prefix("\\n") {
                rest = more.trim_start_matches(BETWEEN_PEMS);
            }
        }
        Ok(parsed)
    }

    /// A new text key, in hex.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate_text_key() -> Result<String, IdentityError> {
        let mut key = [0; TEXT_KEY_BYTES];
        getrandom::fill(&mut key)?;
        Ok(hex(&key))
    }

    /// The text key, in hex, to store.
    #[must_use]
    pub fn text_key(&self) -> String {
        self.text_keys.first().map(|key| hex(key)).unwrap_or_default()
    }

    /// With a text key of its own, in hex. One that cannot be read leaves it as it is.
    #[must_use]
    pub fn with_text_key(mut self, text_key: &str) -> Self {
        if let Some(key) = from_hex(text_key) {
            self.text_keys = vec![key];
        }
        self
    }

    /// Also knows a key that signed before: what was derived from it is found, and its texts verify.
    pub fn add_former(&mut self, former: &Self) {
        self.former.push(former.key.to_bytes());
        self.text_keys.extend(former.text_keys.iter().cloned());
    }

    /// Also knows the text key of a key whose private half is erased, in hex.
    pub fn add_former_text_key(&mut self, text_key: &str) {
        self.text_keys.extend(from_hex(text_key));
    }

    /// What texts are signed with, the one for new texts first.
    pub(crate) fn text_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.text_keys.iter().map(Vec::as_slice)
    }

    pub(crate) fn newest_text_key(&self) -> &[u8] {
        self.text_keys.first().map(Vec::as_slice).unwrap_or_default()
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
        self.sign(user, SessionClaims::new(user, session_id), purpose, now)
    }

    /// Issues a token for the second step of a log-in. It names no roles, and always the version of the account.
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn issue_challenge(&self, user: &User, now: Timestamp) -> Result<String, IdentityError> {
        let (role, roles, access_version) = (String::new(), Vec::new(), Some(user.access_version));
        let custom = SessionClaims { role, roles, access_version, session_id: None, scopes: None, resource: None };
        self.sign(user, custom, Purpose::SecondFactor, now)
    }

    /// Issues a token for a program that an account lets in, as [`Self::issue`] does for the gateway.
    ///
    /// # Errors
    /// [`IdentityError::Sign`].
    pub fn issue_to_program(
        &self,
        user: &User,
        program: ProgramSession<'_>,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let (scopes, resource) = (Some(program.scopes.to_owned()), Some(program.resource.to_owned()));
        let custom = SessionClaims { scopes, resource, ..SessionClaims::new(user, Some(program.session_id)) };
        self.sign(user, custom, Purpose::Gateway, now)
    }

    fn sign(
        &self,
        user: &User,
        custom: SessionClaims,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
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

    /// The successor of a refresh token: always the same, on every host with this key. The first is of the key that signs; the others are those that
    /// keys before may have given out a moment ago.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn successors(&self, token: &RefreshToken) -> Result<Vec<RefreshToken>, IdentityError> {
        self.private_halves().map(|key| token.successor(&key)).collect()
    }

    /// The refresh token that follows a code or a refresh token of a program, likewise.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn successors_of_grant(&self, token: &GrantToken) -> Result<Vec<GrantToken>, IdentityError> {
        self.private_halves().map(|key| token.successor(&key)).collect()
    }

    fn private_halves(&self) -> impl Iterator<Item = Vec<u8>> {
        std::iter::once(self.key.to_bytes()).chain(self.former.iter().cloned())
    }

    /// Signs a text that comes back later. `None`: it is too long to be taken back.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    pub fn sign_text(&self, used: Use, text: &str) -> Result<Option<String>, IdentityError> {
        signed_text::sign(self.newest_text_key(), used, text)
    }

    /// A text that was signed for the same use, with this key or one before; `None` for anything else.
    #[must_use]
    pub fn verified_text(&self, used: Use, signed: &str) -> Option<String> {
        self.text_keys().find_map(|key| signed_text::verified(key, used, signed))
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
            let ours = [Purpose::Session, Purpose::Gateway, Purpose::SecondFactor].into_iter().any(is_for);
            return Err(if ours { InvalidToken::OtherPurpose } else { InvalidToken::Refused });
        }
        let user_id = claims.subject.and_then(|subject| subject.parse().ok()).ok_or(InvalidToken::Refused)?;
        let issued_at = Timestamp::from_millis(i64::try_from(issued.as_millis()).unwrap_or(i64::MAX));
        let SessionClaims { session_id, access_version, .. } = claims.custom;
        let (scopes, resource) = (claims.custom.scopes.clone(), claims.custom.resource.clone());
        Ok(Caller { user_id, session_id, roles: claims.custom.roles(), access_version, issued_at, scopes, resource })
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
mod tests;
