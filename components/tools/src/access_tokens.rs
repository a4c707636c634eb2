//! Access tokens of people for servers elsewhere that they have connected: opened for one request, and refreshed before they expire, once for all
//! hosts. How a connection is made is in `connections.rs`.
//!
//! A refresh may replace the refresh token, so it is never broken off with the request that needed it: it runs beside, and everybody who waits for it,
//! here and at other hosts, looks into the database.

use std::time::Duration;

use cache::Clock;
use domain::Id;
use http::StatusCode;
use mcp::ClientError;
use oauth_client::{Authority, Challenge, Tokens, scopes_together};
use serde_json::json;
use storage::{
    Database,
    tool_connections::{ConnectionProblem, NewTokens, ToolConnection},
};
use tool_catalogue::{Host, Server};
use toolbox::CallFailure;
use vault::{Keys, Owner, VaultError};
use web::log::{Level, log};
use zeroize::Zeroizing;

use crate::{config::COMPONENT, keys, state::Tools};

/// How long before its end a token is replaced: longer than a call may take to reach its server.
const EARLY_MS: i64 = 60_000;
/// A token that is valid for this long is still used while somebody else replaces it.
const SPARE_MS: i64 = 10_000;
/// For how long one instance refreshes: longer than a request to an authorization server may take.
const CLAIM_MS: i64 = 15_000;
/// How long a request waits for newer tokens: a little longer than a claim, so that another can follow one whose host died.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// What a connection consists of, encrypted each by itself.
pub(crate) mod part {
    pub(crate) const AUTHORITY: &str = "connection\0authority";
    pub(crate) const ACCESS: &str = "connection\0access";
    pub(crate) const REFRESH: &str = "connection\0refresh";
    pub(crate) const ATTEMPT: &str = "connection\0attempt";
}

/// A server as one person may ask it.
pub(crate) struct Authorized {
    pub(crate) server: Server,
    /// `None`: nobody has connected it.
    connection: Option<ToolConnection>,
}

/// Why a person's token cannot be used.
#[derive(Debug)]
pub(crate) enum NoToken {
    /// It must be connected again.
    Lost(String),
    /// It may be possible later.
    Later(String),
}

impl From<NoToken> for CallFailure {
    fn from(error: NoToken) -> Self {
        match error {
            NoToken::Lost(server) => Self::NotConfigured(lost(&server)),
            NoToken::Later(server) => Self::Unreachable(format!(
                "the person's access to {server} could not be renewed; it is tried again with the next call"
            )),
        }
    }
}

/// What a person or a model is told of a connection that is lost.
fn lost(server: &str) -> String {
    format!("the connection to {server} is lost; connect it again under Tools in the settings")
}

/// The server as this person may ask it: with their token if they have connected it, else as it is.
pub(crate) async fn authorized<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
) -> Result<Authorized, NoToken> {
    if !server.is_personal() {
        return Ok(Authorized { server: server.clone(), connection: None });
    }
    let found = tools.store().tool_connection(user_id, &server.name).await;
    match found.map_err(|error| later(server, &error))? {
        None => Ok(Authorized { server: server.clone(), connection: None }),
        Some(connection) if is_early(&connection) => {
            let is_spare = connection.valid_for_ms.is_some_and(|ms| ms > SPARE_MS);
            // Boxed, as it happens seldom and is large.
            Box::pin(refreshed(tools, server, user_id, connection, is_spare)).await
        }
        Some(connection) => opened(tools, server, user_id, connection).await,
    }
}

/// Whether it is time to replace the token. One that cannot be replaced is used until its server refuses it.
fn is_early(connection: &ToolConnection) -> bool {
    connection.refresh_token.is_some()
        && connection.valid_for_ms.is_some_and(|ms| ms <= EARLY_MS)
        && connection.problem != Some(ConnectionProblem::Lost)
}

