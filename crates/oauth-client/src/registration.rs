//! How this installation gets a client id at an authorization server, in the order of "Client Registration" of 2026-07-28: one that an operator
//! registered, the address of a document about us, or dynamic registration (RFC 7591).

use base64::{Engine, prelude::BASE64_STANDARD};
use mcp::Transport;
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded::byte_serialize};

use crate::{OAuthError, address::host_of, attempt::Us, discovery::AuthorizationServer, exchange::post_json};

/// The name that people read at the authorization server.
const NAME: &str = "Edge Assistant";
/// The longest client id and client secret. Both are kept with a connection.
const MAX_ID_BYTES: usize = 1_024;

/// A client that an operator registered.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// Its id.
    pub client_id: String,
    /// Its secret, if it has one.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The scopes to ask for, instead of those that the server names.
    #[serde(default)]
    pub scope: Option<String>,
    /// The authorization server that knows it. If the MCP server names another one, the client is not used there.
    pub issuer: String,
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A client as it asks for tokens. Kept with a connection, encrypted.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) id: String,
    secret: Option<String>,
    proof: Proof,
}

/// How a client proves itself (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Proof {
    /// By nothing but PKCE: it has no secret.
    Nothing,
    /// In the form.
    Form,
    /// In the header.
    Header,
}

impl Client {
    fn new(id: String, secret: Option<String>, methods: Option<&[String]>) -> Self {
        let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|it| it == method));
        let proof = match secret {
            None => Proof::Nothing,
            // RFC 8414, section 2: a server that does not say takes the header.
            Some(_) if methods.is_none() || takes("client_secret_basic") => Proof::Header,
            Some(_) => Proof::Form,
        };
        Self { id, secret, proof }
    }

    /// Puts into a request for tokens who asks. Returns the value of `Authorization`, if it is said there.
    pub(crate) fn prove<'a>(&'a self, fields: &mut Vec<(&'a str, &'a str)>) -> Option<String> {
        // Some servers look for it here even when the header has it.
        fields.push(("client_id", &self.id));
        match (&self.secret, self.proof) {
            (Some(secret), Proof::Header) => {
                let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.id), encoded(secret));
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            (Some(secret), Proof::Form) => {
                fields.push(("client_secret", secret));
                None
            }
            (..) => None,
        }
    }
}

/// What is said of this installation as a client: to register it, and at its own address (draft-ietf-oauth-client-id-metadata-document).
#[derive(Serialize)]
pub struct ClientIdDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    client_name: &'static str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'a str,
    application_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

impl<'a> ClientIdDocument<'a> {
    /// The document whose own address is `client_id`.
    #[must_use]
    pub fn at(client_id: &'a str, redirect_uri: &'a str) -> Self {
        Self { client_id: Some(client_id), ..Self::new(redirect_uri, "none", None) }
    }

    fn new(redirect_uri: &'a str, auth_method: &'a str, scope: Option<&'a str>) -> Self {
        let is_public = redirect_uri.starts_with("https://");
        Self {
            client_id: None,
            client_name: NAME,
            redirect_uris: [redirect_uri],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: auth_method,
            // OpenID Connect allows plain http and this machine's name only to what is installed there.
            application_type: if is_public { "web" } else { "native" },
            scope,
        }
    }
}

#[derive(Deserialize)]
struct New {
    client_id: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

/// A client id at this server.
pub(crate) async fn client(
    transport: &impl Transport,
    server: &AuthorizationServer,
    us: &Us<'_>,
    scope: Option<&str>,
) -> Result<Client, OAuthError> {
    let methods = server.auth_methods.as_deref();
    if let Some(Registered { client_id, client_secret, issuer, .. }) = us.registered {
        // A secret goes only to the server that gave it.
        if issuer.trim_end_matches('/') != server.issuer.trim_end_matches('/') {
            return Err(OAuthError::OtherServer { host: host_of(&server.token) });
        }
        return Ok(Client::new(client_id.clone(), client_secret.clone(), methods));
    }
    if let Some(document) = us.document.filter(|_| server.takes_documents) {
        return Ok(Client::new(document.to_owned(), None, methods));
    }
    match &server.registration {
        Some(registration) => register(transport, registration, methods, us.redirect_uri, scope).await,
        None => Err(OAuthError::NoRegistration),
    }
}

async fn register(
    transport: &impl Transport,
    registration: &Url,
    methods: Option<&[String]>,
    redirect_uri: &str,
    scope: Option<&str>,
) -> Result<Client, OAuthError> {
    let offered = |method: &str| methods.is_none_or(|methods| methods.iter().any(|it| it == method));
    // In the form before in the header: some servers revoke nothing otherwise.
    let method = ["none", "client_secret_post", "client_secret_basic"].into_iter().find(|method| offered(method));
    let document = ClientIdDocument::new(redirect_uri, method.unwrap_or("none"), scope);
    let malformed = |cause: String| OAuthError::Malformed { host: host_of(registration), cause };
    let json = serde_json::to_string(&document).map_err(|error| malformed(error.to_string()))?;
    let New { client_id, client_secret, token_endpoint_auth_method } =
        post_json(transport, registration, json).await?.json()?;
    let secret = client_secret.filter(|_| token_endpoint_auth_method.as_deref() != Some("none"));
    if [Some(&client_id), secret.as_ref()].into_iter().flatten().any(|it| it.is_empty() || it.len() > MAX_ID_BYTES) {
        return Err(malformed(format!("a client id or secret has 1 to {MAX_ID_BYTES} bytes")));
    }
    let chosen = token_endpoint_auth_method.map(|method| vec![method]);
    Ok(Client::new(client_id, secret, chosen.as_deref().or(methods)))
}
