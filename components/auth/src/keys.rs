//! The key that tokens are signed with: from configuration, else made on first use and kept in the database.

use std::collections::BTreeMap;

use identity::Issuer;
use storage::{Database, Store, signing_keys::SigningKey};
use web::{
    Result,
    log::{Level, log},
};

use crate::COMPONENT;

/// The issuer of this installation.
pub(crate) async fn issuer(store: &Store<impl Database>, configured: &str) -> Result<Issuer> {
    if !configured.is_empty() {
        let issuer = Issuer::from_pem(configured)?;
        publish(store, &issuer).await?;
        return Ok(issuer);
    }
    if let Some(issuer) = kept(store).await? {
        return Ok(issuer);
    }
    let issuer = Issuer::generate();
    let private_key = Some(issuer.private_key());
    let key = SigningKey { id: issuer.id().to_owned(), public_key: issuer.public_key(), private_key };
    store.add_first_signing_key(&key).await?;
    log(
        COMPONENT,
        Level::Warn,
        "made a signing key and kept it in the database; set the variable signing_key to keep it elsewhere",
        BTreeMap::from([("key_id", &key.id)]),
    );
    // Another instance may have been first: what is kept counts.
    Ok(kept(store).await?.unwrap_or(issuer))
}

async fn kept(store: &Store<impl Database>) -> Result<Option<Issuer>> {
    let Some(key) = store.own_signing_key().await? else { return Ok(None) };
    Ok(key.private_key.as_deref().map(Issuer::from_pem).transpose()?)
}

/// Verifiers look for public keys in the database, wherever the private one comes from.
async fn publish(store: &Store<impl Database>, issuer: &Issuer) -> Result<()> {
    let known = store.public_keys().await?;
    if known.iter().all(|key| key.id != issuer.id()) {
        let key = SigningKey { id: issuer.id().to_owned(), public_key: issuer.public_key(), private_key: None };
        store.add_signing_key(&key).await?;
    }
    Ok(())
}
