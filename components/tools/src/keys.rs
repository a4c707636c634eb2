//! The keys that people's secrets are sealed with: from configuration, else one made on first use and kept in the database.
//!
//! The kept one still opens what it sealed after others have been configured.

use std::{cell::RefCell, fmt};

use problem::Problem;
use serde_json::json;
use storage::StorageError;
use vault::{Keys, VaultError};
use web::log::{Level, log};
use zeroize::Zeroizing;

use crate::{COMPONENT, router::Tools};

/// The variable `master_key`.
#[derive(Clone, Default)]
pub(crate) struct MasterKey(Zeroizing<String>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// As it is configured.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<VaultError> {
        if self.is_empty() { None } else { Keys::parse(&self.0).err() }
    }

    fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("master_key cannot be read: {0}")]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<KeysError> for web::Error {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Storage(error) => error.into(),
            KeysError::Vault(error) => Problem::internal(error).into(),
        }
    }
}

thread_local! {
    /// The key in the database, which never changes; the inner `None`: there was none when others were configured, so none will come.
    static GENERATED: RefCell<Option<Option<Zeroizing<String>>>> = const { RefCell::new(None) };
}

/// The keys there are; `None`: none is configured, and none was needed yet.
pub(crate) async fn existing(tools: &Tools) -> Result<Option<Keys>, KeysError> {
    let configured = &tools.config.master_key;
    // Read it first: what is wrong with it must not be hidden by a database that is down.
    if let Some(error) = configured.fault() {
        return Err(error.into());
    }
    let generated = generated(tools).await?;
    let all = match (configured.is_empty(), generated) {
        (true, None) => return Ok(None),
        (true, Some(generated)) => generated,
        (false, None) => configured.0.clone(),
        (false, Some(generated)) => Zeroizing::new(format!("{},{}", *configured.0, *generated)),
    };
    Ok(Some(Keys::parse(&all)?))
}

/// The keys there are, and if there are none, a new one.
pub(crate) async fn to_seal(tools: &Tools) -> Result<Keys, KeysError> {
    if let Some(keys) = existing(tools).await? {
        return Ok(keys);
    }
    tools.store().add_generated_master_key(&Keys::generate()?).await?;
    // Another instance may have been first: what is kept counts.
    let keys = existing(tools).await?.ok_or(VaultError::NoKey)?;
    log(
        COMPONENT,
        Level::Warn,
        "made a key for people's secrets and kept it in the database; set the variable master_key to keep it elsewhere",
        json!({ "key_id": keys.id() }),
    );
    Ok(keys)
}

async fn generated(tools: &Tools) -> Result<Option<Zeroizing<String>>, StorageError> {
    if let Some(known) = GENERATED.with_borrow(Clone::clone) {
        return Ok(known);
    }
    let found = tools.store().generated_master_key().await?.map(Zeroizing::new);
    if found.is_some() || !tools.config.master_key.is_empty() {
        GENERATED.set(Some(found.clone()));
    }
    Ok(found)
}
