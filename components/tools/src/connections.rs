//! What people connect to servers elsewhere, each for themselves: `/api/tools/connections`. How tokens are used afterwards is in `access_tokens.rs`.
//!
//! An attempt belongs to the session and to the browser that began it: whoever comes back with its state must have the browser's cookie, so nobody can
//! be made to finish the attempt of somebody else, and with it connect that one's account.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use cookie::{Cookie, SameSite, time::Duration};
use domain::{Id, Timestamp};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, uri::Scheme};
use mcp::ClientError;
use network_address::is_public_host;
use oauth_client::{Attempt, Authority, Begun, Challenge, OAuthError, Us, begin, state_hash};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use permissions::table::{ToolsManage, ToolsRead};
use problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{
    Database,
    audit::AuditEvent,
    rate_limits::Limit,
    tool_connections::{ConnectionProblem, MAX_CONNECTIONS, NewAttempt, NewConnection, ToolConnection, part},
};
use tool_catalogue::{Host, Server, listing_of};
use web::{
    Allowed, Authenticator as _, Inside, Json, Query, Result,
    extract::PathName,
    inside::Auth,
    log::{Level, log},
};

use crate::{
    access_tokens::{Sealed, open, revoke},
    config::COMPONENT,
    connected_lists::{ask_again, problem_words},
    state::{Tools, here},
};

/// Where authorization servers send people back to, and behind it the server's name: one that means harm could else be sent the code of another
/// (RFC 9700, section 4.4.2.2).
pub(crate) const CALLBACK: &str = "/api/tools/connections/callback";
/// Where they read who we are, and behind it the server's name.
pub(crate) const CLIENT: &str = "/api/tools/connections/client";
/// The page that a person comes back to.
const PAGE: &str = "/settings/tools";
/// The beginning of the cookie of the browser that began an attempt; the server's name follows.
const COOKIE: &str = "ea_connect_";
/// How long a person may take to log in there and to agree.
const LIFETIME_S: i64 = 15 * 60;
/// Attempts of a person in a minute: each is several requests to somebody else's server.
const ATTEMPTS_PER_MINUTE: u32 = 10;
/// Connections that are revoked at once when an account is erased.
const AT_ONCE: usize = 8;
/// A server's name, in JSON.
const MAX_BODY_BYTES: usize = 1024;
/// The longest words of an authorization server that are shown.
const MAX_WORDS_CHARS: usize = 200;

/// What is said of a connection whose server is no longer configured for people to connect it.
const NOT_CONFIGURED: &str =
    "This server is no longer one that people connect here. Disconnect it to revoke what you gave it.";

/// The servers elsewhere that each person connects for themselves.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ConnectionList {
    items: Vec<ConnectionBody>,
}

/// How far a connection is.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
enum ConnectionState {
    NotConnected,
    Connected,
    /// It must be connected again.
    Lost,
    /// It works, and a call needed more than it allows.
    MoreAccess,
}

/// A server elsewhere, and how far the caller has connected it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Connection, example = json!({"server": "wiki", "host": "wiki.example.com", "state": "connected", "message": null, "connected_at": "2026-01-01T12:00:00.000Z"})))]
struct ConnectionBody {
    server: String,
    /// The host that the person gives access to.
    host: String,
    state: ConnectionState,
    /// What to do, if there is something to be done.
    message: Option<&'static str>,
    connected_at: Option<Timestamp>,
}

impl ConnectionBody {
    /// `problem`: why the connection cannot be used as it is.
    fn new(server: &str, url: &Uri, connection: Option<&ToolConnection>, problem: Option<ConnectionProblem>) -> Self {
        Self {
            server: server.to_owned(),
            host: url.host().unwrap_or_default().to_owned(),
            state: match (connection, problem) {
                (None, _) => ConnectionState::NotConnected,
                (_, None) => ConnectionState::Connected,
                (_, Some(ConnectionProblem::Lost)) => ConnectionState::Lost,
                (_, Some(ConnectionProblem::MoreAccess)) => ConnectionState::MoreAccess,
            },
            message: problem.map(problem_words),
            connected_at: connection.map(|connection| connection.connected_at),
        }
    }
}

