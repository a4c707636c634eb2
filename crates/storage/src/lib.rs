//! The store: all SQL of the product, and the conversion of rows to domain types.
//!
//! The crate knows no driver. It uses the port [`Database`], which has two operations: one statement, or several in one transaction. A transaction is
//! a list of statements, so nobody can hold one open while waiting for a model, and a database without interactive transactions is enough.
//!
//! Invariant: every query about something owned carries its owner's id. Another person's data is not found.

use std::sync::Arc;

pub mod access;
pub mod account_export;
pub mod accounts;
pub mod api_keys;
pub mod approvals;
pub mod assistants;
pub mod audit;
pub mod audit_chain;
mod audit_details;
pub mod budgets;
pub mod claims;
pub mod conversation_settings;
pub mod conversations;
pub mod data_key_rotation;
mod data_keys;
pub mod database;
pub mod erasures;
pub mod file_readings;
pub mod files;
mod files_of_runs;
pub mod grants;
pub mod groups;
pub mod identities;
pub mod identity_links;
pub mod identity_providers;
pub mod inside_keys;
pub mod installation_secrets;
pub mod invitations;
mod keyring;
pub mod keys;
pub mod leases;
pub mod limits;
pub mod master_keys;
pub mod master_sealed;
pub mod memories;
pub mod messages;
pub mod metrics;
pub mod migration;
pub mod model_dialects;
pub mod model_listings;
pub mod model_providers;
pub mod model_requests;
pub mod own_account;
pub mod program_conversations;
pub mod provider_sessions;
pub mod rate_limits;
pub mod retention;
pub mod retries;
pub mod roles;
pub mod runs;
mod sealed_texts;
pub mod sealing;
mod sealing_targets;
pub mod search;
pub mod search_indexing;
pub mod second_factors;
pub mod secrets;
pub mod sessions;
pub mod signing_keys;
pub mod tool_calls;
pub mod tool_connections;
pub mod tool_listings;
pub mod tool_policies;
pub mod tool_secrets;
pub mod tool_tasks;
pub mod usage;
pub mod users;
pub mod webhooks;

pub use database::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, Value};
pub use master_keys::MasterKey;

/// The repository over a database.
#[derive(Clone, Debug)]
pub struct Store<D> {
    database: D,
    keyring: Arc<keyring::Keyring>,
}

/// Why a query failed. It can be cloned, because all requests that waited for the same work get the same error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The database refused the statement, or did not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A stored row is not as this version writes it.
    #[error("a row of {query} cannot be read: column {column} is not {expected}")]
    Row {
        /// The query's name.
        query: &'static str,
        /// The column, from 0.
        column: usize,
        /// The expected type.
        expected: &'static str,
    },
    /// The host gives no random numbers.
    #[error("the host gives no random numbers: {0}")]
    Random(String),
    /// A value could not be written as JSON.
    #[error("tool calls cannot be written as JSON")]
    Json(#[source] Arc<serde_json::Error>),
    /// The component was given no master key, so it can neither read nor write people's texts.
    #[error("this component has no master_key: spin.toml must grant it")]
    NoMasterKey,
    /// A person's texts cannot be read, because the master key with this id is missing.
    #[error("the master key {0} is missing: put it back into master_key, behind the new one")]
    MasterKeyMissing(String),
    /// The person's data key was destroyed, so their texts can never be read again.
    #[error("the data key of this person was destroyed")]
    KeyDestroyed,
    /// The person's data key was changed outside, so their texts cannot be read until it is restored.
    #[error("the data key of this person was changed outside: restore its row from a copy of the database")]
    KeyDamaged,
    /// A secret of the installation was changed outside, or moved from another place.
    #[error("{column} of a row of {table} cannot be opened: it was changed outside, or moved there")]
    Unreadable {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A key cannot be read or made.
    #[error("master_key cannot be used: {0}")]
    Vault(#[from] vault::VaultError),
    /// An applied migration differs from the one in this build.
    #[error(
        "migration {version} of this database differs from the one in this build: restore the file it was applied from, or restore a backup"
    )]
    MigrationChanged {
        /// The migration's version.
        version: i64,
    },
}

impl From<serde_json::Error> for StorageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

impl<D: Database> Store<D> {
    /// A store over a database that is up to date (see [`migration`]), with a master key that is made on first use.
    pub fn new(database: D) -> Self {
        Self::with_master_key(database, MasterKey::new(String::new()))
    }

    /// As [`Self::new`], with the master key of the configuration.
    pub fn with_master_key(database: D, master_key: MasterKey) -> Self {
        Self { database, keyring: Arc::new(keyring::Keyring::new(master_key)) }
    }

    /// The master key of the configuration.
    pub fn master_key(&self) -> &MasterKey {
        self.keyring.master()
    }

    /// For a query of accounts: it waits for a change of the account that is not committed yet, and every later one waits for this statement.
    /// SQLite has one writer at a time anyway.
    pub(crate) fn waiting_for_change(&self) -> &'static str {
        if self.database.dialect() == Dialect::Postgres { "FOR NO KEY UPDATE" } else { "" }
    }

    /// As [`Self::waiting_for_change`], but statements with this do not wait for each other.
    pub(crate) fn waiting_with_others(&self) -> &'static str {
        if self.database.dialect() == Dialect::Postgres { "FOR SHARE" } else { "" }
    }

    /// Checks for readiness that the database can be written to, by writing a row unchanged. Returns the version of a PostgreSQL server as in
    /// `server_version_num` (150002 is 15.2). SQLite comes with the host and has none.
    ///
    /// # Errors
    /// The reason why the database cannot be written to.
    pub async fn ping(&self) -> Result<Option<i64>, StorageError> {
        let version = match self.database.dialect() {
            Dialect::Sqlite => "NULL",
            Dialect::Postgres => "CAST(current_setting('server_version_num') AS bigint)",
        };
        let sql = format!("UPDATE schema_migrations SET applied_at = applied_at WHERE version = 1 RETURNING {version}");
        let rows = self.database.query(Statement::new("ping", sql, []).repeatably()).await?;
        rows.first().map_or(Ok(None), |row| row.columns("ping").optional_integer())
    }
}
