//! Tokens by which one component of the installation proves to another that it calls, and for whom: JWTs (RFC 7519) signed with Ed25519 (RFC 8037),
//! valid for seconds and for one callee.
//!
//! Each caller has a key pair of its own, and a table says whom it may call: a component that was taken over speaks for no other, and one that calls
//! nobody, as a tool server, has no key at all. Pure: where keys are kept, and what the time is, its users know. docs/adr/0037 weighs it.

use jwt_simple::prelude::{
    Claims, Duration, Ed25519KeyPair, Ed25519PublicKey, EdDSAKeyPairLike, EdDSAPublicKeyLike, Token, UnixTimeStamp,
    VerificationOptions,
};
use serde::{Deserialize, Serialize};

/// Long enough for a request to wait for an instance to start, and for clocks that are read twice a second. A call may go on much longer: the token
/// is checked when it begins.
pub const LIFETIME_S: u64 = 30;

/// How far two readings of the database's clock may be apart.
const TOLERANCE_S: u64 = 5;

/// Ours are below 500 bytes.
const MAX_TOKEN_BYTES: usize = 2048;

/// Ids are shorter; a text from outside is cut to this.
const MAX_REQUEST_ID_CHARS: usize = 100;

/// The component that sends webhooks.
const WEBHOOKS: &str = "webhooks";
/// The component that indexes texts.
const SEARCH: &str = "search";
/// The component that keeps files.
const FILES: &str = "files";
/// The component with the tools, and the beginning of the ids of tool servers.
const TOOLS: &str = "tools";
const TOOL_SERVER: &str = "mcp-";

/// Whether a component may call another. `spin.toml` allows the same; a test compares them.
#[must_use]
pub fn may_call(caller: &str, callee: &str) -> bool {
    match caller {
        "auth" => matches!(callee, FILES | TOOLS | WEBHOOKS | SEARCH),
        "stream" => matches!(callee, FILES | TOOLS | WEBHOOKS),
        "chat" => callee == TOOLS,
        "ops" => matches!(callee, "auth" | "chat" | "stream" | FILES | TOOLS),
        TOOLS => callee == FILES || callee.starts_with(TOOL_SERVER),
        _ => false,
    }
}

/// Errors of whoever signs.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The stored key is damaged.
    #[error("the key of this component cannot be used: {0}")]
    Key(String),
    /// Signing failed.
    #[error("a token cannot be signed: {0}")]
    Sign(String),
}

/// Why a token proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It is signed with a key that is not known (yet).
    #[error("the token of the calling component is signed with an unknown key")]
    UnknownKey,
    /// It is for another component.
    #[error("the token of the calling component is for another one")]
    OtherCallee,
    /// Its caller may not call this component.
    #[error("the calling component may not call this one")]
    NotAllowed,
    /// It has expired, or its time has not come.
    #[error("the token of the calling component is not valid at this time")]
    OtherTime,
    /// It is forged, or not such a token.
    #[error("there is no token of a calling component that verifies")]
    Refused,
}

#[derive(Serialize, Deserialize)]
struct NoClaims {}

/// What a call is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// For which person it is made, as an id. `None`: for nobody in particular.
    pub user_id: Option<&'a str>,
    /// The caller's run or request, as an id.
    pub request_id: &'a str,
}

/// A verified call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The component that calls.
    pub caller: String,
    /// As in [`About`].
    pub user_id: Option<String>,
    /// As in [`About`].
    pub request_id: String,
}

/// Signs for one component.
pub struct Signer {
    key: Ed25519KeyPair,
    id: String,
    caller: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Signer {
    /// With a new key for this component.
    #[must_use]
    pub fn generate(caller: &str) -> Self {
        let key = Ed25519KeyPair::generate();
        let id = key.jwk_thumbprint();
        Self { key: key.with_key_id(&id), id, caller: caller.to_owned() }
    }

    /// With this component's key, as [`Self::private_key`] wrote it.
    ///
    /// # Errors
    /// [`SignError::Key`].
    pub fn from_pem(caller: &str, id: &str, pem: &str) -> Result<Self, SignError> {
        let key = Ed25519KeyPair::from_pem(pem).map_err(|error| SignError::Key(error.to_string()))?;
        Ok(Self { key: key.with_key_id(id), id: id.to_owned(), caller: caller.to_owned() })
    }

    /// `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The private half as PEM, to store.
    #[must_use]
    pub fn private_key(&self) -> String {
        self.key.to_pem()
    }

    /// The public half, to store and publish.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey { id: self.id.clone(), caller: self.caller.clone(), jwk: self.key.public_key().to_jwk() }
    }