/// Lists the servers elsewhere that the caller can connect.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools/connections", tag = "Connections", operation_id = "listConnections",
    responses(
        (status = 200, description = "The servers, and how far the caller is.", body = ConnectionList),
    ),
))]
pub(crate) async fn list<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsRead>,
) -> Result<Json<ConnectionList>> {
    let user_id = session.user_id();
    let listed = tools.listed().await?;
    let connections = tools.store().tool_connections(user_id).await?;
    let keys = if connections.is_empty() { None } else { tools.store().secrets_key_to_read(user_id).await? };
    // A token that cannot be read is as lost as one that is not taken, until the key is back.
    let problem = |connection: &ToolConnection, url: &Uri| {
        let opened = open(keys.as_ref(), &connection.server, part::ACCESS, &connection.access_token);
        opened.map_or(Some(ConnectionProblem::Lost), |_| connection.problem_at(&url.to_string()))
    };
    let personal: Vec<&Server> = tools.config.servers.all.iter().filter(|server| server.is_personal()).collect();
    let body = |server: &&Server| {
        let connection = connections.iter().find(|connection| connection.server == server.name);
        let is_shown = connection.is_some() || server.oauth.is_some() || listed.sign_in.contains(&server.name);
        let problem = connection.and_then(|connection| problem(connection, server.url()));
        is_shown.then(|| ConnectionBody::new(&server.name, server.url(), connection, problem))
    };
    // What is no longer configured can still be disconnected.
    let is_left = |of: &&ToolConnection| personal.iter().all(|server| server.name != of.server);
    let left = connections.iter().filter(is_left).map(|of| {
        let url = of.url.parse().unwrap_or_default();
        let body = ConnectionBody::new(&of.server, &url, Some(of), Some(ConnectionProblem::Lost));
        ConnectionBody { message: Some(NOT_CONFIGURED), ..body }
    });
    Ok(Json(ConnectionList { items: personal.iter().filter_map(body).chain(left).collect() }))
}

/// The server that is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ConnectionRequest, example = json!({"server": "wiki"})))]
pub(crate) struct ServerName {
    server: String,
}

/// A connection that was begun.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = BegunConnection, example = json!({"authorization_url": "https://wiki.example.com/authorize?client_id=..."})))]
struct BegunBody {
    /// The page at which the person agrees.
    authorization_url: String,
}

/// Begins to connect a server, also to connect it again.
///
/// Sets a cookie with which the person's browser must come back within fifteen minutes.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/tools/connections", tag = "Connections", operation_id = "connect",
    request_body = ServerName,
    responses(
        (status = 200, description = "Where the person goes on.", body = BegunBody),
        (status = 409, description = "`no_public_url`: the installation does not know its address."),
        (status = 429, description = "`rate_limited`."),
        (status = 502, description = "`connection_failed`: `detail` says what is wrong with the server or its authorization server."),
    ),
))]
pub(crate) async fn connect<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    headers: HeaderMap,
    Json(ServerName { server }): Json<ServerName, MAX_BODY_BYTES>,
) -> Result<Response> {
    let unknown = || Problem::invalid_field("server", "There is no server of this name that people connect.");
    let server = tools.server(&server).filter(|server| server.is_personal()).ok_or_else(unknown)?;
    // A token of an earlier release says no session; the next one does.
    let session_id = session.session_id().ok_or_else(Problem::unauthenticated)?;
    let here_at = tools.app().site().address(&headers).ok_or_else(|| {
        let detail = "This installation does not know its address, to which people come back. An administrator can set the variable public_url.";
        Problem::new(StatusCode::CONFLICT, "no_public_url", detail)
    })?;
    let user_id = session.user_id();
    let limit = Limit::per_minute(format!("connections:{user_id}"), ATTEMPTS_PER_MINUTE);
    tools.store().take_rate(&[limit]).await?.map_err(|wait| {
        let detail = "You have tried to connect too often. Try again in a minute.";
        Problem::rate_limited(detail, wait.0.div_ceil(1000))
    })?;
    let (begun, proof) = here(begun(&tools, server, user_id, &here_at)).await?;
    let keys = tools.store().secrets_key(user_id).await?;
    let attempt = serde_json::to_string(&begun.attempt).map_err(Problem::internal)?;
    let attempt = keys.seal(&server.name, part::ATTEMPT, &attempt).map_err(Problem::internal)?;
    let new = NewAttempt {
        server: &server.name,
        session_id,
        state_hash: &state_hash(&begun.state),
        proof_hash: &state_hash(&proof),
        attempt: &attempt,
    };
    tools.store().begin_connection(user_id, &new, LIFETIME_S.saturating_mul(1000)).await?;
    let mut response = Json::<_>(BegunBody { authorization_url: begun.url.into() }).into_response();
    set_cookie(&mut response, &server.name, &proof, LIFETIME_S, tools.app().site().is_https(&headers));
    Ok(response)
}

