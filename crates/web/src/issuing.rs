//! The keys that sign tokens: from configuration, or made on first use and stored in the database. The same query reads the database's clock, by
//! which all hosts issue and check tokens. For the components that issue tokens.
//!
//! The database says which key signs when, so all hosts change to a new key in the same moment (docs/adr/0037). A key whose tokens have all ended is
//! retired here, by whoever issues the next token.

use std::collections::BTreeMap;

use domain::Timestamp;
use identity::Issuer;
use problem::Problem;
use storage::{
    Database, Store,
    signing_keys::{OVERLAP_MS, SigningKey, StoredKey},
};

use crate::{
    Result,
    log::{Level, log},
};

/// The installation's issuer, and the database's time. `configured` is private keys as PEM, of which the first signs, or empty.
///
/// # Errors
/// Those of the database, or the key cannot be used.
pub async fn issuer(
    component: &'static str,
    store: &Store<impl Database>,
    configured: &str,
) -> Result<(Issuer, Timestamp)> {
    let configured = Issuer::parse_list(configured)?;
    let (mut stored, mut now) = read(store).await?;
    let is_changed = match configured.first() {
        Some(first) => announce(store, &configured, first.id(), &stored, now).await?,
        None => keep_signing(component, store, &stored, now).await?,
    };
    if is_changed {
        (stored, now) = read(store).await?;
    }
    if let Some(revoked) =
        configured.first().filter(|first| stored.iter().all(|key| key.is_retired || key.key.id != first.id()))
    {
        return Err(Problem::internal(UnusableKey::Revoked(revoked.id().to_owned())).into());
    }
    let mut known = configured;
    let mut former_text_keys = Vec::new();
    // The newest first: it signs, if none is configured.
    for key in &stored {
        let private_half = key.key.private_key.as_deref().map(Issuer::from_pem).transpose()?;
        // An earlier release signed texts with the private half. It goes on as a text key for whoever has kept them, and signs nothing else any more.
        let text_key = key.key.text_key.clone().or_else(|| private_half.as_ref().map(Issuer::text_key));
        match private_half {
            Some(issuer) if signs(key, now) => known.push(issuer.with_text_key(&text_key.unwrap_or_default())),
            _ => {
                let has_half = key.key.private_key.is_some();
                if has_half && key.verifies_until.is_some_and(|until| until <= now) {
                    store.retire_signing_key(&key.key.id, text_key.as_deref()).await?;
                }
                former_text_keys.extend(text_key);
            }
        }
    }
    let mut known = known.into_iter();
    let mut issuer = known.next().ok_or_else(|| Problem::internal(UnusableKey::None))?;
    known.for_each(|former| issuer.add_former(&former));
    former_text_keys.iter().for_each(|key| issuer.add_former_text_key(key));
    Ok((issuer, now))
}

/// Why no tokens can be issued.
#[derive(Debug, thiserror::Error)]
enum UnusableKey {
    /// A configured key was revoked, so nobody takes what it signs.
    #[error("the key {0} in the variable signing_key was revoked; configure another one")]
    Revoked(String),
    /// Nothing signs, although a key was just stored: the database's clock was set back.
    #[error("no key signs at this moment")]
    None,
}

async fn read(store: &Store<impl Database>) -> Result<(Vec<StoredKey>, Timestamp)> {
    Ok(store.issuing_keys().await?.unwrap_or_else(|| (Vec::new(), Timestamp::now())))
}

/// Whether the private half of a stored key can sign, or could a moment ago.
fn signs(key: &StoredKey, now: Timestamp) -> bool {
    let verifies = !key.is_retired && key.verifies_until.is_none_or(|until| until > now);
    key.key.private_key.is_some() && key.signs_from <= now && verifies
}

