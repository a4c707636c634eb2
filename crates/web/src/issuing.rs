//! The key that signs tokens: from configuration, or made on first use and stored in the database. The same query reads the database's clock, by
//! which all hosts issue and check tokens. For the components that issue tokens.

use std::collections::BTreeMap;

use domain::Timestamp;
use identity::Issuer;
use storage::{Database, Store, signing_keys::SigningKey};

use crate::{
    Result,
    log::{Level, log},
};

/// The installation's issuer, and the database's time. `configured` is a private key as PEM, or empty.
///
/// # Errors
/// Those of the database, or the key cannot be used.
pub async fn issuer(
    component: &'static str,
    store: &Store<impl Database>,
    configured: &str,
) -> Result<(Issuer, Timestamp)> {
    if !configured.is_empty() {
        let issuer = Issuer::from_pem(configured)?;
        let now = publish(store, &issuer).await?;
        return Ok((issuer, now));
    }
    if let Some(kept) = kept(store).await? {
        return Ok(kept);
    }
    let issuer = Issuer::generate();
    let private_key = Some(issuer.private_key());
    let key = SigningKey { id: issuer.id().to_owned(), public_key: issuer.public_key(), private_key };
    store.add_first_signing_key(&key).await?;
    log(
        component,
        Level::Warn,
        "made a signing key and kept it in the database; set the variable signing_key to keep it elsewhere",
        BTreeMap::from([("key_id", &key.id)]),
    );
    // Another instance may have stored its key first: the stored key counts.
    Ok(kept(store).await?.unwrap_or_else(|| (issuer, Timestamp::now())))
}

async fn kept(store: &Store<impl Database>) -> Result<Option<(Issuer, Timestamp)>> {
    let Some((key, now)) = store.own_signing_key().await? else { return Ok(None) };
    let issuer = key.private_key.as_deref().map(Issuer::from_pem).transpose()?;
    Ok(issuer.map(|issuer| (issuer, now)))
}

/// Verifiers read public keys from the database, even if the private key is configured.
async fn publish(store: &Store<impl Database>, issuer: &Issuer) -> Result<Timestamp> {
    let (known, mut now) = store.public_keys().await?;
    if known.iter().all(|key| key.id != issuer.id()) {
        let key = SigningKey { id: issuer.id().to_owned(), public_key: issuer.public_key(), private_key: None };
        store.add_signing_key(&key).await?;
        now = store.public_keys().await?.1;
    }
    Ok(now.unwrap_or_else(Timestamp::now))
}
