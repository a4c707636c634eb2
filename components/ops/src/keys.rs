//! `/internal/keys`: the public halves of the keys with which components prove to each other who calls, for tool servers, which have no database.
//!
//! Whoever reaches it may read it: nothing in it is a secret, and who asks could only prove it with these keys.

use inside_token::{PublicKey, Published};
use platform::instance;
use web::{Json, Result};

use crate::COMPONENT;

/// Where they are. `spin.toml` has no trigger for it, so it cannot be reached from outside.
pub(crate) const PATH: &str = "/internal/keys";

/// `GET /internal/keys`.
pub(crate) async fn published() -> Result<Json<Published>> {
    let (keys, now) = instance::app(COMPONENT).await?.store().inside_keys().await?;
    let public =
        |key: storage::inside_keys::InsideKey| PublicKey { id: key.id, caller: key.caller, jwk: key.public_key };
    Ok(Json(Published { now_ms: now.as_millis(), keys: keys.into_iter().map(public).collect() }))
}
