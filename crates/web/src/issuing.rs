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
    signing_keys::{SigningKey, StoredKey},
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
    if announce(store, &configured, &stored).await? {
        (stored, now) = read(store).await?;
    }
    if let Some(revoked) =
        configured.first().filter(|first| stored.iter().all(|key| key.ends() || key.key.id != first.id()))
    {
        return Err(Problem::internal(UnusableKey::Revoked(revoked.id().to_owned())).into());
    }
    let goes_on = |key: &StoredKey| !key.ends() && key.key.private_key.is_some();
    if configured.is_empty() && !stored.iter().any(goes_on) {
        make_first(component, store).await?;
        (stored, now) = read(store).await?;
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
                if !key.is_retired && key.verifies_until.is_some_and(|until| until <= now) {
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

/// Publishes configured keys, because verifiers read public keys from the database, and lets others end that were configured before, or that were
/// made when none was. Whether anything was stored.
async fn announce(store: &Store<impl Database>, configured: &[Issuer], stored: &[StoredKey]) -> Result<bool> {
    let going_on: Vec<&StoredKey> = stored.iter().filter(|key| !key.ends()).collect();
    let is_configured = |key: &StoredKey| configured.iter().any(|issuer| issuer.id() == key.key.id);
    let newest = going_on.iter().filter(|key| is_configured(key)).max_by_key(|key| key.signs_from);
    let mut stored_any = false;
    for (place, issuer) in configured.iter().enumerate() {
        let is_published = going_on.iter().any(|key| key.key.id == issuer.id());
        let signs = place == 0 && newest.is_none_or(|newest| newest.key.id != issuer.id());
        if !is_published || signs {
            store.publish_signing_key(issuer.id(), &issuer.public_key(), signs).await?;
            stored_any = true;
        }
    }
    let ended = going_on.iter().filter(|key| !is_configured(key));
    let ended = ended.filter(|key| !configured.is_empty() || key.key.private_key.is_none());
    let ended: Vec<String> = ended.map(|key| key.key.id.clone()).collect();
    if !ended.is_empty() {
        store.end_signing_keys(&ended).await?;
        stored_any = true;
    }
    Ok(stored_any)
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