    /// A token for one callee, valid from `now_ms` for [`LIFETIME_S`].
    ///
    /// # Errors
    /// [`SignError::Sign`].
    pub fn sign(&self, callee: &str, about: About<'_>, now_ms: i64) -> Result<String, SignError> {
        let now = seconds(now_ms);
        let request_id: String = about.request_id.chars().take(MAX_REQUEST_ID_CHARS).collect();
        let mut claims = Claims::with_custom_claims(NoClaims {}, Duration::from_secs(LIFETIME_S))
            .with_issuer(&self.caller)
            .with_audience(callee)
            .with_jwt_id(request_id);
        if let Some(user_id) = about.user_id {
            claims = claims.with_subject(user_id);
        }
        claims.issued_at = Some(now);
        claims.invalid_before = Some(now);
        claims.expires_at = Some(now + Duration::from_secs(LIFETIME_S));
        self.key.sign(claims).map_err(|error| SignError::Sign(error.to_string()))
    }
}

/// The public half of a caller's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicKey {
    /// `kid`.
    pub id: String,
    /// Whose it is.
    pub caller: String,
    /// A JWK (RFC 7517).
    pub jwk: String,
}

/// The public keys of all callers, as `ops` tells them to components that have no database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Published {
    /// The database's time.
    pub now_ms: i64,
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// Verifies tokens.
#[derive(Clone, Default, Debug)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// With these keys. Each is read when a token names it, so that knowing many costs nothing.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Verifies a token for this callee at this time.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn verify(&self, token: &str, callee: &str, now_ms: i64) -> Result<Call, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken::Refused);
        }
        let metadata = Token::decode_metadata(token).map_err(|_| InvalidToken::Refused)?;
        let id = metadata.key_id().ok_or(InvalidToken::Refused)?;
        let known = self.0.iter().find(|known| known.id == id).ok_or(InvalidToken::UnknownKey)?;
        let key = Ed25519PublicKey::from_jwk(&known.jwk).map_err(|_| InvalidToken::Refused)?;
        let now = seconds(now_ms);
        let options = VerificationOptions {
            // A caller's key says nothing about calls of others.
            allowed_issuers: Some([known.caller.clone()].into()),
            max_token_length: Some(MAX_TOKEN_BYTES),
            // Times are checked below, so that what is wrong with them can be told.
            accept_future: true,
            time_tolerance: Some(Duration::from_days(3650)),
            artificial_time: Some(now),
            ..VerificationOptions::default()
        };
        let claims = key.verify_token::<NoClaims>(token, Some(options)).map_err(|_| InvalidToken::Refused)?;
        let is_for_callee = claims.audiences.is_some_and(|audiences| audiences.contains(&[callee.to_owned()].into()));
        if !is_for_callee {
            return Err(InvalidToken::OtherCallee);
        }
        if !may_call(&known.caller, callee) {
            return Err(InvalidToken::NotAllowed);
        }
        let (Some(issued), Some(expires), Some(request_id)) = (claims.issued_at, claims.expires_at, claims.jwt_id)
        else {
            return Err(InvalidToken::Refused);
        };
        let tolerance = Duration::from_secs(TOLERANCE_S);
        let lives_too_long = expires > issued + Duration::from_secs(LIFETIME_S);
        if lives_too_long || now > expires + tolerance || issued > now + tolerance {
            return Err(InvalidToken::OtherTime);
        }
        Ok(Call { caller: known.caller.clone(), user_id: claims.subject, request_id })
    }
}

fn seconds(millis: i64) -> UnixTimeStamp {
    UnixTimeStamp::from_secs(u64::try_from(millis / 1000).unwrap_or(0))
}
