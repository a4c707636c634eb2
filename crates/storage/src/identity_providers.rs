//! What providers publish about themselves, kept for all hosts and instances.

use crate::{Database, Statement, StorageError, Store};

/// What is known of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownProvider {
    /// Its discovery document, as it was stored.
    pub document: String,
    /// Its keys, as they were stored.
    pub keys: String,
    /// How long ago both were fetched.
    pub age_ms: i64,
}

impl<D: Database> Store<D> {
    /// What is known of a provider.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn known_provider(&self, issuer: &str) -> Result<Option<KnownProvider>, StorageError> {
        const QUERY: &str = "known_provider";
        let sql = "SELECT document, keys, now_ms() - fetched_at FROM identity_providers WHERE issuer = ?1";
        let rows = self.database.query(Statement::new(QUERY, sql, [issuer.into()])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let (document, keys) = (columns.text()?.to_owned(), columns.text()?.to_owned());
        Ok(Some(KnownProvider { document, keys, age_ms: columns.integer()? }))
    }

    /// Whether a provider may be asked what it publishes, which counts at once: all hosts together ask no more often than this, whether it answers or
    /// not.
    ///
    /// # Errors
    /// As [`Self::known_provider`].
    pub async fn may_ask_provider(&self, issuer: &str, pause_ms: i64) -> Result<bool, StorageError> {
        let sql = "INSERT INTO identity_providers (issuer, document, keys, fetched_at, asked_at, keys_at)
                   VALUES (?1, '', '', 0, now_ms(), 0)
                   ON CONFLICT (issuer) DO UPDATE SET asked_at = excluded.asked_at
                       WHERE identity_providers.asked_at <= now_ms() - ?2
                   RETURNING issuer";
        let statement = Statement::new("may_ask_provider", sql, [issuer.into(), pause_ms.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Keeps what a provider publishes.
    ///
    /// # Errors
    /// As [`Self::known_provider`].
    pub async fn keep_provider(&self, issuer: &str, document: &str, keys: &str) -> Result<(), StorageError> {
        let sql = "INSERT INTO identity_providers (issuer, document, keys, fetched_at, asked_at, keys_at)
                   VALUES (?1, ?2, ?3, now_ms(), now_ms(), 0)
                   ON CONFLICT (issuer) DO UPDATE SET document = excluded.document, keys = excluded.keys,
                       fetched_at = excluded.fetched_at";
        let statement = Statement::new("keep_provider", sql, [issuer.into(), document.into(), keys.into()]);
        self.database.query(statement.repeatably()).await?;
        Ok(())
    }

    /// Whether a provider's keys may be asked for anew, which counts at once: all hosts together ask no more often than this. Keys that came with the
    /// document do not count.
    ///
    /// # Errors
    /// As [`Self::known_provider`].
    pub async fn may_ask_for_keys(&self, issuer: &str, pause_ms: i64) -> Result<bool, StorageError> {
        let sql = "UPDATE identity_providers SET keys_at = now_ms() WHERE issuer = ?1 AND keys_at <= now_ms() - ?2 RETURNING issuer";
        let statement = Statement::new("may_ask_for_keys", sql, [issuer.into(), pause_ms.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Keeps a provider's new keys.
    ///
    /// # Errors
    /// As [`Self::known_provider`].
    pub async fn keep_provider_keys(&self, issuer: &str, keys: &str) -> Result<(), StorageError> {
        let sql = "UPDATE identity_providers SET keys = ?2 WHERE issuer = ?1";
        let statement = Statement::new("keep_provider_keys", sql, [issuer.into(), keys.into()]);
        self.database.query(statement.repeatably()).await?;
        Ok(())
    }
}
