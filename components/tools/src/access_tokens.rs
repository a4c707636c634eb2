//! Access tokens of people for servers elsewhere that they have connected: opened for one request, and refreshed before they expire, once for all
//! hosts. How a connection is made is in `connections.rs`.
//!
//! A refresh may replace the refresh token, so it is never broken off with the request that needed it: it runs beside, and everybody who waits for it,
//! here and at other hosts, looks into the database.

use std::{ops::RangeInclusive, time::Duration};

use cache::Clock;
use domain::Id;
use http::StatusCode;
use mcp::ClientError;
use oauth_client::{Authority, Challenge, Tokens, scopes_together};
use serde_json::json;
use storage::{
    Database,
    secrets::SecretsKey,
    tool_connections::{ConnectionProblem, NewTokens, Refresh, RefreshClaim, ToolConnection, part},
};
use tool_catalogue::{Host, Server};
use toolbox::CallFailure;
use vault::VaultError;
use web::log::{Level, log};
use zeroize::Zeroizing;

use crate::{config::COMPONENT, state::Tools};

/// How long before its end a token is replaced, unless a tenth of its life is shorter: longer than a call may take to reach its server.
const EARLY_MS: i64 = 60_000;
/// A token that is valid for this long is still used while somebody else replaces it.
const SPARE_MS: i64 = 10_000;
/// For how long after a refresh a token is not replaced because its server refuses it: a server that refuses new ones would have every call replace one.
const REFUSED_MS: i64 = 60_000;
/// For how long one instance refreshes: longer than a request to an authorization server may take.
const CLAIM_MS: i64 = 15_000;
/// How long a request waits for newer tokens: a little longer than a claim, so that another can follow one whose host died.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time between two looks, at first and in the end.
const LOOKS: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(500);
/// How often new tokens are written: together with the pauses longer than a database takes to change its host.
const WRITES: u32 = 30;
/// The time between two writes. Short, because the claim may have run out when the database is back: whoever claims then sends a used refresh token.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// A server as one person may ask it, and their connection to it, if they have one.
type Authorized = (Server, Option<ToolConnection>);

/// What came of asking a server for a person.
pub(crate) struct Asked<T> {
    /// The server, as it was asked.
    pub(crate) server: Server,
    /// `None`: the person has not connected it.
    pub(crate) connection: Option<ToolConnection>,
    pub(crate) answer: Result<T, ClientError>,
}

impl<T> Asked<T> {
    /// What is to be done about a refusal with 401 or 403. `None`: the answer says something else.
    pub(crate) fn refusal(&self) -> Option<CallFailure> {
        let Err(ClientError::Http { status, www_authenticate }) = &self.answer else { return None };
        let (name, is_connected) = (&self.server.name, self.connection.is_some());
        let words = match *status {
            StatusCode::UNAUTHORIZED if is_connected => format!(
                "{name} does not take the person's access at the moment; try again in a minute, and if that does not help, connect it again under Tools in the settings"
            ),
            StatusCode::UNAUTHORIZED if self.server.is_personal() => {
                format!("{name} requires a sign-in; connect it under Tools in the settings")
            }
            StatusCode::FORBIDDEN if is_connected && Challenge::read(www_authenticate.as_ref()).wants_more() => {
                format!("{name} wants more access for this; connect it again under Tools in the settings")
            }
            _ => return None,
        };
        Some(CallFailure::NotConfigured(words))
    }
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

/// Asks a server as this person may ask it: with their token if they have connected it, else as it is. A server that refuses a token has done nothing
/// yet, so it is asked once more with a newer one.
pub(crate) async fn with_token<D: Database + 'static, H: Host, T>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    ask: impl AsyncFn(&Server) -> Result<T, ClientError>,
) -> Result<Asked<T>, NoToken> {
    let (mut asked, mut connection) = authorized(tools, server, user_id).await?;
    // Boxed: it is large, and all around it would carry it.
    let mut answer = Box::pin(ask(&asked)).await;
    if let Err(ClientError::Http { status, www_authenticate }) = &answer
        && server.is_personal()
    {
        match (*status, &connection) {
            // It may list for everybody, and want a token only now.
            (StatusCode::UNAUTHORIZED, None) => tools.note_sign_in(server).await,
            (StatusCode::UNAUTHORIZED, Some(old))
                if old.refresh_token.is_some() && old.refreshed_ms_ago >= REFUSED_MS =>
            {
                (asked, connection) = Box::pin(refreshed(tools, server, user_id, old.clone())).await?;
                answer = Box::pin(ask(&asked)).await;
            }
            (StatusCode::FORBIDDEN, Some(connection)) => {
                let challenge = Challenge::read(www_authenticate.as_ref());
                if challenge.wants_more() {
                    let scope = scopes_together(&challenge.scope.unwrap_or_default(), &connection.scope);
                    note(tools, user_id, connection, ConnectionProblem::MoreAccess, &scope).await;
                }
            }
            _ => {}
        }
    }
    Ok(Asked { server: asked, connection, answer })
}

