//! Secrets of the installation that the master key seals itself: the keys of providers of models, and the addresses and secrets of webhooks. They are few,
//! and go with their row. What belongs to one person is sealed with a key of theirs (`secrets.rs`).

use vault::{Keys, Owner, VaultError};
use zeroize::Zeroizing;

use crate::{Database, Statement, StorageError, Store, Value, database::places, sealing_targets::ROWS};

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

/// How far [`Store::reseal_next_with_master`] has come: the last row of each table. What cannot be opened stays behind, and must not be read again and again
/// in the place of others.
#[derive(Clone, Default, Debug)]
pub struct Resealed {
    providers: String,
    webhooks: String,
}

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

    /// Seals the next secrets anew that an older master key sealed, behind those of `resealed`, which begins as nothing. `true`: there may be more.
    ///
    /// # Errors
    /// Those of the database and of keys.
    pub async fn reseal_next_with_master(&self, resealed: &mut Resealed) -> Result<bool, StorageError> {
        Ok(self.reseal_next(PROVIDERS, &mut resealed.providers).await?
            || self.reseal_next(WEBHOOKS, &mut resealed.webhooks).await?)
    }

    async fn reseal_next(&self, of: MasterSealed, last: &mut String) -> Result<bool, StorageError> {
        const QUERY: &str = "sealed_with_master";
        let MasterSealed { table, key, .. } = of;
        if self.all_masters().await?.is_none() {
            return Ok(false);
        }
        let masters = self.sealing_masters().await?;
        // `v1.`, the key's id and another dot. One whose key is missing is left as it is: it must be entered again, or the key come back.
        let older: Vec<Value> = masters.ids().skip(1).map(|id| format!("v1.{id}.").into()).collect();
        if older.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "SELECT {key}, sealed FROM {table} WHERE {key} > ?1 AND substr(sealed, 1, 20) IN ({}) ORDER BY {key} LIMIT {ROWS}",
            places(2..=older.len() + 1)
        );
        let parameters: Vec<Value> = std::iter::once(last.as_str().into()).chain(older).collect();
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let (mut values, mut written): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (row, sealed) = (columns.text()?, columns.text()?);
            row.clone_into(last);
            // One that was changed outside must not keep the others from it.
            let Ok(text) = masters.open(&of.owner(row), sealed) else { continue };
            let first = values.len() + 1;
            written.push(format!("({})", places(first..=first + 2)));
            values.extend([row.into(), sealed.into(), masters.seal(&of.owner(row), &text)?.into()]);
        }
        if written.is_empty() {
            return Ok(true);
        }
        let sql = format!(
            "WITH new (of_row, old, sealed) AS (VALUES {})
             UPDATE {table} SET sealed = new.sealed FROM new WHERE {table}.{key} = new.of_row AND {table}.sealed = new.old",
            written.join(", ")
        );
        self.database.query(Statement::new("reseal_with_master", sql, values).repeatably()).await?;
        Ok(true)
    }
}
