//! From an MCP server to its authorization server: protected resource metadata (RFC 9728), then the metadata of the authorization server (RFC 8414,
//! or OpenID Connect Discovery), in the order of "Authorization Server Discovery" of 2026-07-28.

use http::StatusCode;
use mcp::Transport;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::{
    OAuthError,
    address::{host_of, named_by},
    challenge::Challenge,
    exchange::{Answer, get},
};

/// Where the metadata of a protected resource are.
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Where those of an authorization server are.
const SERVER: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// Metadata of a protected resource, as far as they are used.
#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// Metadata of an authorization server, as far as they are used.
#[derive(Deserialize)]
struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    registration_endpoint: Option<String>,
    #[serde(default)]
    revocation_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of a server that wants tokens.
pub(crate) struct Discovered {
    /// The server, as tokens are asked for it (RFC 8707).
    pub(crate) resource: String,
    /// The scopes to ask for, separated by spaces. `None`: the server names none.
    pub(crate) scope: Option<String>,
    /// Where tokens come from.
    pub(crate) server: AuthorizationServer,
}

/// Where tokens come from. All addresses are checked.
pub(crate) struct AuthorizationServer {
    pub(crate) issuer: String,
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) registration: Option<Url>,
    pub(crate) revocation: Option<Url>,
    /// How a client may prove itself. `None`: the server does not say.
    pub(crate) auth_methods: Option<Vec<String>>,
    /// A client's id may be the address of a document about it.
    pub(crate) takes_documents: bool,
    /// Its answers say from whom they are (RFC 9207).
    pub(crate) says_issuer: bool,
    /// It gives refresh tokens to who asks for this scope.
    pub(crate) has_offline_access: bool,
}

/// Finds out where tokens for the MCP server at `url` come from.
pub(crate) async fn discover(
    transport: &impl Transport,
    url: &Url,
    challenge: &Challenge,
) -> Result<Discovered, OAuthError> {
    let found = resource_metadata(transport, url, challenge).await?;
    // Before 2025-06-18 a server was its own authorization server and had no metadata of its own.
    let own = || ResourceMetadata {
        resource: canonical(url),
        authorization_servers: vec![url.origin().ascii_serialization()],
        scopes_supported: Vec::new(),
    };
    let is_named = found.is_some();
    let ResourceMetadata { resource, authorization_servers, scopes_supported } = found.unwrap_or_else(own);
    let issuer = authorization_servers.first().ok_or(OAuthError::NoMetadata)?;
    let server = match server_metadata(transport, url, issuer).await? {
        Some(server) => server,
        None if is_named => {
            let host = host_of(&named_by(url, issuer)?);
            return Err(OAuthError::Malformed {
                host,
                cause: "it has no metadata of an authorization server".to_owned(),
            });
        }
        None => return Err(OAuthError::NoMetadata),
    };
    let supported = (!scopes_supported.is_empty()).then(|| scopes_supported.join(" "));
    Ok(Discovered { resource, scope: challenge.scope.clone().or(supported), server })
}

async fn resource_metadata(
    transport: &impl Transport,
    url: &Url,
    challenge: &Challenge,
) -> Result<Option<ResourceMetadata>, OAuthError> {
    let places = match &challenge.resource_metadata {
        Some(named) => vec![named_by(url, named)?],
        None => {
            let path = url.path().trim_end_matches('/');
            let at_path = (!path.is_empty()).then(|| with_path(url, &format!("{RESOURCE}{path}")));
            at_path.into_iter().chain([with_path(url, RESOURCE)]).collect()
        }
    };
    let mut fault = None;
    for place in places {
        let Some(metadata) = found::<ResourceMetadata>(get(transport, &place).await?, &mut fault) else { continue };
        if !is_about(&metadata.resource, url) {
            return Err(OAuthError::OtherServer { host: host_of(&place) });
        }
        return Ok(Some(metadata));
    }
    fault.map_or(Ok(None), Err)
}

async fn server_metadata(
    transport: &impl Transport,
    resource: &Url,
    issuer: &str,
) -> Result<Option<AuthorizationServer>, OAuthError> {
    let at = named_by(resource, issuer)?;
    let path = at.path().trim_end_matches('/');
    let mut places = vec![format!("{SERVER}{path}"), format!("{OPENID}{path}")];
    if !path.is_empty() {
        places.push(format!("{path}{OPENID}"));
    }
    let mut fault = None;
    for place in places {
        let place = with_path(&at, &place);
        let Some(metadata) = found::<ServerMetadata>(get(transport, &place).await?, &mut fault) else { continue };
        // RFC 8414, section 3.3. Libraries add the slash of an empty path, and others take it away.
        if metadata.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(OAuthError::OtherServer { host: host_of(&place) });
        }
        return AuthorizationServer::new(metadata, resource).map(Some);
    }
    fault.map_or(Ok(None), Err)
}

/// The document at a place. Where there is none, the next place is looked at: some servers want a token for what they do not have, and some have a
/// page for every address. `fault` is the first answer that is more than "there is nothing here".
fn found<T: DeserializeOwned>(answer: Answer, fault: &mut Option<OAuthError>) -> Option<T> {
    let is_nothing = answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS;
    match answer.json() {
        Ok(document) => Some(document),
        Err(error) => {
            if !is_nothing && fault.is_none() {
                *fault = Some(error);
            }
            None
        }
    }
}

