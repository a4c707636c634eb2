//! Where a connection's tokens come from, and how they are had, refreshed and revoked.

use std::time::Duration;

use http::HeaderValue;
use mcp::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::{OAuthError, address::host_of, exchange::post_form, registration::Client};

/// The longest life of an access token that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An authorization server and this installation's client there. Kept with a connection, encrypted.
#[derive(Serialize, Deserialize)]
pub struct Authority {
    pub(crate) issuer: String,
    pub(crate) token: Url,
    pub(crate) revocation: Option<Url>,
    pub(crate) client: Client,
    /// The MCP server, as tokens are asked for it.
    pub(crate) resource: String,
}

/// Tokens of one person for one server. Without `Debug`.
pub struct Tokens {
    /// For the MCP server and nobody else.
    pub access: Zeroizing<String>,
    /// For newer ones.
    pub refresh: Option<Zeroizing<String>>,
    /// How long the access token is valid. `None`: the server does not say.
    pub lifetime: Option<Duration>,
    /// What it allows, as far as it is known.
    pub scope: Option<String>,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    /// A number, and of some servers a text.
    #[serde(default)]
    expires_in: Option<Value>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    scope: Option<String>,
}

impl Authority {
    /// Asks for newer tokens. The refresh token may be replaced by this: the new one must be kept before the access token is used.
    ///
    /// # Errors
    /// [`OAuthError`]; [`OAuthError::is_final`] says whether the connection is lost.
    pub async fn refreshed(&self, transport: &impl Transport, refresh: &str) -> Result<Tokens, OAuthError> {
        self.tokens(transport, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
    }

    /// Revokes a token (RFC 7009). A server that revokes a refresh token revokes the access tokens, too.
    ///
    /// # Errors
    /// [`OAuthError`]. A server that revokes nothing is none.
    pub async fn revoke(&self, transport: &impl Transport, kind: &str, token: &str) -> Result<(), OAuthError> {
        let Some(revocation) = &self.revocation else { return Ok(()) };
        let mut fields = vec![("token", token), ("token_type_hint", kind)];
        let authorization = self.client.prove(&mut fields);
        let answer = post_form(transport, revocation, authorization.as_deref(), &fields).await?;
        if answer.status.is_success() { Ok(()) } else { answer.json::<Value>().map(drop) }
    }

    pub(crate) async fn tokens(
        &self,
        transport: &impl Transport,
        fields: &[(&str, &str)],
    ) -> Result<Tokens, OAuthError> {
        let mut fields = fields.to_vec();
        fields.push(("resource", &self.resource));
        let authorization = self.client.prove(&mut fields);
        let answer = post_form(transport, &self.token, authorization.as_deref(), &fields).await?;
        let malformed = |cause: &str| OAuthError::Malformed { host: host_of(&self.token), cause: cause.to_owned() };
        // The parser's words may quote a token.
        let Answer { access_token, token_type, expires_in, refresh_token, scope } = match answer.json() {
            Err(OAuthError::Malformed { .. }) => return Err(malformed("it has no access token")),
            answer => answer?,
        };
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(malformed("its token is not one of the type Bearer"));
        }
        let is_usable = |token: &str| HeaderValue::from_str(token).is_ok() && !token.is_empty() && !token.contains(' ');
        let (access, refresh) = (Zeroizing::new(access_token), refresh_token.map(Zeroizing::new));
        if !is_usable(&access) {
            return Err(malformed("its access token fits into no header"));
        }
        let seconds = expires_in.and_then(|said| said.as_u64().or_else(|| said.as_str()?.parse().ok()));
        Ok(Tokens {
            access,
            refresh: refresh.filter(|token| !token.is_empty()),
            lifetime: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_LIFETIME)),
            scope: scope.filter(|scope| !scope.trim().is_empty()),
        })
    }
}
