//! Secrets of the installation that the master key seals itself: the keys of providers of models, and the addresses and secrets of webhooks. They are few,
//! and go with their row. What belongs to one person is sealed with a key of theirs (`secrets.rs`).

use vault::{Keys, Owner, VaultError};
use zeroize::Zeroizing;

use crate::{Database, Statement, StorageError, Store};

/// A table with such secrets, in its column `sealed`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MasterSealed {
    pub(crate) table: &'static str,
    /// The column that names a row.
    key: &'static str,
    /// Beside that name, what a secret is bound to. No person and no server of tools has these names.
    owner: &'static str,
}

pub(crate) const PROVIDERS: MasterSealed =
    MasterSealed { table: "model_providers", key: "name", owner: "model-providers" };
pub(crate) const WEBHOOKS: MasterSealed = MasterSealed { table: "webhooks", key: "id", owner: "webhooks" };

impl MasterSealed {
    const fn owner<'a>(&self, row: &'a str) -> Owner<'a> {
        Owner { user_id: "", server: self.owner, name: row }
    }
}

impl<D: Database> Store<D> {
    pub(crate) async fn seal_with_master(
        &self,
        of: MasterSealed,
        row: &str,
        text: &str,
    ) -> Result<String, StorageError> {
        Ok(self.sealing_masters().await?.seal(&of.owner(row), text)?)
    }

    pub(crate) async fn open_with_master(
        &self,
        of: MasterSealed,
        row: &str,
        sealed: &str,
    ) -> Result<Zeroizing<String>, StorageError> {
        let owner = of.owner(row);
        let masters = self.all_masters().await?.ok_or(VaultError::NoKey)?;
        match Keys::open(&masters, &owner, sealed) {
            // Another host may have made a new master key since these were read.
            Err(VaultError::UnknownKey(_)) => {
                let masters = self.keyring.masters(&self.generated_master_keys().await?)?.ok_or(VaultError::NoKey)?;
                Ok(Keys::open(&masters, &owner, sealed)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Seals one secret anew that another master key sealed than the one that seals now. `true`: there may be more.
    ///
    /// # Errors
    /// Those of the database and of keys.
    pub async fn reseal_next_with_master(&self) -> Result<bool, StorageError> {
        Ok(self.reseal_next(PROVIDERS).await? || self.reseal_next(WEBHOOKS).await?)
    }

    async fn reseal_next(&self, of: MasterSealed) -> Result<bool, StorageError> {
        const QUERY: &str = "sealed_with_master";
        let MasterSealed { table, key, .. } = of;
        if self.all_masters().await?.is_none() {
            return Ok(false);
        }
        let masters = self.sealing_masters().await?;
        // `v1.`, the key's id and another dot.
        let current = format!("v1.{}.", masters.id());
        let sql = format!(
            "SELECT {key}, sealed FROM {table} WHERE sealed <> '' AND substr(sealed, 1, 20) <> ?1 ORDER BY {key}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [current.into()])).await?;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (row, sealed) = (columns.text()?, columns.text()?);
            // One whose key is missing is left as it is: it must be entered again, or the key come back.
            let Ok(text) = masters.open(&of.owner(row), sealed) else { continue };
            let sql = format!("UPDATE {table} SET sealed = ?3 WHERE {key} = ?1 AND sealed = ?2");
            let parameters = [row.into(), sealed.into(), masters.seal(&of.owner(row), &text)?.into()];
            self.database.query(Statement::new("reseal_with_master", sql, parameters).repeatably()).await?;
            return Ok(true);
        }
        Ok(false)
    }
}
