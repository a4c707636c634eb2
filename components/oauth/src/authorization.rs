//! A program asks for access, and its person decides: `/oauth/authorize` for the browser, `/oauth/authorization` for the page where they decide.
//!
//! The request is checked once and then signed ([`identity::signed_text`]), so what the person saw is what they allow, and nothing is stored before.
//! A decision is never remembered for the next request: whoever runs on the same machine could pretend to be a program that was let in (RFC 8252,
//! section 8.6), and a program that was let in keeps its refresh token.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use domain::{Id, Timestamp};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use identity::{grant_token::GrantToken, signed_text::Use};
use permissions::{Scopes, scopes::MAX_SCOPES_BYTES, table::GatewayUse};
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, grants::NewGrant, rate_limits::Limit, sessions::TokenHashes};
use url::Url;
use web::{
    Allowed, Error, Json, Query, Result,
    log::{Level, log},
};

use crate::{
    COMPONENT,
    client::{Client, is_on_this_computer, redirect_place, with_parameters},
    document::{self, Documents},
    grants::record,
    refusal::Refusal,
    registration::registered,
    routes::OAuth,
};

/// The page on which a person decides.
const PAGE: &str = "/authorize";
/// RFC 6749, section 4.1.2, recommends at most ten minutes. A program exchanges its code at once.
const CODE_LIFETIME_MS: i64 = 60 * 1000;
/// A person may have to sign in first, and find their second factor.
const DECISION_MS: i64 = 60 * 60 * 1000;
/// Programs send some random letters, or a sealed note to themselves.
const MAX_STATE_BYTES: usize = 2048;
/// A name in a path, of a tool server.
const MAX_RESOURCE_BYTES: usize = 256;
/// Documents that a person has requested in a minute: more than anybody connects programs.
const DOCUMENTS_PER_MINUTE: u32 = 20;

/// What a program asks for, in the query (RFC 6749, section 4.1.1; RFC 7636, section 4.3; RFC 8707, section 2).
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct AuthorizationRequest {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    response_mode: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    resource: Option<String>,
}

/// An authorization request that was checked, as it is signed.
#[derive(Serialize, Deserialize)]
struct CheckedRequest {
    client_id: String,
    client_name: String,
    client_host: Option<String>,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: String,
    resource: String,
    scopes: String,
    issuer: String,
    expires_at_ms: i64,
}

/// An error for the program (RFC 6749, section 4.1.2.1). The person decides whether they go back there with it: everybody may register with any https
/// address, so a link to this server must not lead there by itself (RFC 9700, section 4.11.2).
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AuthorizationError))]
pub(crate) struct ErrorResponse {
    redirect_to: String,
    /// A host, or "this computer".
    redirect_host: String,
    /// What is wrong, for the person.
    reason: String,
}

/// 400, for the person alone: nobody knows whether the redirect is the program's.
fn refused(code: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Problem::new(StatusCode::BAD_REQUEST, code, detail).into()
}

fn too_long() -> Error {
    refused("invalid_request", "The program's request is too long. Tell its maker.")
}

