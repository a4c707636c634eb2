//! The tools as one person has them: those of everybody, and those of the servers that they have connected. A server's list for one person is asked
//! with their token, kept with their connection, and in nobody else's.

use std::rc::Rc;

use domain::Id;
use mcp::ClientError;
use send_wrapper::SendWrapper;
use serde_json::json;
use storage::{
    Database,
    tool_connections::{ConnectionProblem, ToolConnection},
};
use tool_catalogue::{Connected, Host, Listed, Server, ask_connected};
use web::{
    Result,
    log::{Level, log},
};

use crate::{
    access_tokens::{Authorized, NoToken, authorized},
    config::COMPONENT,
    state::{Tools, here},
};

/// How old a list may be before it is asked for anew: as the catalogue has it for servers elsewhere.
const AGE_MS: i64 = 300_000;

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
    let servers = &tools.config.servers;
    if !servers.all.iter().any(Server::is_personal) {
        return Ok(shared);
    }
    here(async {
        let connections = tools.store().tool_connections(user_id).await?;
        if connections.is_empty() && shared.sign_in.is_empty() {
            return Ok(shared);
        }
        let is_old = |connection: &&ToolConnection| {
            connection.listed_ms_ago > AGE_MS && connection.problem != Some(ConnectionProblem::Lost)
        };
        for connection in connections.iter().filter(is_old) {
            let (of, server) = (tools.clone(), connection.server.clone());
            tools.host().spawn(async move { ask_again(&of, &server, user_id, AGE_MS).await });
        }
        Ok(SendWrapper::new(Rc::new(shared.for_person(&servers.all, &connected(&connections)))))
    })
    .await
}

fn connected(connections: &[ToolConnection]) -> Vec<Connected<'_>> {
    let connected = connections.iter().map(|connection| Connected {
        server: &connection.server,
        listing: connection.listing.as_deref(),
        problem: connection.problem.map(problem_words),
    });
    connected.collect()
}

/// Asks a server for its list for this person, if that is older than `age_ms` and nobody else asks, and keeps it. What goes wrong leaves the last list.
pub(crate) async fn ask_again<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &str,
    user_id: Id,
    age_ms: i64,
) {
    let failed = |cause: String| {
        log(COMPONENT, Level::Warn, "a connected server cannot be listed", json!({ "server": server, "cause": cause }));
    };
    let Some(configured) = tools.server(server).filter(|server| server.is_personal()) else { return };
    match tools.store().claim_connection_listing(user_id, server, age_ms).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return failed(error.to_string()),
    }
    match asked(tools, configured, user_id).await {
        Ok(listing) => {
            if let Err(error) = keep(tools, server, user_id, &listing).await {
                failed(error.causes().unwrap_or_default());
            }
        }
        Err(cause) => failed(configured.masked(&cause)),
    }
}

async fn asked<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &Server,
    user_id: Id,
) -> std::result::Result<String, String> {
    let words = |error: NoToken| format!("{error:?}");
    let mut way = authorized(tools, server, user_id).await.map_err(words)?;
    let mut answer = ask_connected(tools.host(), &way.server).await;
    if let Err(Some(error)) = &answer
        && let Some(newer) = way.renewed(tools, user_id, error).await.map_err(words)?
    {
        way = newer;
        answer = ask_connected(tools.host(), &way.server).await;
        lose_if_refused(tools, &way, user_id, answer.as_ref().err().and_then(Option::as_ref)).await;
    }
    answer.map_err(|error| {
        error.map_or_else(|| "no answer in time".to_owned(), |error| way.server.masked(&error.to_string()))
    })
}

/// Notes that a server takes not even a new token.
pub(crate) async fn lose_if_refused<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    way: &Authorized,
    user_id: Id,
    error: Option<&ClientError>,
) {
    if let Some(ClientError::Http { status: http::StatusCode::UNAUTHORIZED, .. }) = error {
        way.lose(tools, user_id).await;
    }
}

/// Keeps a list, and what of it the person's model may be told.
async fn keep<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    server: &str,
    user_id: Id,
    listing: &str,
) -> Result<()> {
    let shared = tools.listed().await?;
    let mut connections = tools.store().tool_connections(user_id).await?;
    for connection in connections.iter_mut().filter(|connection| connection.server == server) {
        connection.listing = Some(listing.to_owned());
    }
    let listed = shared.for_person(&tools.config.servers.all, &connected(&connections));
    let offers = serde_json::to_string(&listed.offerable_of(server)).unwrap_or_else(|_| "[]".to_owned());
    Ok(tools.store().set_connection_listing(user_id, server, listing, &offers).await?)
}
