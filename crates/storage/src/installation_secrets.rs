//! What the installation itself keeps secret, and not for one person: private keys, which a configured master key seals, and details of the record that
//! outlive whoever they are about, which a data key of the installation seals (docs/adr/0043).
//!
//! A master key that was made here is in the same database and would protect nothing, so private keys stay in clear beside it.

use std::sync::Arc;

use vault::{DataKey, Place, VaultError, WrappedKey, sealing_key};

use crate::{
    Database, Statement, StorageError, Store, Value,
    data_keys::{NAMES_SINCE, unusable, waits},
    database::places,
};

/// The data key that seals details, and whom it is bound to, in place of a person.
const DETAILS: &str = "details";

/// The SQL condition for it in `installation_keys`, and for those before it, whose names have their ids behind.
const IS_FOR_DETAILS: &str = "(name = 'details' OR substr(name, 1, 8) = 'details/')";

/// The data keys for details.
#[derive(Clone, Default, Debug)]
pub(crate) struct DetailsKeys {
    /// The one that seals.
    pub(crate) seals: Option<Arc<DataKey>>,
    /// All of them that can be used, to open with.
    pub(crate) all: Vec<Arc<DataKey>>,
    /// Whether there are others.
    pub(crate) is_incomplete: bool,
}

/// Columns that a master key seals: table, key, column, and the SQL condition for rows that may be sealed. `ops` alone has a database and no master key, so
/// its half stays in clear: with it, somebody inside could ask components for their settings, which contain no secrets.
pub(crate) const OWN_SECRETS: [(&str, &str, &str, &str); 3] = [
    ("signing_keys", "id", "private_key", "1 = 1"),
    ("signing_keys", "id", "text_key", "1 = 1"),
    ("inside_keys", "id", "private_key", "caller <> 'ops'"),
];

/// A secret to be stored: as it is, for as long as hosts of an earlier release may read it, and as it is stored from then on.
pub(crate) struct OwnSecret {
    pub(crate) plain: Value,
    pub(crate) sealed: Value,
}

/// The SQL of the one of two parameters of [`OwnSecret`] that is stored now.
pub(crate) fn stored_secret(plain: &str, sealed: &str) -> String {
    format!("CASE WHEN {} THEN {plain} ELSE {sealed} END", waits(NAMES_SINCE))
}

impl<D: Database> Store<D> {
    /// A secret of the installation, to be stored at a place.
    pub(crate) fn own_secret(&self, place: Place<'_>, text: Option<&str>) -> Result<OwnSecret, StorageError> {
        let plain = Value::from(text.map(str::to_owned));
        let sealed = match (self.keyring.configured()?, text) {
            (Some(keys), Some(text)) => keys.seal_own(place, text)?.into(),
            _ => plain.clone(),
        };
        Ok(OwnSecret { plain, sealed })
    }

    /// What is stored of a secret of the installation, opened.
    pub(crate) fn open_own(&self, place: Place<'_>, stored: &str) -> Result<String, StorageError> {
        let Some(id) = sealing_key(stored) else { return Ok(stored.to_owned()) };
        let keys = self.keyring.configured()?.ok_or_else(|| StorageError::MasterKeyMissing(id.to_owned()))?;
        match keys.open_own(place, stored) {
            Err(VaultError::UnknownKey(id)) => Err(StorageError::MasterKeyMissing(id)),
            Err(VaultError::Unopenable) => {
                Err(StorageError::Unreadable { table: place.table.to_owned(), column: place.column.to_owned() })
            }
            opened => Ok(opened?),
        }
    }

