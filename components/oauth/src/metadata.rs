//! `/.well-known/oauth-authorization-server`: what this server can do (RFC 8414).

use axum::extract::State;
use http::HeaderMap;
use permissions::Scopes;
use serde::Serialize;
use storage::Database;
use web::{Json, Result};

use crate::{document::Documents, routes::OAuth};

/// RFC 8414, section 2; `authorization_response_iss_parameter_supported` is RFC 9207's, `client_id_metadata_document_supported` the draft's.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AuthorizationServerMetadata))]
pub(crate) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
    revocation_endpoint: String,
    scopes_supported: Vec<String>,
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    response_types_supported: [&'static str; 1],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    response_modes_supported: [&'static str; 1],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    grant_types_supported: [&'static str; 2],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    token_endpoint_auth_methods_supported: [&'static str; 1],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
}

/// Describes the authorization server of the gateway (RFC 8414).
///
/// 404 while the installation does not know its address.
#[cfg_attr(test, utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", tag = "Programs that sign in", operation_id = "getAuthorizationServer",
    responses(
        (status = 200, description = "What it can do.", body = Metadata),
        (status = 404, description = "`not_found`: the installation does not know its address."),
    ),
))]
pub(crate) async fn read<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    headers: HeaderMap,
) -> Result<Json<Metadata>> {
    let here = oauth.address(&headers)?;
    Ok(Json(Metadata {
        authorization_endpoint: format!("{here}/oauth/authorize"),
        token_endpoint: format!("{here}/oauth/token"),
        registration_endpoint: format!("{here}/oauth/register"),
        revocation_endpoint: format!("{here}/oauth/revoke"),
        issuer: here,
        scopes_supported: Scopes::of_gateway().permissions().map(ToString::to_string).collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: oauth.config.reads_documents,
    }))
}
