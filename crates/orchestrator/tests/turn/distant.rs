//! The database of a test: a file, empty at first. It can be slow or fail on demand.

use std::{
    fs,
    ops::Range,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use native_sqlite::SqliteFile;
use storage::{Database, DatabaseError, Dialect, Row, Statement, Store, TransactionOutcome, migration::migrate};
use tokio::{sync::Semaphore, time::Instant};

use crate::world::World;

/// An empty database of the newest schema, made once.
pub(crate) fn migrated() -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let file = SqliteFile::open(&path).unwrap();
        let checkpoint = Statement::new("checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", []);
        futures::executor::block_on(async {
            migrate(&file).await.unwrap();
            file.query(checkpoint).await.unwrap();
        });
        drop(file);
        fs::read(path).unwrap()
    })
}

/// The names of statements, in their order.
pub(crate) type Statements = Arc<Mutex<Vec<&'static str>>>;

/// A database with latency, like one across a network. Statements with events take longer than others.
pub(crate) struct Distant {
    pub(crate) file: SqliteFile,
    pub(crate) round_trip_ms: u64,
    pub(crate) connections: Semaphore,
    pub(crate) started: Instant,
    /// When the database is away, since the beginning.
    pub(crate) away: Range<Duration>,
    /// From when on the disk is read-only.
    pub(crate) read_only_from: Duration,
    /// Those that it was sent.
    pub(crate) statements: Statements,
}

impl Distant {
    pub(crate) fn new(file: SqliteFile) -> Self {
        let connections = Semaphore::new(Semaphore::MAX_PERMITS);
        let away = Duration::ZERO..Duration::ZERO;
        let (started, statements) = (Instant::now(), Statements::default());
        Self { file, round_trip_ms: 0, connections, started, away, read_only_from: Duration::MAX, statements }
    }
}

impl World {
    /// A database that tells its statements.
    pub(crate) fn with_watched_database(mut self, statements: &Statements) -> Self {
        let distant = Distant { statements: Arc::clone(statements), ..Distant::new(self.file()) };
        self.store = Store::new(distant);
        self
    }
}

impl Database for Distant {
    fn dialect(&self) -> Dialect {
        self.file.dialect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        if self.away.contains(&self.started.elapsed()) {
            return Err(DatabaseError::Unavailable("away".into()));
        }
        self.statements.lock().unwrap().push(statement.name);
        let _connection = self.connections.acquire().await.unwrap();
        if self.round_trip_ms > 0 {
            let trips = if statement.name == "append_events" { 4 } else { 1 };
            tokio::time::sleep(Duration::from_millis(self.round_trip_ms * trips)).await;
        }
        if self.started.elapsed() >= self.read_only_from {
            self.file.query(Statement::new("t", "PRAGMA query_only = ON", [])).await?;
        }
        self.file.query(statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        self.file.transaction(statements).await
    }
}