/// Finds the authorization server and makes the address that the person opens, and the secret of their browser.
async fn begun<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    here_at: &str,
) -> Result<(Begun, String)> {
    let earlier = tools.store().tool_connection(user_id, &server.name).await?;
    // Scopes that were asked for at another server say nothing here.
    let earlier = earlier.filter(|earlier| earlier.url == server.url().to_string());
    // Without its words, its metadata are looked for where they usually are.
    let challenge = match listing_of(tools.host(), server).await {
        Err(ClientError::Http { www_authenticate, .. }) => Challenge::read(www_authenticate.as_ref()),
        _ => Challenge::default(),
    };
    let (redirect_uri, document) = (callback_address(here_at, &server.name), document_address(here_at, &server.name));
    let us = Us {
        redirect_uri: &redirect_uri,
        document: document.as_deref(),
        registered: server.oauth.as_ref(),
        known_scope: earlier.as_ref().map_or("", |earlier| earlier.scope.as_str()),
    };
    let begun = begin(tools.host(), server.url(), &challenge, &us).await.map_err(|error| {
        let detail = format!("{} cannot be connected: {error}.{}", server.name, advice(&error));
        Problem::new(StatusCode::BAD_GATEWAY, "connection_failed", detail).with_cause(error)
    })?;
    let proof = oauth_client::secret().map_err(Problem::internal)?;
    Ok((begun, proof))
}

/// What to do about it, as far as there is something to be done here.
const fn advice(error: &OAuthError) -> &'static str {
    match error {
        OAuthError::Transport { cause: mcp::TransportError::NotAllowed(_), .. } => {
            " An administrator can allow its host with the variable remote_mcp_authorization_host."
        }
        OAuthError::NoRegistration | OAuthError::OtherServer { .. } => {
            " An administrator can put a client under \"oauth\" for it into remote_mcp_servers."
        }
        OAuthError::Transport { .. } | OAuthError::Status { .. } => " Try again later.",
        _ => " Its operator can mend that.",
    }
}

pub(crate) fn callback_address(here_at: &str, server: &str) -> String {
    format!("{here_at}{CALLBACK}/{}", encoded(server))
}

/// The address of the document about us, if authorization servers can read it: they want https, and a host that is public.
pub(crate) fn document_address(here_at: &str, server: &str) -> Option<String> {
    let address: Uri = here_at.parse().ok()?;
    let is_public = address.scheme() == Some(&Scheme::HTTPS) && address.host().is_some_and(is_public_host);
    is_public.then(|| format!("{here_at}{CLIENT}/{}", encoded(server)))
}

