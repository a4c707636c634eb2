//! Logging out at the provider too (RP-Initiated Logout 1.0), and when the provider says so (Back-Channel Logout 1.0).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use openidconnect::{JsonWebKey as _, core::CoreJwsSigningAlgorithm};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    Error,
    person::text,
    provider::Provider,
    relying_party::{ALGORITHMS, Published, is_recent},
};

/// The member of `events` that makes a token a log-out token (Back-Channel Logout, section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Log-out tokens are smaller. A longer one is not decoded.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// For so long, a log-out token may be on its way, and is remembered so that it counts once.
pub const LIFETIME_S: i64 = 10 * 60;

/// Whose sessions are to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutToken {
    /// The token's id: it counts once.
    pub id: String,
    /// All sessions of this person, if no session is named.
    pub subject: Option<String>,
    /// The sessions here that belong to this one at the provider.
    pub sid: Option<String>,
}

/// The header of a JWS (RFC 7515, section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// The issuer that an unverified log-out token names, to find its provider. It proves nothing.
#[must_use]
pub fn issuer_of(token: &str) -> Option<String> {
    let payload = Some(token).filter(|token| token.len() <= MAX_TOKEN_BYTES)?.split('.').nth(1)?;
    let claims: Map<String, Value> = decoded(payload).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// Checks a log-out token (Back-Channel Logout, section 2.6), by the database's clock.
///
/// # Errors
/// [`Error::UnknownKey`]: the caller tries again with new keys. [`Error::TokenRefused`].
pub fn verify(provider: &Provider, published: &Published, token: &str, now_s: i64) -> Result<LogoutToken, Error> {
    let refused = |reason: &str| Error::TokenRefused(reason.to_owned());
    if token.len() > MAX_TOKEN_BYTES {
        return Err(refused("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(|| refused("it is not a JWT"))?;
    let (header, payload) = message.split_once('.').ok_or_else(|| refused("it is not a JWT"))?;
    let header: Header = decoded(header)?;
    let is_typed_well = header.typ.as_deref().is_none_or(|typ| {
        let typ = typ.to_ascii_lowercase();
        ["logout+jwt", "jwt"].contains(&typ.strip_prefix("application/").unwrap_or(&typ))
    });
    if !is_typed_well || header.crit.is_some() || !ALGORITHMS.contains(&header.alg) {
        return Err(refused("its typ, crit or alg is not one that is accepted"));
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| refused("it is not a JWT"))?;
    let keys = published.metadata.jwks().keys().iter();
    let mut keys =
        keys.filter(|key| header.kid.is_none() || key.key_id().map(|id| id.as_str()) == header.kid.as_deref());
    if !keys.any(|key| key.verify_signature(&header.alg, message.as_bytes(), &signature).is_ok()) {
        return Err(Error::UnknownKey);
    }
    let claims: Map<String, Value> = decoded(payload)?;
    read(provider, &claims, now_s)
}

fn read(provider: &Provider, claims: &Map<String, Value>, now_s: i64) -> Result<LogoutToken, Error> {
    let refused = |reason: &str| Err(Error::TokenRefused(reason.to_owned()));
    if claims.get("iss").and_then(Value::as_str) != Some(provider.issuer.as_str()) {
        return refused("iss names another issuer");
    }
    let is_ours = match claims.get("aud") {
        Some(Value::String(audience)) => *audience == provider.client_id,
        Some(Value::Array(audiences)) => {
            audiences.iter().any(|audience| audience.as_str() == Some(provider.client_id.as_str()))
        }
        _ => false,
    };
    if !is_ours {
        return refused("aud does not name this client");
    }
    let (Some(issued), Some(expires)) = (seconds(claims, "iat"), seconds(claims, "exp")) else {
        return refused("iat or exp is missing");
    };
    if is_recent(issued, now_s, LIFETIME_S).is_err() || expires <= now_s - crate::CLOCK_TOLERANCE_S {
        return refused("it is too old or from the future");
    }
    if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return refused("events names no back-channel log-out");
    }
    // An ID token must not be taken for a log-out token.
    if claims.contains_key("nonce") {
        return refused("it has a nonce");
    }
    let Some(id) = text(claims, "jti").filter(|id| !id.is_empty()) else { return refused("jti is missing") };
    let (subject, sid) = (text(claims, "sub"), text(claims, "sid"));
    let is_unread = |name, value: &Option<String>| claims.contains_key(name) && value.is_none();
    if (subject.is_none() && sid.is_none()) || is_unread("sub", &subject) || is_unread("sid", &sid) {
        return refused("sub and sid are missing, or longer than they may be");
    }
    Ok(LogoutToken { id, subject, sid })
}

/// A number of seconds. JSON writes it with or without a fraction (RFC 7519, section 2).
#[expect(clippy::cast_possible_truncation, reason = "a number that large is out of every range that is checked")]
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    claims.get(name)?.as_f64().map(|seconds| seconds as i64)
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Error> {
    let refused = || Error::TokenRefused("it is not a JWT".to_owned());
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| refused())?;
    serde_json::from_slice(&json).map_err(|_| refused())
}

/// The address at which the person logs out of the provider and comes back. `None`: the provider has none.
#[must_use]
pub fn end_session_url(
    provider: &Provider,
    published: &Published,
    hint: Option<&str>,
    come_back_to: &str,
) -> Option<Url> {
    let endpoint = published.metadata.additional_metadata().end_session_endpoint.as_deref()?;
    let mut url = Url::parse(endpoint).ok().filter(|url| provider.may_reach(url))?;
    url.query_pairs_mut()
        .append_pair("client_id", &provider.client_id)
        .append_pair("post_logout_redirect_uri", come_back_to)
        .extend_pairs(hint.map(|hint| ("id_token_hint", hint)));
    Some(url)
}