impl AuthorizationServer {
    fn new(metadata: ServerMetadata, resource: &Url) -> Result<Self, OAuthError> {
        if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(OAuthError::NoPkce);
        }
        let named = |address: &Option<String>| address.as_deref().map(|it| named_by(resource, it)).transpose();
        Ok(Self {
            authorization: named_by(resource, &metadata.authorization_endpoint)?,
            token: named_by(resource, &metadata.token_endpoint)?,
            registration: named(&metadata.registration_endpoint)?,
            revocation: named(&metadata.revocation_endpoint)?,
            issuer: metadata.issuer,
            auth_methods: metadata.token_endpoint_auth_methods_supported,
            takes_documents: metadata.client_id_metadata_document_supported,
            says_issuer: metadata.authorization_response_iss_parameter_supported,
            has_offline_access: metadata.scopes_supported.iter().any(|scope| scope == "offline_access"),
        })
    }
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// A server's address as a resource: without what is no part of it, and without the slash of an empty path.
fn canonical(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let text = url.as_str();
    if url.path() == "/" && url.query().is_none() { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

/// Whether metadata are about the server at `url`: they name it, or a part of its origin that it lies in.
fn is_about(resource: &str, url: &Url) -> bool {
    let Ok(named) = Url::parse(resource) else { return false };
    let (named_path, path) = (named.path().trim_end_matches('/'), url.path().trim_end_matches('/'));
    let is_in = path.strip_prefix(named_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    named.origin() == url.origin() && named.fragment().is_none() && is_in
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::{executor::block_on, stream};
    use http::{Request, Response};
    use mcp::{BodyStream, TransportError};

    use super::*;

    /// Answers these paths so, and everything else with a page.
    struct Pages(&'static [(&'static str, u16, &'static str)]);

    impl Transport for Pages {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<BodyStream>, TransportError> {
            let found = self.0.iter().find(|(path, ..)| *path == request.uri().path());
            let (status, body) = found.map_or((200, "<!doctype html>"), |(_, status, body)| (*status, *body));
            let body: BodyStream = Box::pin(stream::iter([Ok(Bytes::from_static(body.as_bytes()))]));
            Ok(Response::builder().status(status).body(body).unwrap())
        }

        async fn sleep(&self, _: Duration) {
            std::future::pending().await
        }
    }

    #[test]
    fn a_place_without_a_document_is_not_the_last_that_is_looked_at() {
        const RESOURCE: &str =
            r#"{"resource":"https://mcp.example.com","authorization_servers":["https://auth.example.com/team"]}"#;
        const SERVER: &str = r#"{"issuer":"https://auth.example.com/team","authorization_endpoint":"https://auth.example.com/a",
            "token_endpoint":"https://auth.example.com/t","code_challenge_methods_supported":["S256"]}"#;
        const AT: (&str, u16, &str) = ("/.well-known/oauth-protected-resource", 200, RESOURCE);
        let url = Url::parse("https://mcp.example.com/mcp").unwrap();
        let discovered = |pages: &Pages| block_on(discover(pages, &url, &Challenge::default()));
        let first_fails = Pages(&[
            AT,
            ("/.well-known/oauth-authorization-server/team", 500, ""),
            ("/team/.well-known/openid-configuration", 200, SERVER),
        ]);
        assert_eq!(discovered(&first_fails).ok().unwrap().server.token.as_str(), "https://auth.example.com/t");
        let path_inserted = Pages(&[AT, ("/.well-known/openid-configuration/team", 200, SERVER)]);
        assert!(discovered(&path_inserted).is_ok());
        let all_fail = Pages(&[AT, ("/.well-known/oauth-authorization-server/team", 503, "")]);
        let error = discovered(&all_fail).err().unwrap();
        assert!(matches!(error, OAuthError::Status { status: StatusCode::SERVICE_UNAVAILABLE, .. }), "{error}");
    }

    #[test]
    fn metadata_are_about_the_server_or_what_it_lies_in() {
        let url = Url::parse("https://mcp.example.com/team/mcp").unwrap();
        for resource in [
            "https://mcp.example.com/team/mcp",
            "https://mcp.example.com/team/mcp/",
            "https://mcp.example.com/team",
            "https://mcp.example.com",
            "https://MCP.example.com:443/",
        ] {
            assert!(is_about(resource, &url), "{resource}");
        }
        for resource in [
            "https://mcp.example.com/team/mcp/other",
            "https://mcp.example.com/te",
            "http://mcp.example.com/team/mcp",
            "https://mcp.example.com:8443/",
            "https://example.com/team/mcp",
            "mcp",
        ] {
            assert!(!is_about(resource, &url), "{resource}");
        }
        assert_eq!(canonical(&Url::parse("https://mcp.example.com/").unwrap()), "https://mcp.example.com");
        assert_eq!(canonical(&url), "https://mcp.example.com/team/mcp");
    }
}
