//! What the gateway is to OAuth: a protected resource, described for clients that have no token yet (RFC 9728).

use axum::extract::{Path, State};
use http::{HeaderMap, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use web::Json;

use crate::{config::Config, router::Tools};

/// All that is not unreserved (RFC 3986, section 2.3): a client compares the resource with the address it asked, letter by letter.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// RFC 9728, section 2. No authorization server is named: tokens come from `/auth/login` of this installation.
#[derive(Serialize)]
pub(crate) struct Metadata {
    resource: String,
    resource_name: &'static str,
    bearer_methods_supported: [&'static str; 1],
}

/// For `/mcp`.
pub(crate) async fn all(State(tools): State<Tools>, headers: HeaderMap) -> Json<Metadata> {
    Json(metadata(&tools.config, &headers, None))
}

/// For `/mcp/{server}`.
pub(crate) async fn one(State(tools): State<Tools>, Path(server): Path<String>, headers: HeaderMap) -> Json<Metadata> {
    Json(metadata(&tools.config, &headers, Some(&server)))
}

fn metadata(config: &Config, headers: &HeaderMap, server: Option<&str>) -> Metadata {
    Metadata {
        resource: format!("{}{}", here(config, headers), path(server)),
        resource_name: "Edge Assistant",
        bearer_methods_supported: ["header"],
    }
}

/// Where the metadata of an endpoint is (RFC 9728, section 3.1).
pub(crate) fn url(config: &Config, headers: &HeaderMap, server: Option<&str>) -> String {
    format!("{}/.well-known/oauth-protected-resource{}", here(config, headers), path(server))
}

fn path(server: Option<&str>) -> String {
    server.map_or_else(|| "/mcp".to_owned(), |server| format!("/mcp/{}", utf8_percent_encode(server, RESERVED)))
}

/// Where the installation is, as the operator says, or else as the request does: a development host has no other name.
fn here(config: &Config, headers: &HeaderMap) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.clone();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_name_stands_in_its_address_as_a_client_writes_it_and_adds_nothing() {
        assert_eq!((path(None).as_str(), path(Some("my-wiki_2.0")).as_str()), ("/mcp", "/mcp/my-wiki_2.0"));
        assert_eq!(path(Some("a\", Basic realm=\"b")), "/mcp/a%22%2C%20Basic%20realm%3D%22b");
    }
}
