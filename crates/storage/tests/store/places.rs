//! A separate database for each test: a SQLite file in a folder, or a database on a real PostgreSQL that all tests share.

use std::{
    fs,
    path::Path,
    sync::{LazyLock, OnceLock},
};

use native_postgres::{
    PostgresDatabase,
    server::{SharedDatabase, shared, shared_copy, shared_database, skipped},
};
use native_sqlite::SqliteFile;
use storage::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, migration::migrate};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// The place of a database, which is made when it is first opened: empty, unless it was [`Place::migrated`] before.
pub(crate) enum Place {
    Sqlite(tempfile::TempDir),
    Postgres(OnceLock<SharedDatabase>),
}

/// The file that everybody's SQLite database is in.
const FILE: &str = "sqlite_db.db";

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// An empty SQLite database of the newest schema.
static MIGRATED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let database = SqliteFile::open(&path).unwrap();
    block_on(migrate(&database)).unwrap();
    block_on(database.query(Statement::new("checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", []))).unwrap();
    drop(database);
    fs::read(path).unwrap()
});

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// `None`, with a message, on a machine that cannot run PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        shared(workspace()).inspect_err(skipped).ok()?;
        Some(Self::Postgres(OnceLock::new()))
    }

    /// With the newest schema: a copy of one that was migrated, which takes a fraction of the time.
    pub(crate) fn migrated(self) -> Self {
        match &self {
            Self::Sqlite(folder) => fs::write(folder.path().join(FILE), &*MIGRATED).unwrap(),
            Self::Postgres(database) => {
                let copy = shared_copy(workspace(), |url| {
                    let database = block_on(PostgresDatabase::open(url.parse()?))?;
                    block_on(migrate(&database))?;
                    Ok(())
                });
                database.set(copy.unwrap()).unwrap();
            }
        }
        self
    }

    /// Opens a new connection.
    pub(crate) fn open(&self) -> Real {
        match self {
            Self::Sqlite(folder) => Real::Sqlite(SqliteFile::open(&folder.path().join(FILE)).unwrap()),
            Self::Postgres(database) => {
                let database = database.get_or_init(|| shared_database(workspace()).unwrap());
                Real::Postgres(block_on(PostgresDatabase::open(database.url().parse().unwrap())).unwrap())
            }
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
