//! The rotation of keys, of every purpose: for the administration and for `cargo dev keys`. How each is rotated is one arm here, so that a further
//! purpose is one more.

use problem::Problem;
use storage::{
    Database, Store,
    keys::{KeyPurpose, KeyRecord, KeyRotation, KeyState},
    master_keys::MasterKeyRotated,
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
        KeyPurpose::Master => rotate_master(store, rotation).await,
    }
}

async fn rotate_master(store: &Store<impl Database>, rotation: &KeyRotation<'_>) -> Result<bool> {
    if rotation.revokes {
        let detail = "A master key signs nothing, so there is nothing to revoke. Rotate it; the runbook about master keys says what else to do after a leak.";
        return Err(Problem::conflict("not_revocable", detail).into());
    }
    match store.rotate_generated_master_key(rotation).await? {
        MasterKeyRotated::Rotated(_) => Ok(true),
        MasterKeyRotated::JustNow | MasterKeyRotated::Unneeded => Ok(false),
        MasterKeyRotated::Configured => {
            let detail = "The master key is in the configuration, so it is rotated there: make a new one (openssl rand -base64 32), add it to the variable master_key after the present one, deploy to all hosts, then put it first and deploy again. The runbook about master keys has the steps.";
            Err(Problem::conflict("key_configured", detail).into())
        }
        MasterKeyRotated::TooMany => {
            let detail = "There are as many master keys as there may be, because what earlier ones wrapped is not all wrapped again. Wait until /ready says that it is, which takes minutes, and an hour after that; then rotate again. Nothing was changed.";
            Err(Problem::conflict("too_many_keys", detail).into())
        }
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