impl Authorized {
    /// What is to be done after this answer: the same request once more with a newer token, if the server did not take this one. Then it has done
    /// nothing yet.
    pub(crate) async fn renewed<D: Database + 'static, H: Host>(
        &self,
        tools: &Tools<D, H>,
        user_id: Id,
        error: &ClientError,
    ) -> Result<Option<Self>, NoToken> {
        let (Some(connection), ClientError::Http { status, www_authenticate }) = (&self.connection, error) else {
            return Ok(None);
        };
        let server = &self.server;
        match *status {
            StatusCode::UNAUTHORIZED => {
                Box::pin(refreshed(tools, server, user_id, connection.clone(), false)).await.map(Some)
            }
            StatusCode::FORBIDDEN => {
                let challenge = Challenge::read(www_authenticate.as_ref());
                if challenge.wants_more() {
                    let scope = scopes_together(&challenge.scope.unwrap_or_default(), &connection.scope);
                    let problem = ConnectionProblem::MoreAccess;
                    note(tools, server, user_id, connection.version, problem, &scope).await;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Notes that a server takes not even a token that was just made.
    pub(crate) async fn lose<D: Database + 'static, H: Host>(&self, tools: &Tools<D, H>, user_id: Id) {
        if let Some(connection) = &self.connection {
            let problem = ConnectionProblem::Lost;
            note(tools, &self.server, user_id, connection.version, problem, &connection.scope).await;
        }
    }
}

/// Words for a call that was refused with 401 or 403. `None`: the answer says something else.
pub(crate) fn refusal(server: &Server, is_connected: bool, error: &ClientError) -> Option<CallFailure> {
    let ClientError::Http { status, www_authenticate } = error else { return None };
    match *status {
        StatusCode::UNAUTHORIZED if is_connected => Some(NoToken::Lost(server.name.clone()).into()),
        StatusCode::UNAUTHORIZED if server.is_personal() => Some(CallFailure::NotConfigured(format!(
            "{} wants to know who asks; connect it under Tools in the settings",
            server.name
        ))),
        StatusCode::FORBIDDEN if is_connected && Challenge::read(www_authenticate.as_ref()).wants_more() => {
            Some(CallFailure::NotConfigured(format!(
                "{} wants more access for this; connect it again under Tools in the settings",
                server.name
            )))
        }
        _ => None,
    }
}

impl Authorized {
    /// Whether a person has connected it.
    pub(crate) const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }
}

async fn note<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    version: i64,
    problem: ConnectionProblem,
    scope: &str,
) {
    let noted = tools.store().set_connection_problem(user_id, &server.name, version, problem, scope).await;
    let cause = noted.err().map(|error| error.to_string());
    let fields = json!({ "server": server.name, "problem": format!("{problem:?}"), "cause": cause });
    log(COMPONENT, Level::Warn, "a connection must be made again", fields);
}

fn later(server: &Server, cause: &dyn std::error::Error) -> NoToken {
    let fields = json!({ "server": server.name, "cause": server.masked(&cause.to_string()) });
    log(COMPONENT, Level::Error, "a person's token cannot be had", fields);
    NoToken::Later(server.name.clone())
}

/// The server with the token of a connection.
async fn opened<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    connection: ToolConnection,
) -> Result<Authorized, NoToken> {
    // A name may be given to another server; the token is none of its business.
    if connection.problem == Some(ConnectionProblem::Lost) || connection.url != server.url().to_string() {
        return Err(NoToken::Lost(server.name.clone()));
    }
    let keys = keys::existing(tools).await.map_err(|error| later(server, &error))?;
    let token = open(keys.as_ref(), user_id, &server.name, part::ACCESS, &connection.access_token);
    let connected = token.ok().and_then(|token| server.connected(&token));
    match connected {
        Some(server) => Ok(Authorized { server, connection: Some(connection) }),
        // The key is gone.
        None => Err(NoToken::Lost(server.name.clone())),
    }
}

/// The server with a newer token than that of this connection. Waits for it, whoever makes it; if `is_spare`, the old one is used meanwhile.
async fn refreshed<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    old: ToolConnection,
    is_spare: bool,
) -> Result<Authorized, NoToken> {
    let (host, version) = (tools.host(), old.version);
    let until = host.now().saturating_add(PATIENCE);
    let mut current = old;
    loop {
        if current.version != version || current.problem == Some(ConnectionProblem::Lost) {
            return opened(tools, server, user_id, current).await;
        }
        if !current.is_refreshing {
            let claimed = tools.store().claim_token_refresh(user_id, &server.name, version, CLAIM_MS).await;
            if claimed.map_err(|error| later(server, &error))? {
                let (of, server, connection) = (tools.clone(), server.clone(), current.clone());
                host.spawn(async move { refresh(&of, &server, user_id, connection).await });
                current.is_refreshing = true;
            }
        }
        if is_spare {
            return opened(tools, server, user_id, current).await;
        }
        if host.now() >= until {
            return Err(NoToken::Later(server.name.clone()));
        }
        Clock::sleep(host, LOOK).await;
        let found = tools.store().tool_connection(user_id, &server.name).await;
        match found.map_err(|error| later(server, &error))? {
            Some(found) => {
                // Whoever tried has given up: no answer, which may be another one the next time.
                let has_failed = current.is_refreshing && !found.is_refreshing && found.version == version;
                if has_failed && found.problem != Some(ConnectionProblem::Lost) {
                    return Err(NoToken::Later(server.name.clone()));
                }
                current = found;
            }
            None => return Err(NoToken::Lost(server.name.clone())),
        }
    }
}

