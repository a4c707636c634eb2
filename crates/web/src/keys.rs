//! The rotation of keys, of every purpose: for the administration and for `cargo dev keys`. How each is rotated is one arm here, so that a further
//! purpose is one more.

use problem::Problem;
use storage::{
    Database, Store,
    keys::{KeyPurpose, KeyRecord, KeyRotation, KeyState},
};

use crate::{Result, issuing};

/// Rotates the keys of a purpose, and records it. `false`: they were rotated a moment ago, or there are none, and nothing was changed.
///
/// # Errors
/// 409 in words that say what to do, where keys are rotated by configuration. Those of the database.
pub async fn rotate(store: &Store<impl Database>, purpose: KeyPurpose, rotation: &KeyRotation<'_>) -> Result<bool> {
    match purpose {
        KeyPurpose::Tokens => rotate_tokens(store, rotation).await,
        KeyPurpose::Inside => Ok(store.rotate_inside_keys(rotation).await?),
    }
}

async fn rotate_tokens(store: &Store<impl Database>, rotation: &KeyRotation<'_>) -> Result<bool> {
    let (keys, _) = store.keys().await?;
    let mut verifying = keys.iter().filter(|key| key.purpose == KeyPurpose::Tokens && key.state != KeyState::Retired);
    let is_current = |key: &&KeyRecord| key.state == KeyState::Current;
    let configured_key = verifying.clone().find(is_current).filter(|key| key.is_configured);
    match configured_key {
        Some(_) if !rotation.revokes => return Err(configured().into()),
        Some(key) if verifying.all(|other| other.id == key.id) => return Err(still_configured().into()),
        _ => {}
    }
    let keeps = configured_key.map(|key| key.id.as_str());
    Ok(store.rotate_signing_key(&issuing::generate()?, keeps, rotation).await?)
}

fn configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration, so it is rotated there: make a new one (openssl genpkey -algorithm ed25519), add it to the variable signing_key after the present one, deploy, then put it first and deploy again. The runbook \"Rotate keys\" has the steps.";
    Problem::conflict("key_configured", detail)
}

fn still_configured() -> Problem {
    let detail = "The key that signs tokens is in the configuration. First put another one in its place in the variable signing_key, deploy, and log in; then revoke. Until then, nothing was ended.";
    Problem::conflict("key_configured", detail)
}
