//! This installation as an OAuth client, for authorization servers that take its address as client id (draft-ietf-oauth-client-id-metadata-document).

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use oauth_client::ClientIdDocument;
use problem::Problem;
use storage::Database;
use tool_catalogue::Host;
use web::{Authenticator as _, Json, Result, extract::PathName};

use crate::{
    connections::{callback_address, document_address},
    state::Tools,
};

/// Describes this installation as an OAuth client of a server.
///
/// For authorization servers that take its address as client id. 404 without a public https address.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools/connections/client/{server}", tag = "Connections", operation_id = "getClientDocument",
    params(("server" = String, Path, description = "The server's name.")),
    responses(
        (status = 200, description = "The metadata of a client (RFC 7591, section 2).", body = serde_json::Value),
    ),
))]
pub(crate) async fn client<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    PathName(server): PathName,
    headers: HeaderMap,
) -> Result<Response> {
    let server = tools.server(&server).filter(|server| server.is_personal()).ok_or_else(Problem::not_found)?;
    let here_at = tools.app().site().address(&headers).ok_or_else(Problem::not_found)?;
    let (client_id, redirect_uri) =
        (document_address(&here_at, &server.name), callback_address(&here_at, &server.name));
    let client_id = client_id.ok_or_else(Problem::not_found)?;
    Ok(Json::<_>(ClientIdDocument::at(&client_id, &redirect_uri)).into_response())
}
