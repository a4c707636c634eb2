//! Providers of models that administrators added, and their keys, sealed with the installation's master key (docs/adr/0046). What a provider is, the crate
//! `models` knows.

use zeroize::Zeroizing;

use crate::{Database, Statement, StorageError, Store, master_sealed::PROVIDERS, tool_listings::BETWEEN_ENTRIES};

/// Providers that can be added: each is read with every run.
pub const MAX_STORED_PROVIDERS: usize = 20;

/// A provider, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredProvider {
    /// What it is, as JSON.
    pub settings: String,
    /// Its key and headers, sealed; empty: none.
    pub sealed: String,
}

/// All providers in one text, read together with a run: a turn needs no statement for it. A sealed text has no spaces, and JSON on a line no line ends.
pub(crate) const OF_RUN: &str = "(SELECT string_agg(sealed || ' ' || settings, '\n') FROM model_providers)";

/// Reads [`OF_RUN`].
pub(crate) fn read(providers: Option<&str>) -> Vec<StoredProvider> {
    let entries = providers.unwrap_or_default().split(BETWEEN_ENTRIES).filter_map(|entry| entry.split_once(' '));
    entries
        .map(|(sealed, settings)| StoredProvider { settings: settings.to_owned(), sealed: sealed.to_owned() })
        .collect()
}

impl<D: Database> Store<D> {
    /// All providers, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn model_providers(&self) -> Result<Vec<StoredProvider>, StorageError> {
        const QUERY: &str = "model_providers";
        let sql = format!("SELECT settings, sealed FROM model_providers ORDER BY name LIMIT {MAX_STORED_PROVIDERS}");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(StoredProvider { settings: columns.text()?.to_owned(), sealed: columns.text()?.to_owned() })
            })
            .collect()
    }

    /// Stores a provider in the place of the one of this name. `false`: there are [`MAX_STORED_PROVIDERS`] already.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_model_provider(
        &self,
        name: &str,
        server: &str,
        provider: &StoredProvider,
    ) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO model_providers (name, settings, server, sealed, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, now_ms(), now_ms()
             WHERE EXISTS (SELECT 1 FROM model_providers WHERE name = ?1)
                OR (SELECT COUNT(*) FROM model_providers) < {MAX_STORED_PROVIDERS}
             ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, server = excluded.server,
                 sealed = excluded.sealed, updated_at = excluded.updated_at
             RETURNING name"
        );
        let StoredProvider { settings, sealed } = provider;
        let parameters = [name.into(), settings.as_str().into(), server.into(), sealed.as_str().into()];
        let statement = Statement::new("set_model_provider", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Removes a provider. `false`: there was none of this name.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remove_model_provider(&self, name: &str) -> Result<bool, StorageError> {
        let sql = "DELETE FROM model_providers WHERE name = ?1 RETURNING name";
        let statement = Statement::new("remove_model_provider", sql, [name.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Seals the key of a provider.
    ///
    /// # Errors
    /// Those of the database and of keys; [`vault::VaultError::TooLong`] if it is longer than [`vault::MAX_TEXT_BYTES`].
    pub async fn seal_provider_key(&self, name: &str, key: &str) -> Result<String, StorageError> {
        self.seal_with_master(PROVIDERS, name, key).await
    }

    /// Opens the key of a provider.
    ///
    /// # Errors
    /// Those of the database and of keys: the master key may be missing, or the text was changed outside.
    pub async fn open_provider_key(&self, name: &str, sealed: &str) -> Result<Zeroizing<String>, StorageError> {
        self.open_with_master(PROVIDERS, name, sealed).await
    }
}
