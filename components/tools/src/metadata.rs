//! What the gateway is to OAuth: a protected resource, described for clients that have no token yet (RFC 9728). Its authorization server is this
//! installation, too: the component `oauth`.

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use permissions::Scopes;
use problem::Problem;
use serde::Serialize;
use storage::Database;
use tool_catalogue::Host;
use web::{Authenticator as _, Json, Result, extract::PathName};

use crate::state::Tools;

/// All that is not unreserved (RFC 3986, section 2.3): a client compares the resource with the address it asked, letter by letter.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The gateway as a protected resource (RFC 9728, section 2).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProtectedResource))]
pub(crate) struct Metadata {
    resource: String,
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    authorization_servers: [String; 1],
    scopes_supported: Vec<String>,
    resource_name: &'static str,
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    bearer_methods_supported: [&'static str; 1],
}

/// Describes the gateway to OAuth clients (RFC 9728).
///
/// 404 while the installation does not know its address.
#[cfg_attr(test, utoipa::path(
    get, path = "/.well-known/oauth-protected-resource/mcp", tag = "Gateway", operation_id = "getProtectedResource",
    responses(
        (status = 200, description = "The metadata.", body = Metadata),
        (status = 404, description = "`not_found`: the installation does not know its address."),
    ),
))]
pub(crate) async fn all<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    headers: HeaderMap,
) -> Result<Json<Metadata>> {
    metadata(&tools, &headers, None)
}

/// The same at the address that clients ask first.
#[cfg_attr(test, utoipa::path(
    get, path = "/.well-known/oauth-protected-resource", tag = "Gateway", operation_id = "getFirstProtectedResource",
    responses(
        (status = 200, description = "The metadata of `/mcp`.", body = Metadata),
        (status = 404, description = "`not_found`: the installation does not know its address."),
    ),
))]
pub(crate) async fn first<D: Database + 'static, H: Host>(
    tools: State<Tools<D, H>>,
    headers: HeaderMap,
) -> Result<Json<Metadata>> {
    all(tools, headers).await
}

/// Describes one server behind the gateway to OAuth clients (RFC 9728).
#[cfg_attr(test, utoipa::path(
    get, path = "/.well-known/oauth-protected-resource/mcp/{server}", tag = "Gateway", operation_id = "getProtectedResourceOfServer",
    params(("server" = String, Path, description = "The server's name.")),
    responses((status = 200, description = "The metadata.", body = Metadata)),
))]
pub(crate) async fn one<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    PathName(server): PathName,
    headers: HeaderMap,
) -> Result<Json<Metadata>> {
    metadata(&tools, &headers, Some(&server))
}

fn metadata<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    headers: &HeaderMap,
    server: Option<&str>,
) -> Result<Json<Metadata>> {
    let here = tools.app().site().address(headers).ok_or_else(|| {
        let detail = "This installation does not know its address. An administrator can set the variable public_url.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    })?;
    Ok(Json(Metadata {
        resource: format!("{here}{}", path(server)),
        authorization_servers: [here],
        scopes_supported: Scopes::of_gateway().permissions().map(ToString::to_string).collect(),
        resource_name: "Edge Assistant",
        bearer_methods_supported: ["header"],
    }))
}

/// Where the metadata of an endpoint is (RFC 9728, section 3.1); `None` when nobody knows our address.
pub(crate) fn url<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    headers: &HeaderMap,
    server: Option<&str>,
) -> Option<String> {
    let here = tools.app().site().address(headers)?;
    Some(format!("{here}/.well-known/oauth-protected-resource{}", path(server)))
}

/// Whether an endpoint is at the path that a token opens, or below it: a token for `/mcp` opens the servers behind it one by one, too.
pub(crate) fn is_within(server: Option<&str>, resource: &str) -> bool {
    resource == path(None) || resource == path(server)
}

fn path(server: Option<&str>) -> String {
    server.map_or_else(|| "/mcp".to_owned(), |server| format!("/mcp/{}", utf8_percent_encode(server, RESERVED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_one_server_opens_no_other_and_one_for_all_opens_each() {
        assert!(is_within(None, "/mcp") && is_within(Some("clock"), "/mcp") && is_within(Some("clock"), "/mcp/clock"));
        assert!(!is_within(None, "/mcp/clock") && !is_within(Some("mail"), "/mcp/clock") && !is_within(None, ""));
    }

    #[test]
    fn a_servers_name_stands_in_its_address_as_a_client_writes_it_and_adds_nothing() {
        assert_eq!((path(None).as_str(), path(Some("my-wiki_2.0")).as_str()), ("/mcp", "/mcp/my-wiki_2.0"));
        assert_eq!(path(Some("a\", Basic realm=\"b")), "/mcp/a%22%2C%20Basic%20realm%3D%22b");
    }
}