/// What comes back (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Returned {
    /// What the attempt was begun with.
    #[serde(default)]
    state: String,
    /// What is exchanged for tokens.
    #[serde(default)]
    code: String,
    /// Who sends it.
    #[serde(default)]
    iss: Option<String>,
    /// Why there is no code.
    #[serde(default)]
    error: Option<String>,
}

/// Takes a person back who agreed.
///
/// The authorization server sends the browser here, and it goes on to the page, which says what came of it: `?connected=` and the server, or
/// `?connection_failed=` with `denied`, `expired`, `refused`, `too_many` or `unavailable`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/tools/connections/callback/{server}", tag = "Connections", operation_id = "comeBackFromServer",
    params(("server" = String, Path, description = "The server's name."), Returned),
    responses(
        (status = 303, description = "To the page."),
    ),
))]
pub(crate) async fn callback<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    PathName(server): PathName,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
) -> Result<Response> {
    let is_https = tools.app().site().is_https(&headers);
    let proof = web::session::cookie(&headers, &cookie_name(&server, is_https)).unwrap_or_default();
    let (state, proof) = (state_hash(&returned.state), state_hash(&proof));
    let taken = tools.store().take_connection_attempt(&server, &state, &proof).await?;
    let is_taken = taken.is_some();
    let page = match taken {
        None => "connection_failed=expired".to_owned(),
        Some(taken) => {
            let name = encoded(&server);
            let finished = here(finished(&tools, taken.user_id, &server, &taken.attempt, returned)).await;
            let (outcome, page) = match finished {
                Ok(()) => ("ok", format!("connected={name}")),
                Err(Unfinished { code, cause }) => {
                    let fields = json!({ "server": server, "code": code, "cause": cause });
                    log(COMPONENT, Level::Warn, "a server was not connected", fields);
                    (code, format!("connection_failed={code}&server={name}"))
                }
            };
            audit(&tools, taken.user_id, "connection.set", &server, outcome).await?;
            page
        }
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(&format!("{PAGE}?{page}")).map_err(Problem::internal)?;
    response.headers_mut().insert(header::LOCATION, location);
    // What is in this address is nobody else's business.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Whoever leads a browser here with another state must not end its attempt.
    if is_taken {
        set_cookie(&mut response, &server, "", 0, is_https);
    }
    Ok(response)
}

/// Why nothing was connected: a code for the page, and what the operator reads.
struct Unfinished {
    code: &'static str,
    cause: String,
}

impl Unfinished {
    fn ours(cause: impl ToString) -> Self {
        Self { code: "unavailable", cause: cause.to_string() }
    }
}

/// Exchanges the code and keeps what comes of it.
async fn finished<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    server: &str,
    sealed: &str,
    returned: Returned,
) -> std::result::Result<(), Unfinished> {
    let configured = tools.server(server).filter(|server| server.is_personal());
    let configured = configured.ok_or_else(|| Unfinished::ours("it is no longer configured"))?;
    let keys = tools.store().secrets_key(user_id).await.map_err(Unfinished::ours)?;
    let attempt = open(Some(&keys), server, part::ATTEMPT, sealed).map_err(Unfinished::ours)?;
    let attempt: Attempt = serde_json::from_str(&attempt).map_err(Unfinished::ours)?;
    let refused = |error: OAuthError| Unfinished { code: "refused", cause: error.to_string() };
    attempt.check_issuer(returned.iss.as_deref()).map_err(refused)?;
    if let Some(error) = returned.error {
        let code = if error == "access_denied" { "denied" } else { "refused" };
        return Err(Unfinished { code, cause: error.chars().take(MAX_WORDS_CHARS).collect() });
    }
    let (authority, tokens) = attempt.finish(tools.host(), &returned.code).await.map_err(refused)?;
    let sealed = Sealed::new(&keys, server, &tokens).map_err(Unfinished::ours)?;
    let authority = serde_json::to_string(&authority).map_err(Unfinished::ours)?;
    let authority = keys.seal(server, part::AUTHORITY, &authority).map_err(Unfinished::ours)?;
    let new = NewConnection {
        server,
        url: &configured.url().to_string(),
        authority: &authority,
        tokens: sealed.as_new(),
        scope: tokens.scope.as_deref().unwrap_or_default(),
    };
    if !tools.store().set_tool_connection(user_id, &new).await.map_err(Unfinished::ours)? {
        return Err(Unfinished { code: "too_many", cause: format!("there are {MAX_CONNECTIONS} already") });
    }
    // Also where it has not refused anybody yet.
    tools.note_sign_in(configured).await;
    // So that the tools are there when the person looks for them.
    ask_again(tools, server, user_id, 0).await;
    Ok(())
}

