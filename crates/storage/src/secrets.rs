//! Small secrets, sealed for one person by their data key: what they enter for tools, second factors, tokens of connections, and what goes through a
//! client's hands and must come back unchanged.
//!
//! Unlike texts, callers keep them sealed until they are used. What earlier releases sealed with a master key still opens, and while their hosts may still
//! run, secrets are sealed so that these open them, too.

use std::sync::Arc;

use domain::Id;
use vault::{Keys, Owner, Place, VaultError, looks_sealed};
use zeroize::Zeroizing;

use crate::{Database, StorageError, Store, data_keys::PersonKey};

pub use vault::MAX_TEXT_BYTES as MAX_SECRET_BYTES;

/// The key of a person's secrets.
#[derive(Clone, Debug)]
pub struct SecretsKey {
    user_id: String,
    key: Arc<PersonKey>,
    /// For what earlier releases sealed.
    masters: Option<Arc<Keys>>,
}

/// Where a secret is. No other sealed text has such a place, so none opens as another.
const fn place<'a>(server: &'a str, name: &'a str) -> Place<'a> {
    Place { table: "secrets", row: server, column: name }
}

impl SecretsKey {
    /// Seals a secret of this person, for a server (empty: for nobody but the installation) and under a name. The result is ASCII without spaces, and
    /// different each time.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] for more than [`MAX_SECRET_BYTES`], and those of random bytes.
    pub fn seal(&self, server: &str, name: &str, text: &str) -> Result<String, VaultError> {
        if text.len() > MAX_SECRET_BYTES {
            return Err(VaultError::TooLong);
        }
        match &self.masters {
            Some(masters) if !self.key.seals => masters.seal(&Owner { user_id: &self.user_id, server, name }, text),
            _ => self.key.seal(place(server, name), text),
        }
    }

    /// Opens what was sealed for this person, this server and this name.
    ///
    /// # Errors
    /// [`VaultError::Unopenable`], or [`VaultError::UnknownKey`] for what an earlier release sealed with a master key that is missing.
    pub fn open(&self, server: &str, name: &str, sealed: &str) -> Result<Zeroizing<String>, VaultError> {
        if self.key.has_sealed(sealed) {
            return self.key.open(place(server, name), sealed).map(Zeroizing::new);
        }
        let masters = self.masters.as_ref().ok_or(VaultError::Unopenable)?;
        masters.open(&Owner { user_id: &self.user_id, server, name }, sealed)
    }

    /// A text of an earlier release, or one that the key before has sealed, sealed with the person's key. `None`: it is already, with this key or a lost
    /// one, it cannot be opened, or there is nothing to seal.
    pub(crate) fn sealed_word(&self, place: Place<'_>, text: &str) -> Result<Option<String>, VaultError> {
        if self.key.is_outdated(text) {
            return match self.key.open(place, text) {
                Ok(text) => self.key.seal(place, &text).map(Some),
                Err(VaultError::Unopenable) => Ok(None),
                Err(error) => Err(error),
            };
        }
        if text.is_empty() || self.key.has_sealed(text) || looks_sealed(text) {
            return Ok(None);
        }
        self.key.seal(place, text).map(Some)
    }

    /// A secret of an earlier release, sealed with the person's key. `None`: it is already, or cannot be opened.
    pub(crate) fn resealed(&self, server: &str, name: &str, sealed: &str) -> Result<Option<String>, VaultError> {
        if self.key.has_sealed(sealed) && !self.key.is_outdated(sealed) {
            return Ok(None);
        }
        match self.open(server, name, sealed) {
            Ok(text) => self.key.seal(place(server, name), &text).map(Some),
            Err(VaultError::UnknownKey(_) | VaultError::Unopenable) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<D: Database> Store<D> {
    /// The key of a person's secrets, which is made on first use.
    ///
    /// # Errors
    /// Those of the database, and [`StorageError::MasterKeyMissing`].
    pub async fn secrets_key(&self, user_id: Id) -> Result<SecretsKey, StorageError> {
        let key = self.data_key(user_id).await?;
        Ok(SecretsKey { user_id: user_id.to_string(), key, masters: self.all_masters().await? })
    }

    /// As [`Self::secrets_key`], to read with. `None`: the master key is missing, so whatever was sealed counts as lost until it is back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn secrets_key_to_read(&self, user_id: Id) -> Result<Option<SecretsKey>, StorageError> {
        match self.secrets_key(user_id).await {
            Err(StorageError::MasterKeyMissing(_)) => Ok(None),
            key => key.map(Some),
        }
    }
}