async fn authorized<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
) -> Result<Authorized, NoToken> {
    if !server.is_personal() {
        return Ok((server.clone(), None));
    }
    let found = tools.store().tool_connection(user_id, &server.name).await;
    let Some(connection) = found.map_err(|error| later(server, &error))? else {
        return Ok((server.clone(), None));
    };
    let is_early = is_early(&connection);
    let usable = opened(tools, server, user_id, connection.clone()).await?;
    if !is_early {
        return Ok(usable);
    }
    if connection.valid_for_ms.is_some_and(|ms| ms > SPARE_MS) {
        claim(tools, server, user_id, &connection).await?;
        return Ok(usable);
    }
    // Boxed, as it happens seldom and is large.
    Box::pin(refreshed(tools, server, user_id, connection)).await
}

/// Whether it is time to replace the token. One that cannot be replaced is used until its server refuses it.
fn is_early(connection: &ToolConnection) -> bool {
    let early_ms = EARLY_MS.min(connection.lifetime_ms.unwrap_or_default() / 10);
    connection.refresh_token.is_some() && connection.valid_for_ms.is_some_and(|ms| ms <= early_ms)
}

/// Notes what a connection lacks, unless it says so already. `scope` counts for more access.
pub(crate) async fn note<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    connection: &ToolConnection,
    problem: ConnectionProblem,
    scope: &str,
) {
    let ToolConnection { server, version, .. } = connection;
    let is_noted = |scope: &str| connection.scope.split_ascii_whitespace().any(|noted| noted == scope);
    if connection.problem == Some(problem) && scope.split_ascii_whitespace().all(is_noted) {
        return;
    }
    let message = match problem {
        ConnectionProblem::Lost => "a connection must be made again",
        ConnectionProblem::MoreAccess => "a call needs more access than its connection has",
    };
    let noted = tools.store().set_connection_problem(user_id, server, *version, problem, scope).await;
    let cause = noted.err().map(|error| error.to_string());
    log(COMPONENT, Level::Warn, message, json!({ "server": server, "cause": cause }));
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
    if connection.problem_at(&server.url().to_string()) == Some(ConnectionProblem::Lost) {
        return Err(NoToken::Lost(server.name.clone()));
    }
    let keys = tools.store().secrets_key_to_read(user_id).await.map_err(|error| later(server, &error))?;
    let token = open(keys.as_ref(), &server.name, part::ACCESS, &connection.access_token);
    let connected = token.ok().and_then(|token| server.connected(&token));
    match connected {
        Some(server) => Ok((server, Some(connection))),
        // The key is gone.
        None => Err(NoToken::Lost(server.name.clone())),
    }
}

/// Refreshes the tokens of a connection beside, unless somebody else does.
async fn claim<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    connection: &ToolConnection,
) -> Result<(), NoToken> {
    let claimed = tools.store().claim_token_refresh(user_id, &server.name, connection.version, CLAIM_MS).await;
    if let Some(claim) = claimed.map_err(|error| later(server, &error))? {
        let (of, connection) = (tools.clone(), connection.clone());
        tools.host().spawn(async move { refresh(&of, user_id, &connection, claim).await });
    }
    Ok(())
}

/// The server with a newer token than that of this connection. Waits for it, whoever makes it.
async fn refreshed<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    old: ToolConnection,
) -> Result<Authorized, NoToken> {
    let (host, version) = (tools.host(), old.version);
    let until = host.now().saturating_add(PATIENCE);
    let (mut current, mut look) = (old, *LOOKS.start());
    while current.version == version && current.problem != Some(ConnectionProblem::Lost) {
        // Also where the host of whoever claimed it died.
        if current.refresh != Refresh::Running {
            claim(tools, server, user_id, &current).await?;
        }
        if host.now() >= until {
            return Err(NoToken::Later(server.name.clone()));
        }
        Clock::sleep(host, look).await;
        look = look.saturating_mul(2).min(*LOOKS.end());
        let found = tools.store().tool_connection(user_id, &server.name).await;
        let found = found.map_err(|error| later(server, &error))?;
        current = found.ok_or_else(|| NoToken::Lost(server.name.clone()))?;
        // Whoever tried has ended it without an answer; the next time there may be one.
        let has_failed = current.refresh == Refresh::Idle && current.version == version;
        if has_failed && current.problem != Some(ConnectionProblem::Lost) {
            return Err(NoToken::Later(server.name.clone()));
        }
    }
    opened(tools, server, user_id, current).await
}