/// Disconnects a server.
///
/// The tokens are revoked at its authorization server.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/tools/connections", tag = "Connections", operation_id = "disconnect",
    params(("server" = String, Query, description = "The server's name.")),
    responses(
        (status = 204, description = "There is no connection any more."),
    ),
))]
pub(crate) async fn disconnect<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    session: Allowed<ToolsManage>,
    Query(ServerName { server }): Query<ServerName>,
) -> Result<StatusCode> {
    let user_id = session.user_id();
    if let Some(gone) = tools.store().delete_tool_connection(user_id, &server).await? {
        // Beside: nobody waits for somebody else's server, and nothing that fails here keeps the tokens valid.
        let of = tools.clone();
        tools.host().spawn(async move { revoke_gone(&of, user_id, &gone).await });
        audit(&tools, user_id, "connection.delete", &server, "ok").await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /internal/connections/revoke`: revokes the tokens of everything that a person has connected, whose account is being erased. The rows go with the
/// account. What fails is logged and not tried again: nothing holds an erasure up.
pub(crate) async fn revoke_all<D: Database + 'static, H: Host>(
    State(tools): State<Tools<D, H>>,
    inside: Inside<Auth>,
) -> Result<StatusCode> {
    let user_id = inside.person()?;
    let connections = tools.store().tool_connections(user_id).await?;
    let revoked = connections.iter().map(|connection| revoke_gone(&tools, user_id, connection));
    here(stream::iter(revoked).buffer_unordered(AT_ONCE).collect::<()>()).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_gone<D: Database + 'static, H: Host>(tools: &Tools<D, H>, user_id: Id, gone: &ToolConnection) {
    let Ok(keys) = tools.store().secrets_key_to_read(user_id).await else { return };
    let opened = |name, sealed: &str| open(keys.as_ref(), &gone.server, name, sealed).ok();
    let Some(authority) = opened(part::AUTHORITY, &gone.authority) else { return };
    let Ok(authority) = serde_json::from_str::<Authority>(&authority) else { return };
    let refresh = gone.refresh_token.as_ref().and_then(|sealed| opened(part::REFRESH, sealed));
    let access = opened(part::ACCESS, &gone.access_token);
    revoke(tools, &gone.server, &authority, refresh.as_deref(), access.as_deref()).await;
}

/// With https, no other host of the same domain can set a cookie with this prefix (RFC 6265bis, section 4.1.3.2).
fn cookie_name(server: &str, is_https: bool) -> String {
    format!("{}{COOKIE}{}", if is_https { "__Host-" } else { "" }, encoded(server))
}

fn set_cookie(response: &mut Response, server: &str, value: &str, age_s: i64, is_https: bool) {
    let cookie = Cookie::build((cookie_name(server, is_https), value))
        // The prefix wants this.
        .path("/")
        .http_only(true)
        // The person comes back by a link of another site.
        .same_site(SameSite::Lax)
        .secure(is_https)
        .max_age(Duration::seconds(age_s));
    // Secrets are ASCII, so this always succeeds.
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

async fn audit<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    action: &str,
    server: &str,
    outcome: &str,
) -> Result<()> {
    let event = AuditEvent { outcome, ..AuditEvent::new(user_id, action, server) };
    Ok(tools.store().append_audit(&event).await?)
}
