//! The database of the installation: SQLite, unless `database_url` names PostgreSQL.

use storage::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome};
use traces::{Kind, Span, names};

use crate::{SpinPostgres, SpinSqlite, variables::variable};

/// One of the two databases that Spin has.
#[derive(Debug)]
pub enum SpinDatabase {
    /// `database_url` is empty.
    Sqlite(SpinSqlite),
    /// `database_url` is `postgres://...`.
    Postgres(SpinPostgres),
}

impl SpinDatabase {
    /// Opens the configured database.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] when it cannot be opened, or `database_url` names an unknown kind of database.
    pub async fn open() -> Result<Self, DatabaseError> {
        let url = variable("database_url").await;
        if url.is_empty() {
            return Ok(Self::Sqlite(SpinSqlite::open().await?));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(SpinPostgres::new(&url)));
        }
        let told = "database_url must be empty (SQLite) or begin with postgres://";
        Err(DatabaseError::Unavailable(told.to_owned()))
    }
}

impl SpinDatabase {
    /// A span for a statement. It names it, and contains none of its values.
    #[inline(never)]
    fn span(&self, statement: &Statement) -> Span {
        let mut span = Span::begin(Kind::Client, statement.name);
        let system = match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        };
        span.set(names::DB_SYSTEM_NAME, system);
        span.set(names::DB_QUERY_SUMMARY, statement.name);
        span
    }
}

impl Database for SpinDatabase {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(database) => database.dialect(),
            Self::Postgres(database) => database.dialect(),
        }
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let mut span = self.span(&statement);
        let answer = match self {
            Self::Sqlite(database) => database.query(statement).await,
            Self::Postgres(database) => database.query(statement).await,
        };
        answer.inspect_err(|error| span.fail(error.code()))
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.transaction(statements).await,
            Self::Postgres(database) => database.transaction(statements).await,
        }
    }
}
