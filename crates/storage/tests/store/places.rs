//! A separate database for each test: a SQLite file in a folder, or a database on a real PostgreSQL that all tests share.

use std::{path::Path, sync::LazyLock};

use native_postgres::{
    PostgresDatabase, PostgresUrl,
    server::{shared_database, skipped},
};
use native_sqlite::SqliteFile;
use storage::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// The place of an empty database.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(PostgresUrl),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// `None`, with a message, on a machine that cannot run PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let url = shared_database(workspace).inspect_err(skipped).ok()?;
        Some(Self::Postgres(url.parse().unwrap()))
    }

    /// Opens a new connection.
    pub(crate) fn open(&self) -> Real {
        match self {
            Self::Sqlite(folder) => Real::Sqlite(SqliteFile::open(&folder.path().join("sqlite_db.db")).unwrap()),
            Self::Postgres(url) => Real::Postgres(block_on(PostgresDatabase::open(url.clone())).unwrap()),
        }
    }
}

/// Either database.
pub(crate) enum Real {
    Sqlite(SqliteFile),
    Postgres(PostgresDatabase),
}

impl Database for Real {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(database) => database.dialect(),
            Self::Postgres(database) => database.dialect(),
        }
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.query(statement).await,
            Self::Postgres(database) => database.query(statement).await,
        }
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.transaction(statements).await,
            Self::Postgres(database) => database.transaction(statements).await,
        }
    }
}
