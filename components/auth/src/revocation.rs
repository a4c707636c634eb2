//! Before somebody's data key is destroyed, `tools` revokes what they connected at the servers that gave the tokens. Must not hold an erasure up: whatever
//! fails, or takes too long, the tokens end there by themselves.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use domain::Id;
use platform::{inside, within};
use storage::Database;
use toolbox::wire::REVOKE_CONNECTIONS_PATH;
use web::{
    App,
    log::{Level, log},
};

use crate::COMPONENT;

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "tools";
/// Servers that are there answer in a second. It is much less than a host's turn at an erasure.
const LIMIT: Duration = Duration::from_secs(10);

/// Has the tokens of a person's connections revoked, as far as their servers take that in a moment.
pub(crate) async fn revoke<D: Database>(app: &App<D>, user_id: Id) {
    let proof = app.prove(TOOLS, Some(user_id), "");
    let asked =
        within(LIMIT, async { inside::ask(TOOLS, REVOKE_CONNECTIONS_PATH, proof.await, Bytes::new()).await }).await;
    let Err(cause) = asked.unwrap_or_else(|| Err("it took too long".to_owned())) else { return };
    log(COMPONENT, Level::Warn, "tokens of an erased account were not revoked", BTreeMap::from([("cause", cause)]));
}