impl AuthorizationRequest {
    /// Checks a request of a program, in the installation at this address. The inner error is for the program, the outer one for the person alone.
    fn checked(self, client: Client, here: &str, now: Timestamp) -> Result<Result<CheckedRequest, ErrorResponse>> {
        let redirect_uri = match self.redirect_uri {
            Some(uri) if client.may_redirect_to(&uri) => uri,
            // RFC 6749, section 3.1.2.3: it may be left out if there is only one.
            None if client.redirect_uris.len() == 1 => client.redirect_uris.into_iter().next().unwrap_or_default(),
            _ => {
                let detail = "The program wants to be called back at an address that is not one of its own. Nothing was given to it. \
                              Connect it again; if that does not help, tell its maker.";
                return Err(refused("redirect_refused", detail));
            }
        };
        if self.state.as_ref().is_some_and(|state| state.len() > MAX_STATE_BYTES) {
            return Err(too_long());
        }
        let state = self.state;
        let for_program = |refusal: Refusal| {
            Ok(Err(ErrorResponse {
                redirect_to: response_uri(&redirect_uri, &parameters_of(&refusal), state.as_deref(), here),
                redirect_host: redirect_place(&redirect_uri),
                reason: refusal.description.into_owned(),
            }))
        };
        if self.response_type.as_deref() != Some("code") {
            return for_program(Refusal::new("unsupported_response_type", "Use the response_type code."));
        }
        if self.response_mode.is_some_and(|mode| mode != "query") {
            return for_program(Refusal::invalid_request("Use the response_mode query."));
        }
        if self.code_challenge_method.as_deref() != Some("S256") {
            return for_program(Refusal::invalid_request("PKCE with the code_challenge_method S256 is required."));
        }
        // The base64url of a SHA-256 (RFC 7636, section 4.2).
        let is_challenge = |text: &String| {
            text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let Some(code_challenge) = self.code_challenge.filter(is_challenge) else {
            return for_program(Refusal::invalid_request("The code_challenge is not the base64url of a SHA-256."));
        };
        let Some(resource) = resource_path(here, self.resource.as_deref()) else {
            let words = format!("The resource must be {here}/mcp, or {here}/mcp/ and the name of a tool server.");
            return for_program(Refusal::new("invalid_target", words));
        };
        let Some(scopes) = Scopes::of_gateway_among(self.scope.as_deref().unwrap_or_default()) else {
            let words =
                format!("The scopes have more than {MAX_SCOPES_BYTES} bytes. Ask for fewer, such as tools:call:*.");
            return for_program(Refusal::new("invalid_scope", words));
        };
        Ok(Ok(CheckedRequest {
            client_id: client.id,
            client_name: client.name,
            client_host: client.host,
            redirect_uri,
            state,
            code_challenge,
            resource,
            scopes: scopes.to_string(),
            issuer: here.to_owned(),
            expires_at_ms: now.as_millis() + DECISION_MS,
        }))
    }
}

/// The path of the gateway that a resource names (RFC 8707): all servers, or one. Without a resource, or with the installation's address, all.
pub(crate) fn resource_path(here: &str, resource: Option<&str>) -> Option<String> {
    let Some(resource) = resource else { return Some("/mcp".to_owned()) };
    // Parsed, so that scheme and host may have large letters, and the port may be named.
    let resource = Url::parse(resource).ok()?;
    let is_plain = resource.query().is_none()
        && resource.fragment().is_none()
        && resource.username().is_empty()
        && resource.password().is_none();
    if !is_plain || resource.origin() != Url::parse(here).ok()?.origin() {
        return None;
    }
    let path = resource.path().strip_suffix('/').unwrap_or(resource.path());
    let server = match path {
        "" | "/mcp" => return Some("/mcp".to_owned()),
        path => path.strip_prefix("/mcp/")?,
    };
    let is_name = !server.is_empty() && server.len() <= MAX_RESOURCE_BYTES && !server.contains('/');
    is_name.then(|| path.to_owned())
}

fn parameters_of(refusal: &Refusal) -> [(&str, &str); 2] {
    [("error", refusal.error), ("error_description", &refusal.description)]
}

/// The address to which a person is sent back (RFC 6749, section 4.1.2; `iss`: RFC 9207, section 2).
fn response_uri(redirect_uri: &str, parameters: &[(&str, &str)], state: Option<&str>, issuer: &str) -> String {
    let state = state.map(|state| ("state", state));
    let all: Vec<_> = parameters.iter().copied().chain(state).chain([("iss", issuer)]).collect();
    with_parameters(redirect_uri, &all)
}

fn unknown_client() -> Error {
    let detail = "This installation does not know the program that wants to sign in. Remove the connection in the program and add it again: \
                  it will register itself anew.";
    refused("client_unknown", detail)
}

/// Sends a person to the page where they decide about a program.
///
/// For the browser of a person whom a program sends (RFC 6749, section 4.1.1). Whatever was sent, it goes on to the page.
#[cfg_attr(test, utoipa::path(
    get, path = "/oauth/authorize", tag = "Programs that sign in", operation_id = "authorize",
    params(AuthorizationRequest),
    responses(
        (status = 303, description = "To the page."),
    ),
))]
pub(crate) async fn begin(uri: Uri) -> Result<Response> {
    let page = format!("{PAGE}?{}", uri.query().unwrap_or_default());
    let address = HeaderValue::from_bytes(page.as_bytes()).map_err(Problem::internal)?;
    let headers = [(header::LOCATION, address), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// What the page shows.
#[derive(Serialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ShownAuthorization))]
pub(crate) enum Shown {
    /// What the program wants.
    Consent {
        client_name: String,
        /// The host of the program's description; null if it only says of itself who it is.
        client_host: Option<String>,
        /// Where the person is sent back to: a host, or "this computer".
        redirect_host: String,
        /// Whether that is the person's own machine, where any program may say that it is this one.
        is_on_this_computer: bool,
        scopes: Vec<String>,
        resource: String,
        /// To be sent with the decision.
        request: String,
    },
    /// The program's request cannot be granted.
    Error(ErrorResponse),
}

/// Says what a program asks for.
///
/// With the query of `/oauth/authorize`. The metadata document of a client is requested here.
#[cfg_attr(test, utoipa::path(
    get, path = "/oauth/authorization", tag = "Programs that sign in", operation_id = "showAuthorization",
    params(AuthorizationRequest),
    responses(
        (status = 200, description = "What the person decides about, or an error for the program, which it gets if the person goes back there.", body = Shown),
        (status = 400, description = "`client_unknown`: nobody knows the program. `redirect_refused`: the address to go back to is not one of its own. `invalid_request`: the request is too long."),
        (status = 404, description = "`not_found`: the installation does not know its address."),
        (status = 429, description = "`rate_limited`: beyond twenty documents a minute."),
    ),
))]
pub(crate) async fn show<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    session: Allowed<GatewayUse>,
    headers: HeaderMap,
    Query(request): Query<AuthorizationRequest>,
) -> Result<Json<Shown>> {
    let here = oauth.address(&headers)?;
    let (issuer, now) = oauth.issuer().await?;
    let client_id = request.client_id.clone().unwrap_or_default();
    let client = if document::is_document_url(&client_id) && oauth.config.reads_documents {
        take_rate(&oauth, session.user_id()).await?;
        document::read(&oauth.documents, &client_id).await.map_err(|error| {
            // No more: the person may want to learn what answers inside the installation's network. The cause is in the log.
            let detail =
                "The program that wants to sign in is not known: its description could not be read. Tell its maker.";
            Problem::new(StatusCode::BAD_REQUEST, "client_unknown", detail).with_cause(error)
        })?
    } else {
        registered(&issuer, &client_id).ok_or_else(unknown_client)?
    };
    let request = match request.checked(client, &here, now)? {
        Ok(request) => request,
        Err(error) => return Ok(Json(Shown::Error(error))),
    };
    let text = serde_json::to_string(&request).map_err(Problem::internal)?;
    Ok(Json(Shown::Consent {
        redirect_host: redirect_place(&request.redirect_uri),
        is_on_this_computer: is_on_this_computer(&request.redirect_uri),
        scopes: request.scopes.split_whitespace().map(str::to_owned).collect(),
        client_name: request.client_name,
        client_host: request.client_host,
        resource: request.resource,
        request: issuer.sign_text(Use::AuthorizationRequest, &text)?.ok_or_else(too_long)?,
    }))
}