/// Publishes configured keys, because verifiers read public keys from the database, and puts their ends off. Keys that were made when none was
/// configured end. Hosts that are configured otherwise, one after the other, do not end what the others sign with: each puts off the ends of its own.
/// Whether anything was stored.
async fn announce(
    store: &Store<impl Database>,
    configured: &[Issuer],
    first: &str,
    stored: &[StoredKey],
    now: Timestamp,
) -> Result<bool> {
    let mut stored_any = false;
    for issuer in configured {
        let signs = issuer.id() == first;
        let is_told = |key: &StoredKey| {
            let is_put_off = key.verifies_until.is_some_and(|until| left_ms(until, now) > OVERLAP_MS - TOLD_MS);
            is_put_off && !(signs && key.signs_from.as_millis() == 0)
        };
        if !stored.iter().any(|key| key.key.id == issuer.id() && !key.is_retired && is_told(key)) {
            store.publish_signing_key(issuer.id(), &issuer.public_key(), signs).await?;
            stored_any = true;
        }
    }
    let is_configured = |key: &StoredKey| configured.iter().any(|issuer| issuer.id() == key.key.id);
    Ok(end(store, stored.iter().filter(|key| !is_configured(key))).await? || stored_any)
}

/// Has a key in the database to sign with: the one there is; the newest one, if it ends only because others were configured; a new one otherwise. Whether
/// anything was stored.
async fn keep_signing(
    component: &'static str,
    store: &Store<impl Database>,
    stored: &[StoredKey],
    now: Timestamp,
) -> Result<bool> {
    // What an earlier release published of configured keys has no end.
    let has_ended = end(store, stored.iter().filter(|key| key.key.private_key.is_none())).await?;
    let (generated, others): (Vec<_>, Vec<_>) =
        stored.iter().filter(|key| !key.is_retired).partition(|key| key.key.private_key.is_some());
    if generated.iter().any(|key| !key.ends()) {
        return Ok(has_ended);
    }
    let verifies = |key: &&&StoredKey| key.verifies_until.is_none_or(|until| until > now);
    let others_sign = others.iter().any(|key| verifies(&key));
    match generated.iter().find(verifies) {
        None => make_first(component, store).await?,
        Some(key)
            if others_sign
                && key.verifies_until.is_some_and(|until| left_ms(until, now) > OVERLAP_MS / 2)
                // So that what is listed as the key that signs is that.
                && others.iter().all(|other| other.signs_from <= key.signs_from) =>
        {
            return Ok(has_ended);
        }
        Some(key) => store.continue_signing_key(&key.key.id, others_sign).await?,
    }
    Ok(true)
}

/// How often a host puts off the ends of its configured keys: a write, which the next token waits for.
const TOLD_MS: i64 = 5 * 60 * 1000;

const fn left_ms(until: Timestamp, now: Timestamp) -> i64 {
    until.as_millis().saturating_sub(now.as_millis())
}

/// Sets an end for those of the keys that have none. Whether there were any.
async fn end<'a>(store: &Store<impl Database>, keys: impl Iterator<Item = &'a StoredKey>) -> Result<bool> {
    let ids: Vec<String> = keys.filter(|key| !key.ends()).map(|key| key.key.id.clone()).collect();
    if ids.is_empty() {
        return Ok(false);
    }
    store.end_signing_keys(&ids).await?;
    Ok(true)
}

async fn make_first(component: &'static str, store: &Store<impl Database>) -> Result<()> {
    let key = generate()?;
    store.add_first_signing_key(&key).await?;
    log(
        component,
        Level::Warn,
        "made a signing key and kept it in the database; set the variable signing_key to keep it elsewhere",
        BTreeMap::from([("key_id", &key.id)]),
    );
    Ok(())
}

/// A new key, to store.
///
/// # Errors
/// There are no random numbers.
pub fn generate() -> Result<SigningKey> {
    let issuer = Issuer::generate();
    Ok(SigningKey {
        id: issuer.id().to_owned(),
        public_key: issuer.public_key(),
        private_key: Some(issuer.private_key()),
        text_key: Some(Issuer::generate_text_key()?),
    })
}
