//! What the gateway is to OAuth: a protected resource, described for clients that have no token yet (RFC 9728).

use axum::extract::{Path, State};
use http::{HeaderMap, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use web::Json;

use crate::{config::Config, router::Tools};

/// RFC 9728, section 2. No authorization server is named: tokens come from `/auth/login` of this installation.
#[derive(Serialize)]
pub(crate) struct Metadata {
    resource: String,
    resource_name: &'static str,
    bearer_methods_supported: [&'static str; 1],
    resource_documentation: String,
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
    let here = here(config, headers);
    Metadata {
        resource: format!("{here}{}", path(server)),
        resource_name: "Edge Assistant",
        bearer_methods_supported: ["header"],
        resource_documentation: format!("{here}/openapi.json"),
    }
}

/// Where the metadata of an endpoint is (RFC 9728, section 3.1).
pub(crate) fn url(config: &Config, headers: &HeaderMap, server: Option<&str>) -> String {
    format!("{}/.well-known/oauth-protected-resource{}", here(config, headers), path(server))
}

fn path(server: Option<&str>) -> String {
    server.map_or_else(|| "/mcp".to_owned(), |server| format!("/mcp/{}", utf8_percent_encode(server, NON_ALPHANUMERIC)))
}

/// Where the installation is, as the operator says, or else as the request does: a development host has no other name.
fn here(config: &Config, headers: &HeaderMap) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.clone();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}")
}
