//! The tools as one person has them: those of everybody, and those of the servers that they have connected. A server's list for one person is asked
//! with their token, kept with their connection, and in nobody else's.

use std::{rc::Rc, time::Duration};

use domain::Id;
use http::StatusCode;
use mcp::{ClientError, Listing};
use send_wrapper::SendWrapper;
use serde_json::json;
use storage::{
    Database,
    tool_connections::{ConnectionProblem, ToolConnection},
};
use tool_catalogue::{Connected, Host, Listed, REMOTE_TTL_MS, Server, kept_for_person, listing_of};
use web::{
    Result,
    log::{Level, log},
};

use crate::{
    access_tokens::{note, with_token},
    config::COMPONENT,
    state::{Personal, Tools, here},
};

/// How long an instance remembers a person's tools: from one call of an answer to the next.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What a person reads about a connection.
pub(crate) const fn problem_words(problem: ConnectionProblem) -> &'static str {
    match problem {
        ConnectionProblem::Lost => {
            "The connection is lost: the server no longer takes what it was given. Connect it again to use its tools."
        }
        ConnectionProblem::MoreAccess => {
            "A call needed more access than you have given. Connect it again to give it; everything else goes on."
        }
    }
}

/// The tools as this person has them. What is old is asked for anew beside.
pub(crate) async fn listed_for<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
) -> Result<SendWrapper<Rc<Listed>>> {
    let shared = tools.listed().await?;
    // What nobody need connect, nobody has connected.
    if !tools.config.servers.all.iter().any(Server::is_personal) {
        return Ok(shared);
    }
    here(async {
        let connections = connections(tools, user_id).await?;
        if connections.is_empty() {
            return Ok(shared);
        }
        let is_old = |connection: &&ToolConnection| {
            connection.listed_ms_ago > REMOTE_TTL_MS && connection.problem != Some(ConnectionProblem::Lost)
        };
        for connection in connections.iter().filter(is_old) {
            let (of, server) = (tools.clone(), connection.server.clone());
            tools.host().spawn(async move { ask_again(&of, &server, user_id, REMOTE_TTL_MS).await });
        }
        let version = |of: &ToolConnection| (of.server.clone(), of.version, of.listing_version);
        let versions: Vec<_> = connections.iter().map(version).collect();
        let (now, personal) = (tools.host().now(), &tools.memory().personal);
        if let Some(known) = personal.borrow().get(&user_id, now)
            && Rc::ptr_eq(&known.shared, &shared)
            && known.connections == versions
        {
            return Ok(SendWrapper::new(Rc::clone(&known.listed)));
        }
        let lists = tools.store().connection_listings(user_id).await?;
        let listed = Rc::new(shared.for_person(&tools.config.servers.all, &connected(&connections, &lists)));
        let known = Personal { shared: shared.take(), connections: versions, listed: Rc::clone(&listed) };
        personal.borrow_mut().insert(user_id, known, now.saturating_add(REMEMBERED));
        Ok(SendWrapper::new(listed))
    })
    .await
}

/// A person's connections to servers that people still connect.
async fn connections<D: Database + 'static, H: Host>(tools: &Tools<D, H>, user_id: Id) -> Result<Vec<ToolConnection>> {
    let mut connections = tools.store().tool_connections(user_id).await?;
    connections.retain(|connection| is_configured(tools, connection));
    Ok(connections)
}

/// Whether it is a connection to a server that people still connect, at this address.
fn is_configured<D, H>(tools: &Tools<D, H>, connection: &ToolConnection) -> bool {
    let server = tools.server(&connection.server).filter(|server| server.is_personal());
    server.is_some_and(|server| connection.url == server.url().to_string())
}

fn connected<'a>(connections: &'a [ToolConnection], lists: &'a [(String, String)]) -> Vec<Connected<'a>> {
    let list_of = |server: &str| lists.iter().find(|(of, _)| of == server).map(|(_, listing)| listing.as_str());
    let connected = connections.iter().map(|of| Connected { server: &of.server, listing: list_of(&of.server) });
    connected.collect()
}

/// Asks a server for its list for this person, if that is older than `age_ms` and nobody else asks, and keeps it. What goes wrong leaves the last list,
/// and is told with it.
pub(crate) async fn ask_again<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &str,
    user_id: Id,
    age_ms: i64,
) {
    let Some(configured) = tools.server(server).filter(|server| server.is_personal()) else { return };
    let kept: Result<()> = async {
        if tools.store().claim_connection_listing(user_id, server, age_ms).await? {
            let ask = async |server: &Server| listing_of(tools.host(), server).await;
            match with_token(tools, configured, user_id, ask).await {
                Ok(asked) => {
                    let is_refused =
                        matches!(asked.answer, Err(ClientError::Http { status: StatusCode::UNAUTHORIZED, .. }));
                    let Some(of) = asked.connection else { return Ok(()) };
                    // A token that cannot be replaced, and with which the server does not even say what it has.
                    if is_refused && of.refresh_token.is_none() {
                        note(tools, user_id, &of, ConnectionProblem::Lost, "").await;
                    }
                    keep(tools, &asked.server, user_id, &of, asked.answer).await?;
                }
                Err(error) => {
                    let fields = json!({ "server": server, "cause": format!("{error:?}") });
                    log(COMPONENT, Level::Warn, "a connected server cannot be listed", fields);
                }
            }
        }
        Ok(())
    }
    .await;
    if let Err(error) = kept {
        let fields = json!({ "server": server, "cause": error.causes() });
        log(COMPONENT, Level::Warn, "the list of a connected server cannot be kept", fields);
    }
}

/// Keeps a list, and what of it the person's model may be told.
async fn keep<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
    of: &ToolConnection,
    answer: std::result::Result<Listing, ClientError>,
) -> Result<()> {
    let shared = tools.listed().await?;
    let connections = connections(tools, user_id).await?;
    let mut lists = tools.store().connection_listings(user_id).await?;
    let last = lists.iter().position(|(of, _)| *of == server.name).map(|at| lists.swap_remove(at).1);
    let (listing, ttl_ms) = kept_for_person(tools.host(), server, last.as_deref(), answer);
    lists.push((server.name.clone(), listing.clone()));
    let listed = shared.for_person(&tools.config.servers.all, &connected(&connections, &lists));
    let offers = serde_json::to_string(&listed.offerable_of(&server.name)).unwrap_or_else(|_| "[]".to_owned());
    let age_ms = REMOTE_TTL_MS.saturating_sub(ttl_ms);
    Ok(tools.store().set_connection_listing(user_id, of, &listing, &offers, age_ms).await?)
}
