//! Asks one server for its tools. Whatever the server does, there is a result to store.

use std::rc::Rc;

use cache::within;
use http::StatusCode;
use mcp::{ClientError, Listing, RefusedTool};
use serde_json::json;
use toolbox::catalog::mend;

use crate::{
    Host,
    fault::Fault,
    features::within_limits,
    kept::Kept,
    problems::{MAX_REFUSED_LOGGED, Problem, of_listing},
    server::{Server, close},
    timing::{ASK_LIMIT, MAX_REMOTE_TTL_MS, PAUSE_MS, REMOTE_TTL_MS, TTL_MS},
};

/// The list to store for a server, and how long it is valid. `last` is the server's previous list: an old list is better than none.
pub(crate) async fn ask<H: Host>(host: &H, server: &Server, last: Option<Kept>) -> (Kept, i64) {
    // Without a person there is no token, and what it lists without one is not what people get.
    let signs_in = || (Kept { fault: Some(Fault::SignIn), ..Kept::nothing() }, REMOTE_TTL_MS);
    if server.oauth.is_some() {
        return signs_in();
    }
    let (fault, cause) = match listing_of(host, server).await {
        Some(Ok(listing)) => return taken(host, server, listing),
        Some(Err(ClientError::Http { status: StatusCode::UNAUTHORIZED, .. })) if server.is_personal() => {
            return signs_in();
        }
        // The server's words may be long, and may repeat what we sent.
        Some(Err(error)) => {
            let cause = server.masked(&error.to_string());
            (Fault::new(&error, &cause), cause)
        }
        None => (Fault::Silent, "it did not answer in time".to_owned()),
    };
    // Not every answer should have to wait for a server that is down.
    let is_known = last.as_ref().is_some_and(|last| !last.tools.is_empty());
    let pause_ms = if is_known { PAUSE_MS } else { TTL_MS };
    let last = last.unwrap_or(Kept::nothing());
    let fields = json!({ "server": server.name, "cause": cause, "last_known_tools": last.tools.len() });
    host.log("a tool server cannot be listed", fields);
    (Kept { fault: Some(fault), ..last }, pause_ms)
}

/// The list that a connected server has for one person, to be stored for them ([`crate::Connected::listing`]).
///
/// # Errors
/// What the server answers instead. `None`: nothing in time.
pub async fn ask_connected<H: Host>(host: &H, server: &Server) -> Result<String, Option<ClientError>> {
    let listing = listing_of(host, server).await.ok_or(None)?.map_err(Some)?;
    let (kept, _) = taken(host, server, listing);
    serde_json::to_string(&kept).map_err(|error| Some(ClientError::Malformed(error.to_string())))
}

async fn listing_of<H: Host>(host: &H, server: &Server) -> Option<Result<Listing, ClientError>> {
    let client = Rc::new(server.client(host.clone()));
    let listed = within(host, ASK_LIMIT, client.list_tools()).await;
    close(host, client);
    listed
}

fn taken(host: &impl Host, server: &Server, mut listing: Listing) -> (Kept, i64) {
    let refused = &mut listing.refused;
    listing.tools.retain_mut(|tool| {
        let unfit = mend(tool).err();
        let left_out = unfit.map(|unfit| RefusedTool { name: tool.name.clone(), reason: unfit.to_string() });
        let is_fit = left_out.is_none();
        refused.extend(left_out);
        is_fit
    });
    for refused in listing.refused.iter().take(MAX_REFUSED_LOGGED) {
        let fields = json!({ "server": server.name, "tool": server.masked(&refused.name), "cause": server.masked(&refused.reason) });
        host.log("a tool is left out", fields);
    }
    let ttl_ms = if server.remote { remote_ttl_ms(&listing) } else { TTL_MS };
    let mut problems = of_listing(server, &listing);
    // What a server elsewhere says here is not of our adapter.
    let features = listing.features.filter(|_| !server.remote).unwrap_or_default();
    let (features, left_out) = within_limits(features);
    if let Some(left_out) = left_out {
        let fields = json!({ "server": server.name, "cause": left_out });
        host.log("resources and prompts of a tool server are left out", fields);
        problems.push(Problem::in_part(&server.name, &left_out));
    }
    (Kept { tools: listing.tools, mended: true, fault: None, problems, features }, ttl_ms)
}

fn remote_ttl_ms(listing: &Listing) -> i64 {
    let ttl_ms = listing.ttl_ms.map_or(REMOTE_TTL_MS, |ttl_ms| i64::try_from(ttl_ms).unwrap_or(i64::MAX));
    ttl_ms.clamp(TTL_MS, MAX_REMOTE_TTL_MS)
}
