//! Everything that is kept: all SQL of the product, and the rows turned into domain types.
//!
//! The crate knows no driver. It speaks to the [`Database`] port, which has two operations: one statement, or several in
//! one transaction. Transactions are lists, never conversations: nobody can hold one open while waiting for a model,
//! and a database without interactive transactions will do.
//!
//! Invariant: every query about something owned carries its owner's id; what belongs to somebody else is not found.

use std::sync::Arc;

pub mod access;
pub mod accounts;
pub mod approvals;
pub mod audit;
pub mod conversations;
pub mod database;
pub mod groups;
pub mod invitations;
pub mod leases;
pub mod messages;
pub mod migration;
pub mod model_dialects;
pub mod rate_limits;
pub mod roles;
pub mod runs;
pub mod sessions;
pub mod signing_keys;
pub mod tool_calls;
pub mod tool_listings;
pub mod tool_policies;
pub mod tool_secrets;
pub mod usage;
pub mod users;

pub use database::{Database, DatabaseError, Dialect, Outcome, Row, Statement, Value};

/// The repository over a database.
#[derive(Clone, Debug)]
pub struct Store<D> {
    database: D,
}

/// Why something could not be stored or read. Whoever waited for the same is told the same, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The database said no, or nothing.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A stored row does not look as this version writes it.
    #[error("a row of {query} cannot be read: column {column} is not {expected}")]
    Row {
        /// Which query.
        query: &'static str,
        /// Which column, from 0.
        column: usize,
        /// What it should have been.
        expected: &'static str,
    },
    /// A value could not be written as JSON.
    #[error("tool calls cannot be written as JSON")]
    Json(#[source] Arc<serde_json::Error>),
    /// The database was made by something else.
    #[error(
        "migration {version} of this database differs from the one in this build: restore the file it was applied from, or restore a backup"
    )]
    MigrationChanged {
        /// Which migration.
        version: i64,
    },
}

impl From<serde_json::Error> for StorageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(Arc::new(error))
    }
}

impl<D: Database> Store<D> {
    /// A store over a database that is up to date (see [`migration`]).
    pub const fn new(database: D) -> Self {
        Self { database }
    }

    /// Proves that the database takes what is written, for readiness: writes a row as it is. Returns the version of a PostgreSQL server, as
    /// `server_version_num` has it (150002 is 15.2); of SQLite, which comes with the host, nothing.
    ///
    /// # Errors
    /// Whatever keeps it from writing.
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