/// Refreshes the tokens of a connection that this instance has claimed, and keeps what comes of it.
async fn refresh<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    connection: ToolConnection,
) {
    let ToolConnection { version, scope, .. } = &connection;
    let end = match newer(tools, user_id, &connection).await {
        Ok((keys, tokens)) => {
            let sealed = Sealed::new(&keys, user_id, &server.name, &tokens);
            let kept = match &sealed {
                Ok(sealed) => {
                    let new = Some(sealed.as_new());
                    tools.store().end_token_refresh(user_id, &server.name, *version, new).await.map(drop)
                }
                Err(_) => Ok(()),
            };
            match (sealed, kept) {
                (Ok(_), Ok(())) => return,
                (Ok(_), Err(error)) => error.to_string(),
                (Err(error), _) => error.to_string(),
            }
        }
        Err(Failed::Final(cause)) => {
            let fields = json!({ "server": server.name, "cause": cause });
            log(COMPONENT, Level::Warn, "a person's token is not renewed any more", fields);
            return note(tools, server, user_id, *version, ConnectionProblem::Lost, scope).await;
        }
        Err(Failed::Later(cause)) => cause,
    };
    log(COMPONENT, Level::Error, "a person's token cannot be renewed", json!({ "server": server.name, "cause": end }));
    // If this fails too, the claim is over in some seconds.
    let _ = tools.store().end_token_refresh(user_id, &server.name, *version, None).await;
}

/// Why there are no newer tokens.
enum Failed {
    Final(String),
    Later(String),
}

async fn newer<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    connection: &ToolConnection,
) -> Result<(Keys, Tokens), Failed> {
    let final_ = |cause: &dyn std::error::Error| Failed::Final(cause.to_string());
    let keys = keys::existing(tools).await.map_err(|error| Failed::Later(error.to_string()))?;
    let keys = keys.ok_or_else(|| final_(&VaultError::NoKey))?;
    let Some(sealed) = &connection.refresh_token else {
        return Err(Failed::Final("the authorization server gave no refresh token".to_owned()));
    };
    let opened = |part, sealed: &str| open(Some(&keys), user_id, &connection.server, part, sealed);
    let refresh = opened(part::REFRESH, sealed).map_err(|error| final_(&error))?;
    let authority = opened(part::AUTHORITY, &connection.authority).map_err(|error| final_(&error))?;
    let authority: Authority = serde_json::from_str(&authority).map_err(|error| final_(&error))?;
    match authority.refreshed(tools.host(), &refresh).await {
        Ok(tokens) => Ok((keys, tokens)),
        Err(error) if error.is_final() => Err(final_(&error)),
        Err(error) => Err(Failed::Later(error.to_string())),
    }
}

/// Opens a part of a connection.
pub(crate) fn open(
    keys: Option<&Keys>,
    user_id: Id,
    server: &str,
    name: &str,
    sealed: &str,
) -> Result<Zeroizing<String>, VaultError> {
    keys.ok_or(VaultError::NoKey)?.open(&Owner { user_id: &user_id.to_string(), server, name }, sealed)
}

/// Tokens, encrypted for a person.
pub(crate) struct Sealed {
    access: String,
    refresh: Option<String>,
    valid_for_ms: Option<i64>,
}

impl Sealed {
    pub(crate) fn new(keys: &Keys, user_id: Id, server: &str, tokens: &Tokens) -> Result<Self, VaultError> {
        let user_id = user_id.to_string();
        let seal = |name, text: &str| keys.seal(&Owner { user_id: &user_id, server, name }, text);
        let lifetime = tokens.lifetime.map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        Ok(Self {
            access: seal(part::ACCESS, &tokens.access)?,
            refresh: tokens.refresh.as_ref().map(|token| seal(part::REFRESH, token)).transpose()?,
            valid_for_ms: lifetime,
        })
    }

    pub(crate) fn as_new(&self) -> NewTokens<'_> {
        NewTokens { access: &self.access, refresh: self.refresh.as_deref(), valid_for_ms: self.valid_for_ms }
    }
}
