//! The keys that people's secrets are sealed with: from configuration, else one made on first use and kept in the database.
//!
//! The kept one still opens what it sealed after others have been configured. Nothing is sealed here; `vault` does that.

use std::{fmt, sync::OnceLock};

use problem::Problem;
use serde_json::json;
use storage::{Database, StorageError, Store};
use vault::{Keys, VaultError};
use web::log::{Level, log};
use zeroize::Zeroizing;

/// The variable `master_key`.
#[derive(Clone, Default)]
pub struct MasterKey(Zeroizing<String>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// The key in the database, which never changes. The inner `None`: there was none when others were configured, so none will come.
#[derive(Default)]
pub struct GeneratedKey(OnceLock<Option<Zeroizing<String>>>);

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedKey")
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// What is configured cannot be read, or no key can be made.
    #[error("master_key cannot be read: {0}")]
    Vault(#[from] VaultError),
    /// Those of the database.
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

impl MasterKey {
    /// As it is configured.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<VaultError> {
        if self.is_empty() { None } else { Keys::parse(&self.0).err() }
    }

    /// Whether none is configured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The keys there are; `None`: none is configured, and none was needed yet. `generated` remembers what the database said.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn existing(
        &self,
        store: &Store<impl Database>,
        generated: &GeneratedKey,
    ) -> Result<Option<Keys>, KeysError> {
        // Read it first: what is wrong with it must not be hidden by a database that is down.
        if let Some(error) = self.fault() {
            return Err(error.into());
        }
        let generated = self.generated(store, generated).await?;
        let all = match (self.is_empty(), generated) {
            (true, None) => return Ok(None),
            (true, Some(generated)) => generated,
            (false, None) => self.0.clone(),
            (false, Some(generated)) => Zeroizing::new(format!("{},{}", *self.0, *generated)),
        };
        Ok(Some(Keys::parse(&all)?))
    }

    /// The keys there are, and if there are none, a new one, which is logged as made by this component.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn to_seal(
        &self,
        component: &str,
        store: &Store<impl Database>,
        generated: &GeneratedKey,
    ) -> Result<Keys, KeysError> {
        if let Some(keys) = self.existing(store, generated).await? {
            return Ok(keys);
        }
        store.add_generated_master_key(&Keys::generate()?).await?;
        // Another instance may have been first: what is kept counts.
        let keys = self.existing(store, generated).await?.ok_or(VaultError::NoKey)?;
        log(
            component,
            Level::Warn,
            "made a key for people's secrets and kept it in the database; set the variable master_key to keep it elsewhere",
            json!({ "key_id": keys.id() }),
        );
        Ok(keys)
    }

    async fn generated(
        &self,
        store: &Store<impl Database>,
        generated: &GeneratedKey,
    ) -> Result<Option<Zeroizing<String>>, StorageError> {
        if let Some(known) = generated.0.get() {
            return Ok(known.clone());
        }
        let found = store.generated_master_key().await?.map(Zeroizing::new);
        if found.is_some() || !self.is_empty() {
            let _ = generated.0.set(found.clone());
        }
        Ok(found)
    }
}