async fn take_rate<D: Database, F: Documents>(oauth: &OAuth<D, F>, user_id: Id) -> Result<()> {
    let limit = Limit::per_minute(format!("oauth-documents:{user_id}"), DOCUMENTS_PER_MINUTE);
    oauth.store().take_rate(&[limit]).await?.map_err(|wait| {
        let detail = "You have connected many programs at once. Try again in a minute.";
        Problem::rate_limited(detail, wait.0.div_ceil(1000)).into()
    })
}

/// A decision about a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = AuthorizationDecision, example = json!({"request": "...", "decision": "allow"})))]
pub(crate) struct Decide {
    /// As it was shown.
    request: String,
    /// `allow` or `deny`. Read as a string, so that an unknown decision is reported as a wrong field, not as a wrong body.
    #[cfg_attr(test, schema(pattern = "^(allow|deny)$"))]
    decision: String,
}

/// Where the person goes on.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DecidedAuthorization, example = json!({"redirect_to": "http://127.0.0.1/callback?code=...&iss=https%3A%2F%2Fassistant.example.com"})))]
pub(crate) struct Decided {
    redirect_to: String,
}

/// Lets a program in, or not.
#[cfg_attr(test, utoipa::path(
    post, path = "/oauth/authorization", tag = "Programs that sign in", operation_id = "decideAuthorization",
    request_body = Decide,
    responses(
        (status = 200, description = "Where the person goes on, with a code or an error for the program.", body = Decided),
        (status = 400, description = "`request_expired`: an hour after it was shown."),
    ),
))]
pub(crate) async fn decide<D: Database, F: Documents>(
    State(oauth): State<OAuth<D, F>>,
    session: Allowed<GatewayUse>,
    Json(Decide { request, decision }): Json<Decide>,
) -> Result<Json<Decided>> {
    let (issuer, now) = oauth.issuer().await?;
    let request = issuer.verified_text(Use::AuthorizationRequest, &request);
    let request = request.and_then(|text| serde_json::from_str::<CheckedRequest>(&text).ok());
    let late = || {
        let detail = "This request has expired. Connect the program again.";
        Problem::new(StatusCode::BAD_REQUEST, "request_expired", detail)
    };
    let request = request.filter(|request| request.expires_at_ms > now.as_millis()).ok_or_else(late)?;
    let back = |parameters: &[(&str, &str)]| {
        response_uri(&request.redirect_uri, parameters, request.state.as_deref(), &request.issuer)
    };
    match decision.as_str() {
        "deny" => {
            let refusal = Refusal::new("access_denied", "The person did not let the program in.");
            Ok(Json(Decided { redirect_to: back(&parameters_of(&refusal)) }))
        }
        "allow" => {
            let code = GrantToken::new_code(Id::new())?;
            let hashes = TokenHashes { token: code.hash(), family: code.family_hash() };
            let grant = NewGrant {
                client_id: &request.client_id,
                client_name: &request.client_name,
                redirect_uri: &request.redirect_uri,
                code_challenge: &request.code_challenge,
                resource: &request.resource,
                scopes: &request.scopes,
            };
            let person = (session.user_id(), session.access_version());
            if !oauth.store().create_grant(code.session_id(), person, &hashes, grant, CODE_LIFETIME_MS).await? {
                return Err(Problem::unauthenticated().into());
            }
            // The program is let in already, so the decision stands. The next one tidies up.
            if let Err(error) = oauth.store().forget_ended_grants(session.user_id()).await {
                let cause = BTreeMap::from([("cause", error.to_string())]);
                log(COMPONENT, Level::Warn, "grants that ended long ago could not be deleted", cause);
            }
            let client = request.client_host.unwrap_or_else(|| redirect_place(&request.redirect_uri));
            record(&oauth, session.user_id(), "oauth.allow", code.session_id(), Some(&client)).await?;
            Ok(Json(Decided { redirect_to: back(&[("code", &code.to_string())]) }))
        }
        _ => Err(Problem::invalid_field("decision", "Decide with allow or deny.").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_gateway_or_one_server_behind_it() {
        let path = |resource: &str| resource_path("https://a.example", Some(resource));
        for (resource, expected) in [
            ("https://a.example", "/mcp"),
            ("https://a.example/", "/mcp"),
            ("https://a.example/mcp", "/mcp"),
            ("https://a.example/mcp/", "/mcp"),
            ("https://a.example/mcp/clock", "/mcp/clock"),
            ("https://a.example/mcp/clock/", "/mcp/clock"),
            ("HTTPS://A.example:443/mcp", "/mcp"),
        ] {
            assert_eq!(path(resource).as_deref(), Some(expected), "{resource}");
        }
        for other in [
            "",
            "/mcp",
            "https://a.example.evil.example/mcp",
            "https://a.example:8443/mcp",
            "https://a.example/api",
            "https://a.example/mcpx",
            "https://a.example/mcp/a/b",
            "https://a.example/mcp#x",
            "https://me@a.example/mcp",
            "https://a.example/mcp/x?y",
            "http://a.example/mcp",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
        assert_eq!(resource_path("https://a.example", None).as_deref(), Some("/mcp"));
    }
}
