//! The keys that sign session tokens. Only `auth` and `oauth` read private keys.

use domain::Timestamp;

use crate::{Database, Statement, StorageError, Store, database::Columns};

/// A key pair as PEM texts.
#[derive(Clone)]
pub struct SigningKey {
    /// The `kid`.
    pub id: String,
    /// The public key.
    pub public_key: String,
    /// The private key. `None`, if it comes from configuration.
    pub private_key: Option<String>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<D: Database> Store<D> {
    /// Stores a key, unless it is stored already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_signing_key(&self, key: &SigningKey) -> Result<(), StorageError> {
        let sql = "INSERT INTO signing_keys (id, public_key, private_key, created_at)
                   VALUES (?1, ?2, ?3, now_ms()) ON CONFLICT DO NOTHING";
        let parameters = [key.id.as_str().into(), key.public_key.as_str().into(), key.private_key.clone().into()];
        self.database.query(Statement::new("add_signing_key", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Stores a key that was made on first use, unless another instance stored one first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_first_signing_key(&self, key: &SigningKey) -> Result<(), StorageError> {
        let sql = "INSERT INTO first_signing_keys (id, public_key, private_key, created_at)
                   SELECT ?1, ?2, ?3, now_ms()
                   WHERE NOT EXISTS (SELECT 1 FROM signing_keys WHERE private_key IS NOT NULL AND retired_at IS NULL)";
        let parameters = [key.id.as_str().into(), key.public_key.as_str().into(), key.private_key.clone().into()];
        self.database.query(Statement::new("add_first_signing_key", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }

    /// The oldest key made on first use, with its private key, and the time by the database's clock, for the tokens.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn own_signing_key(&self) -> Result<Option<(SigningKey, Timestamp)>, StorageError> {
        const QUERY: &str = "own_signing_key";
        let sql = "SELECT now_ms(), id, public_key, private_key FROM signing_keys
                   WHERE private_key IS NOT NULL AND retired_at IS NULL ORDER BY created_at, id LIMIT 1";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let read_row = |columns: &mut Columns<'_>| -> Result<_, StorageError> {
            let now = columns.timestamp()?;
            Ok((read(columns)?, now))
        };
        rows.first().map(|row| read_row(&mut row.columns(QUERY))).transpose()
    }

    /// All public keys that tokens may be signed with, and the time by the database's clock, against which tokens are checked. `None`, if there is no
    /// key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn public_keys(&self) -> Result<(Vec<SigningKey>, Option<Timestamp>), StorageError> {
        const QUERY: &str = "public_keys";
        let sql =
            "SELECT now_ms(), id, public_key, NULL FROM signing_keys WHERE retired_at IS NULL ORDER BY created_at, id";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut now = None;
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            now = Some(columns.timestamp()?);
            keys.push(read(&mut columns)?);
        }
        Ok((keys, now))
    }
}

fn read(columns: &mut Columns<'_>) -> Result<SigningKey, StorageError> {
    Ok(SigningKey {
        id: columns.text()?.to_owned(),
        public_key: columns.text()?.to_owned(),
        private_key: columns.optional_text()?.map(str::to_owned),
    })
}
