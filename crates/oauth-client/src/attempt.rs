//! One attempt of a person to connect: from the address that they open to the code that comes back.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Uri;
use mcp::Transport;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    Authority, Challenge, OAuthError, Registered, Tokens,
    address::host_of,
    challenge::scopes_together,
    discovery::{Discovered, discover},
    registration::client,
};

/// Random bytes of a state and of a verifier: as many as the hash of PKCE has.
const SECRET_BYTES: usize = 32;
/// The longest code that is taken. Those of real servers have some hundred bytes.
const MAX_CODE_BYTES: usize = 4_096;

/// What an attempt needs to know of this installation.
#[derive(Clone, Copy, Debug)]
pub struct Us<'a> {
    /// Where the code comes back to.
    pub redirect_uri: &'a str,
    /// The public https address of the document about us ([`crate::ClientIdDocument`]), if there is one.
    pub document: Option<&'a str>,
    /// The client that an operator registered.
    pub registered: Option<&'a Registered>,
    /// The scopes of an earlier connection, and those it lacked. They are asked for, too.
    pub known_scope: &'a str,
}

/// An attempt that has begun.
pub struct Begun {
    /// What the person opens.
    pub url: Url,
    /// The secret that comes back with the code. Only its hash is kept ([`state_hash`]).
    pub state: String,
    /// What is kept until then, encrypted.
    pub attempt: Attempt,
}

/// What is kept of an attempt.
#[derive(Serialize, Deserialize)]
pub struct Attempt {
    authority: Authority,
    verifier: String,
    redirect_uri: String,
    says_issuer: bool,
    scope: Option<String>,
}

/// Begins an attempt to connect to the MCP server at `server`. `challenge` is what that said with its 401.
///
/// # Errors
/// [`OAuthError`].
pub async fn begin(
    transport: &impl Transport,
    server: &Uri,
    challenge: &Challenge,
    us: &Us<'_>,
) -> Result<Begun, OAuthError> {
    let address = server.to_string();
    let url = Url::parse(&address).map_err(|_| OAuthError::Address(address))?;
    let Discovered { resource, scope, server } = discover(transport, &url, challenge).await?;
    let scope = us.registered.and_then(|registered| registered.scope.clone()).or(scope);
    // First what a person connects again for.
    let scope = Some(scopes_together(us.known_scope, &scope.unwrap_or_default())).filter(|scope| !scope.is_empty());
    // 2026-07-28, "Refresh Tokens". Alone it would be instead of the scopes that the server gives by default.
    let scope =
        scope.map(|scope| if server.has_offline_access { scopes_together(&scope, "offline_access") } else { scope });
    let client = client(transport, &server, us, scope.as_deref()).await?;
    let (state, verifier) = (secret()?, secret()?);
    let mut url = server.authorization.clone();
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &client.id);
        query.append_pair("redirect_uri", us.redirect_uri);
        query.append_pair("state", &state);
        query.append_pair("code_challenge", &digest(&verifier));
        query.append_pair("code_challenge_method", "S256");
        query.append_pair("resource", &resource);
        if let Some(scope) = &scope {
            query.append_pair("scope", scope);
            // OpenID Connect gives refresh tokens only after a person has agreed once more.
            if scope.split(' ').any(|scope| scope == "offline_access") {
                query.append_pair("prompt", "consent");
            }
        }
    }
    let authority =
        Authority { issuer: server.issuer, token: server.token, revocation: server.revocation, client, resource };
    let redirect_uri = us.redirect_uri.to_owned();
    let attempt = Attempt { authority, verifier, redirect_uri, says_issuer: server.says_issuer, scope };
    Ok(Begun { url, state, attempt })
}

impl Attempt {
    /// Whether an answer is from the authorization server that was asked (RFC 9207, section 2.4). Until then nothing of it is used.
    ///
    /// # Errors
    /// [`OAuthError::OtherIssuer`].
    pub fn check_issuer(&self, issuer: Option<&str>) -> Result<(), OAuthError> {
        match issuer {
            Some(issuer) if issuer == self.authority.issuer => Ok(()),
            None if !self.says_issuer => Ok(()),
            _ => Err(OAuthError::OtherIssuer),
        }
    }

    /// Exchanges the code that came back. The answer must have been checked ([`Self::check_issuer`]).
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn finish(self, transport: &impl Transport, code: &str) -> Result<(Authority, Tokens), OAuthError> {
        let host = || host_of(&self.authority.token);
        if code.is_empty() || code.len() > MAX_CODE_BYTES {
            return Err(OAuthError::Malformed { host: host(), cause: "it gave no code that can be used".to_owned() });
        }
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
        ];
        let mut tokens = self.authority.tokens(transport, &fields).await?;
        // RFC 6749, section 5.1: not said means as asked for.
        tokens.scope = tokens.scope.or(self.scope);
        Ok((self.authority, tokens))
    }
}

/// What is kept of a state.
#[must_use]
pub fn state_hash(state: &str) -> String {
    digest(state)
}

fn digest(secret: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// A random text: a state, a verifier, or what a browser keeps in a cookie.
///
/// # Errors
/// [`OAuthError::Random`].
pub fn secret() -> Result<String, OAuthError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