/// Refreshes the tokens of a connection that this instance has claimed, and keeps what comes of it.
async fn refresh<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    connection: &ToolConnection,
    claim: RefreshClaim,
) {
    let server = connection.server.as_str();
    let failed = |cause: &str| {
        let fields = json!({ "server": server, "cause": cause });
        log(COMPONENT, Level::Error, "a person's token cannot be renewed", fields);
    };
    match newer(tools, user_id, connection).await {
        Ok(new) => {
            if let Err(cause) = keep(tools, user_id, server, claim, new).await {
                failed(&cause);
            }
        }
        Err(Failed::Final(cause)) => {
            failed(&cause);
            note(tools, user_id, connection, ConnectionProblem::Lost, "").await;
        }
        Err(Failed::Later(cause)) => {
            failed(&cause);
            // If this fails too, the claim is over in some seconds.
            let _ = tools.store().end_token_refresh(user_id, server, claim).await;
        }
    }
}

/// Writes new tokens, which are the only ones that are still valid: it is tried for some time. If the connection is gone meanwhile, they are revoked.
async fn keep<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    server: &str,
    claim: RefreshClaim,
    New { keys, authority, tokens }: New,
) -> Result<(), String> {
    let sealed = Sealed::new(&keys, server, &tokens).map_err(|error| error.to_string())?;
    let mut cause = String::new();
    for write in 0..WRITES {
        if write > 0 {
            Clock::sleep(tools.host(), WRITE_PAUSE).await;
        }
        match tools.store().set_refreshed_tokens(user_id, server, claim, sealed.as_new()).await {
            Ok(true) => return Ok(()),
            Ok(false) => {
                // A row with other tokens has these already, or those of a newer connection.
                if let Ok(None) = tools.store().tool_connection(user_id, server).await {
                    revoke(tools, server, &authority, tokens.refresh.as_deref(), Some(&*tokens.access)).await;
                }
                return Ok(());
            }
            Err(error) => cause = error.to_string(),
        }
    }
    Err(cause)
}

/// Revokes tokens, as far as their server takes that.
pub(crate) async fn revoke<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &str,
    authority: &Authority,
    refresh: Option<&String>,
    access: Option<&String>,
) {
    for (kind, token) in [("refresh_token", refresh), ("access_token", access)] {
        let Some(token) = token else { continue };
        if let Err(error) = authority.revoke(tools.host(), kind, token).await {
            let fields = json!({ "server": server, "cause": error.to_string() });
            log(COMPONENT, Level::Warn, "a token cannot be revoked at its server", fields);
        }
    }
}

/// Newer tokens, and where they are from.
struct New {
    keys: SecretsKey,
    authority: Authority,
    tokens: Tokens,
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
) -> Result<New, Failed> {
    // What this installation cannot read now, it may read later: the key may come back.
    let later = |cause: &dyn std::error::Error| Failed::Later(cause.to_string());
    let keys = tools.store().secrets_key_to_read(user_id).await.map_err(|error| later(&error))?;
    let keys = keys.ok_or_else(|| later(&VaultError::NoKey))?;
    let Some(sealed) = &connection.refresh_token else {
        return Err(Failed::Final("the authorization server gave no refresh token".to_owned()));
    };
    let opened = |part, sealed: &str| open(Some(&keys), &connection.server, part, sealed);
    let refresh = opened(part::REFRESH, sealed).map_err(|error| later(&error))?;
    let authority = opened(part::AUTHORITY, &connection.authority).map_err(|error| later(&error))?;
    let authority: Authority = serde_json::from_str(&authority).map_err(|error| later(&error))?;
    match authority.refreshed(tools.host(), &refresh).await {
        Ok(tokens) => Ok(New { keys, authority, tokens }),
        Err(error) if error.is_final() => Err(Failed::Final(error.to_string())),
        Err(error) => Err(later(&error)),
    }
}

/// Opens a part of a connection.
pub(crate) fn open(
    keys: Option<&SecretsKey>,
    server: &str,
    name: &str,
    sealed: &str,
) -> Result<Zeroizing<String>, VaultError> {
    keys.ok_or(VaultError::NoKey)?.open(server, name, sealed)
}

/// Tokens, encrypted for a person.
pub(crate) struct Sealed {
    access: String,
    refresh: Option<String>,
    valid_for_ms: Option<i64>,
}

impl Sealed {
    pub(crate) fn new(keys: &SecretsKey, server: &str, tokens: &Tokens) -> Result<Self, VaultError> {
        let seal = |name, text: &str| keys.seal(server, name, text);
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