    /// Seals private keys that are in clear, or sealed with another master key than the one that wraps. They are few. `false`: there was nothing to do.
    /// Reading works all the time, and a host that dies in the middle leaves nothing half done: a row is changed only if it is as it was read.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn seal_own_secrets(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "own_secrets";
        let Some(keys) = self.keyring.configured()? else { return Ok(false) };
        let current = format!("m1:{}:", keys.id());
        let select = |(table, key, column, condition): (&str, &str, &str, &str)| {
            format!(
                "SELECT '{table}', {key}, '{column}', {column} FROM {table}
                 WHERE {column} IS NOT NULL AND substr({column}, 1, 20) <> ?1 AND {condition}"
            )
        };
        let sql = format!(
            "SELECT * FROM ({}) AS found WHERE NOT {}",
            OWN_SECRETS.map(select).join(" UNION ALL "),
            waits(NAMES_SINCE)
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [current.into()])).await?;
        let mut changed = false;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (table, id, column, stored) = (columns.text()?, columns.text()?, columns.text()?, columns.text()?);
            let place = Place { table, row: id, column };
            let plain = match self.open_own(place, stored) {
                Ok(plain) => plain,
                // Somebody has to do something about it first; the others are sealed all the same.
                Err(StorageError::MasterKeyMissing(_) | StorageError::Unreadable { .. }) => continue,
                Err(error) => return Err(error),
            };
            let sealed = keys.seal_own(place, &plain)?;
            let sql = format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1 AND {column} = ?3");
            let statement = Statement::new("seal_own_secret", sql, [id.into(), sealed.into(), stored.into()]);
            self.database.query(statement.durably().repeatably()).await?;
            changed = true;
        }
        Ok(changed)
    }

    /// The installation's data key for details. The first call of all makes it: of several at once, at any host, one counts.
    pub(crate) async fn details_key(&self) -> Result<Arc<DataKey>, StorageError> {
        let keys = self.details_keys().await?;
        if let Some(key) = keys.seals {
            return Ok(key);
        }
        if keys.is_incomplete {
            // One that cannot be used now stays beside the new one, and opens again once it can be.
            self.replace_details_key().await?;
        }
        let new = self.sealing_masters().await?.new_data_key(DETAILS)?;
        let sql = "INSERT INTO installation_keys (name, id, wrapped, master_key, created_at) VALUES (?1, ?2, ?3, ?4, now_ms())
                   ON CONFLICT (name) DO NOTHING";
        let parameters = [DETAILS.into(), new.id.into(), new.wrapped.into(), new.master_key.into()];
        self.database.query(Statement::new("new_details_key", sql, parameters).durably().repeatably()).await?;
        self.details_keys().await?.seals.ok_or(StorageError::KeyDestroyed)
    }

    /// All data keys for details that there are: the one that seals, if there is one yet, and those before it, which only open.
    pub(crate) async fn details_keys(&self) -> Result<DetailsKeys, StorageError> {
        const QUERY: &str = "details_keys";
        if let Some(keys) = self.keyring.details_keys() {
            return Ok(keys);
        }
        let sql = format!("SELECT name, id, wrapped, master_key FROM installation_keys WHERE {IS_FOR_DETAILS}");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut keys = DetailsKeys::default();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let seals = columns.text()? == DETAILS;
            let [id, wrapped, master_key] = [columns.text()?, columns.text()?, columns.text()?].map(str::to_owned);
            let wrapped = WrappedKey { id, wrapped, master_key };
            let key = match self.unwrap_with_any(DETAILS, &wrapped, &[]).await {
                Ok(key) => Arc::new(key),
                Err(error) => {
                    unusable(error)?;
                    keys.is_incomplete = true;
                    continue;
                }
            };
            if seals {
                keys.seals = Some(Arc::clone(&key));
            }
            keys.all.push(key);
        }
        if keys.seals.is_some() {
            self.keyring.keep_details_keys(&keys);
        }
        Ok(keys)
    }

    /// Has a new data key for details be made when one is needed. What the one before sealed, it goes on to open.
    pub(crate) async fn replace_details_key(&self) -> Result<(), StorageError> {
        let sql = "UPDATE installation_keys SET name = name || '/' || id WHERE name = ?1";
        let statement = Statement::new("replace_details_key", sql, [DETAILS.into()]);
        self.database.query(statement.durably().repeatably()).await?;
        self.keyring.forget_details_keys();
        Ok(())
    }

    /// Wraps the installation's data keys with the master key that wraps, if they are wrapped by one of the `older`. `false`: there is nothing to do.
    pub(crate) async fn rewrap_details_keys(
        &self,
        masters: &vault::Keys,
        older: &[Value],
    ) -> Result<bool, StorageError> {
        const QUERY: &str = "details_keys_to_rewrap";
        let places = places(1..=older.len());
        let sql = format!(
            "SELECT id, wrapped, master_key FROM installation_keys WHERE {IS_FOR_DETAILS} AND master_key IN ({})",
            places
        );
        let rows = self.database.query(Statement::new(QUERY, sql, older)).await?;
        let mut is_changed = false;
        // One, and another for each leak.
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let [id, wrapped, master_key] = [columns.text()?, columns.text()?, columns.text()?].map(str::to_owned);
            let old = WrappedKey { id, wrapped, master_key };
            let new = match masters.rewrap(DETAILS, &old) {
                // One that was changed outside must not keep the others from it; whoever needs it gets the error.
                Err(VaultError::Unopenable) => continue,
                new => new?,
            };
            let sql = "UPDATE installation_keys SET wrapped = ?2, master_key = ?3 WHERE id = ?1 AND wrapped = ?4";
            let parameters = [old.id.into(), new.wrapped.into(), new.master_key.into(), old.wrapped.into()];
            self.database.query(Statement::new("rewrap_details_key", sql, parameters).durably().repeatably()).await?;
            is_changed = true;
        }
        Ok(is_changed)
    }
}
