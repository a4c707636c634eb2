//! The rotation of keys, of every purpose: for the administration and for `cargo dev keys`. How each is rotated is one arm here, so that a further
//! purpose is one more.

use problem::Problem;
use storage::{
    Database, Store,
    keys::{KeyPurpose, KeyState},
};

use crate::{Result, issuing};

/// Rotates the keys of a purpose. With `revokes`, what the keys before have signed ends at once: for a key that somebody else may have. `false`: it was
/// rotated a moment ago, and nothing was changed.
///
/// # Errors
/// 409 in words that say what to do, where keys are rotated by configuration. Those of the database.
pub async fn rotate(store: &Store<impl Database>, purpose: KeyPurpose, revokes: bool) -> Result<bool> {
    match purpose {
        KeyPurpose::Tokens => rotate_tokens(store, revokes).await,
        KeyPurpose::Inside => Ok(store.replace_inside_keys(revokes).await? > 0),
    }
}

async fn rotate_tokens(store: &Store<impl Database>, revokes: bool) -> Result<bool> {
    let (keys, _) = store.keys().await?;
    let verifying = || keys.iter().filter(|key| key.purpose == KeyPurpose::Tokens && key.state != KeyState::Retired);
    let is_configured = verifying().any(|key| key.is_configured && key.verifies_until.is_none());
    let has_former = verifying().any(|key| key.verifies_until.is_some());
    match (is_configured, revokes) {
        (true, false) => return Err(configured().into()),
        (true, true) if !has_former => return Err(still_configured().into()),
        _ => {}
    }
    let stored = store.rotate_signing_key(&issuing::generate()?, revokes).await?;
    // Where a key is configured, none is stored; the others have ended all the same.
    Ok(stored || is_configured)
}

fn configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration, so it is rotated there: make a new one (openssl genpkey -algorithm ed25519), add it to the variable signing_key after the present one, deploy, then put it first and deploy again. The runbook \"Rotate keys\" has the steps.";
    Problem::conflict("key_configured", detail)
}

fn still_configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration. First put another one in its place in the variable signing_key, deploy, and log in; then revoke. Until then, nothing was ended.";
    Problem::conflict("key_configured", detail)
}
