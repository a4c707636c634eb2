//! Asks one server for its tools. Whatever the server does, there is a result to store.

use std::rc::Rc;

use cache::within;
use domain::Id;
use http::StatusCode;
use mcp::{ClientError, Era, Listing, RefusedTool, TransportError};
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
    let signs_in = || (Kept { signs_in: true, ..Kept::nothing() }, REMOTE_TTL_MS);
    if server.oauth.is_some() {
        return signs_in();
    }
    if let Some(tools) = server.own_tools() {
        let listing = Listing {
            tools,
            refused: Vec::new(),
            cut: None,
            ttl_ms: None,
            private: false,
            era: Era::Modern,
            server: None,
            instructions: None,
            features: None,
        };
        return taken(host, server, listing);
    }
    match listing_of(host, server).await {
        Ok(listing) => {
            let (kept, ttl_ms) = taken(host, server, listing);
            (Kept { signs_in: last.is_some_and(|last| last.signs_in), ..kept }, ttl_ms)
        }
        Err(ClientError::Http { status: StatusCode::UNAUTHORIZED, .. }) if server.is_personal() => signs_in(),
        Err(error) => {
            // Not every answer should have to wait for a server that is down.
            let is_known = last.as_ref().is_some_and(|last| !last.tools.is_empty());
            (faulty(host, server, last, &error), if is_known { PAUSE_MS } else { TTL_MS })
        }
    }
}

/// The last list, with why there is no newer one.
fn faulty<H: Host>(host: &H, server: &Server, last: Option<Kept>, error: &ClientError) -> Kept {
    // The server's words may be long, and may repeat what we sent.
    let cause = server.masked(&error.to_string());
    let (fault, last) = (Fault::new(error, &cause), last.unwrap_or(Kept::nothing()));
    let fields = json!({ "server": server.name, "cause": cause, "last_known_tools": last.tools.len() });
    host.log("a tool server cannot be listed", fields);
    Kept { fault: Some(fault), ..last }
}

/// The list that is stored for the person ([`crate::Connected::listing`]), and how long it is valid. `last` is what was stored before: it stays where
/// there is no newer one, with the reason.
#[must_use]
pub fn kept_for_person<H: Host>(
    host: &H,
    server: &Server,
    last: Option<&str>,
    answer: Result<Listing, ClientError>,
) -> (String, i64) {
    let (kept, ttl_ms) = match answer {
        Ok(listing) => (taken(host, server, listing).0, REMOTE_TTL_MS),
        Err(error) => {
            let last = last.and_then(|last| serde_json::from_str(last).ok());
            (faulty(host, server, last, &error), PAUSE_MS)
        }
    };
    // There is nothing in it that JSON has no form for.
    (serde_json::to_string(&kept).unwrap_or_default(), ttl_ms)
}

/// What a server answers when it is asked for its list: for one person, if it is [connected](Server::connected).
///
/// # Errors
/// As [`mcp::Client::list_tools`].
pub async fn listing_of<H: Host>(host: &H, server: &Server) -> Result<Listing, ClientError> {
    let client = Rc::new(server.client(host.clone(), None, &Id::new().to_string()).await);
    let listed = within(host, ASK_LIMIT, client.list_tools()).await;
    close(host, client);
    listed.unwrap_or(Err(ClientError::Transport(TransportError::TimedOut)))
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
    (Kept { tools: listing.tools, problems, features, ..Kept::nothing() }, ttl_ms)
}

fn remote_ttl_ms(listing: &Listing) -> i64 {
    let ttl_ms = listing.ttl_ms.map_or(REMOTE_TTL_MS, |ttl_ms| i64::try_from(ttl_ms).unwrap_or(i64::MAX));
    ttl_ms.clamp(TTL_MS, MAX_REMOTE_TTL_MS)
}
