//! `POST /oauth/register`: programs register themselves (RFC 7591). A registration is its `client_id`: what the program said, signed by this
//! installation. So nothing is stored for programs that nobody ever uses, nobody can fill a table, and every host knows every program.
//!
//! All programs are public clients: a secret that everybody can get proves nothing.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::Timestamp;
use http::{HeaderMap, StatusCode};
use identity::{Issuer, signed_text::Use};
use serde::{Deserialize, Serialize};
use storage::Database;
use web::{Json, Result};

use crate::{
    client::{Client, InvalidClient},
    document::Documents,
    limits,
    refusal::Refusal,
    routes::OAuth,
};

/// A `client_id` is in the address of each sign-in, so it must be short. One of a program with one redirect has about 150 bytes.
const MAX_CLIENT_ID_BYTES: usize = 4096;

/// What a program says of itself (RFC 7591, section 2), as far as it matters here.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ClientMetadata, example = json!({"redirect_uris": ["http://127.0.0.1/callback"], "client_name": "My editor"})))]
pub(crate) struct Metadata {
    /// Where people are sent back to: up to ten.
    redirect_uris: Option<Vec<String>>,
    /// Its name for people.
    client_name: Option<String>,
}

/// What is signed: as short as can be.
#[derive(Serialize, Deserialize)]
struct Registration {
    #[serde(rename = "n")]
    name: String,
    #[serde(rename = "r")]
    redirect_uris: Vec<String>,
}

/// A program that was registered (RFC 7591, section 3.2.1).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = RegisteredClient))]
struct Registered<'a> {
    /// The registration itself, signed.
    client_id: &'a str,
    /// In seconds since 1970.
    client_id_issued_at: i64,
    client_name: &'a str,
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    redirect_uris: &'a [String],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    grant_types: [&'static str; 2],
    #[cfg_attr(test, schema(value_type = Vec<String>))]
    response_types: [&'static str; 1],
    token_endpoint_auth_method: &'static str,
}

/// Registers a program (RFC 7591).
///
/// Nothing is stored: the `client_id` is the registration, signed. What else is sent is ignored, and `token_endpoint_auth_method` is always `none`.
#[cfg_attr(test, utoipa::path(
    post, path = "/oauth/register", tag = "Programs that sign in", operation_id = "registerClient",
    request_body = Metadata,
    responses(
        (status = 201, description = "The registration.", body = Registered<'_>),
        (status = 400, description = "`invalid_redirect_uri`, or `invalid_client_metadata`.", body = Refusal),
        (status = 429, description = "`temporarily_unavailable`: too many requests come from one address.", body = Refusal),
    ),
))]
pub(crate) async fn register<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    headers: HeaderMap,
    body: Result<Json<Metadata>>,
) -> Result<Response> {
    if let Some(refusal) = limits::take(&oauth, "register", &headers).await? {
        return Ok(refusal.into_response());
    }
    let Ok(Json(metadata)) = body else {
        let words = "Send client metadata as JSON of at most 16 KiB, with the header Content-Type: application/json.";
        return Ok(Refusal::new("invalid_client_metadata", words).into_response());
    };
    let (issuer, now) = oauth.issuer().await?;
    let uris = metadata.redirect_uris.unwrap_or_default();
    let client = match Client::new(String::new(), metadata.client_name.as_deref(), uris, None) {
        Ok(client) => client,
        Err(error @ InvalidClient::Name) => {
            return Ok(Refusal::new("invalid_client_metadata", error.to_string()).into_response());
        }
        Err(error) => return Ok(Refusal::new("invalid_redirect_uri", error.to_string()).into_response()),
    };
    let Some(client_id) = client_id(&issuer, &client)? else {
        let words = "The redirect_uris are too long together. Register fewer or shorter ones.";
        return Ok(Refusal::new("invalid_redirect_uri", words).into_response());
    };
    let registered = Registered {
        client_id: &client_id,
        client_id_issued_at: Timestamp::as_millis(now) / 1000,
        client_name: &client.name,
        redirect_uris: &client.redirect_uris,
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
    };
    Ok((StatusCode::CREATED, Json::<_>(registered)).into_response())
}

/// `None`: it would be too long.
fn client_id(issuer: &Issuer, client: &Client) -> Result<Option<String>> {
    let registration = Registration { name: client.name.clone(), redirect_uris: client.redirect_uris.clone() };
    let text = serde_json::to_string(&registration).map_err(problem::Problem::internal)?;
    let id = issuer.sign_text(Use::Registration, &text)?;
    Ok(id.filter(|id| id.len() <= MAX_CLIENT_ID_BYTES))
}

/// The program with this `client_id`; `None` if it was not registered here, or before the signing key was revoked.
pub(crate) fn registered(issuer: &Issuer, client_id: &str) -> Option<Client> {
    let text = issuer.verified_text(Use::Registration, client_id)?;
    let Registration { name, redirect_uris } = serde_json::from_str(&text).ok()?;
    Client::new(client_id.to_owned(), Some(&name), redirect_uris, None).ok()
}
