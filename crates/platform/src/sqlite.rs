//! Spin's SQLite behind the storage port.
//!
//! An instance has three long-lived connections: for reads, for writes, and for writes that wait for the disk. A transaction, which only
//! migrations need, gets its own connection. Otherwise the instance's other requests would run inside the transaction.
//!
//! Reads use the interface's synchronous calls: a read takes microseconds, less than the crossings between guest and host that a stream needs
//! for each row. Writes wait for other writers' locks and for the disk, and a synchronous call would block the whole instance meanwhile, so they
//! use the `-async` calls. Never use both kinds on one connection: a synchronous call would wait until the guest has taken the rows of the
//! asynchronous one, and keep the guest from taking them.

use std::sync::OnceLock;

use spin_sdk::sqlite::{
    self, Error,
    wit::sqlite::{Connection, QueryResult},
};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, Value,
    database::{SQLITE_PRAGMAS, sqlite_error},
};

/// How many times a write is sent while the database is locked. Spin waits five seconds for the lock each time. SQLite admits writers in no
/// particular order, so a burst may pass one over. After that the write fails.
const WRITES: u32 = 3;

/// The database that `spin.toml` grants as `default`.
pub struct SpinSqlite {
    reading: Connection,
    /// Opened on first use.
    writing: OnceLock<Connection>,
    durable: OnceLock<Connection>,
}

impl std::fmt::Debug for SpinSqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpinSqlite").finish_non_exhaustive()
    }
}

impl SpinSqlite {
    /// Opens it.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] when it cannot, or is not granted.
    pub async fn open() -> Result<Self, DatabaseError> {
        Ok(Self { reading: connect().await?, writing: OnceLock::new(), durable: OnceLock::new() })
    }

    /// Events are logged many times a second. If the machine crashes, lost events are generated again by the model, so these commits need not
    /// wait for the disk.
    async fn writing(&self) -> Result<&Connection, DatabaseError> {
        opened(&self.writing, "PRAGMA synchronous = NORMAL").await
    }

    async fn durable(&self) -> Result<&Connection, DatabaseError> {
        opened(&self.durable, "PRAGMA synchronous = FULL").await
    }
}

/// A connection for writes. Two concurrent first calls may both open one; the second is closed again.
async fn opened<'a>(
    connection: &'a OnceLock<Connection>,
    synchronous: &'static str,
) -> Result<&'a Connection, DatabaseError> {
    if let Some(connection) = connection.get() {
        return Ok(connection);
    }
    let new = connect().await?;
    for sql in SQLITE_PRAGMAS.into_iter().chain([synchronous]) {
        run_async(&new, Statement::new("pragma", sql, [])).await?;
    }
    Ok(connection.get_or_init(|| new))
}

/// Opens a connection without blocking the instance. A blocked instance accepts no request, so the host would start one more instance for the
/// next.
async fn connect() -> Result<Connection, DatabaseError> {
    let connection = Connection::open_async("default".to_owned()).await;
    connection.map_err(|error| DatabaseError::Unavailable(error.to_string()))
}

fn execute(connection: &Connection, sql: &'static str) -> Result<QueryResult, DatabaseError> {
    connection.execute(sql, &[]).map_err(|error| failed(sql, error))
}

fn failed(query: &'static str, error: Error) -> DatabaseError {
    match error {
        Error::Io(message) => sqlite_error(query, message),
        other => DatabaseError::Unavailable(other.to_string()),
    }
}

fn parameters(values: Vec<Value>) -> Vec<sqlite::Value> {
    values
        .into_iter()
        .map(|value| match value {
            Value::Null => sqlite::Value::Null,
            Value::Integer(integer) => sqlite::Value::Integer(integer),
            Value::Text(text) => sqlite::Value::Text(text),
        })
        .collect()
}

fn run(connection: &Connection, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
    let result = connection
        .execute(&Dialect::Sqlite.render(&statement.sql), &parameters(statement.parameters))
        .map_err(|error| failed(statement.name, error))?;
    Ok(result.rows.into_iter().map(|result| row(result.values)).collect())
}

async fn run_async(connection: &Connection, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
    let refused = |error| failed(statement.name, error);
    let sql = Dialect::Sqlite.render(&statement.sql);
    let (_, mut results, end) =
        connection.execute_async(sql, parameters(statement.parameters)).await.map_err(refused)?;
    let mut rows = Vec::new();
    while let Some(result) = results.next().await {
        rows.push(row(result.values));
    }
    end.await.map_err(refused)?;
    Ok(rows)
}

fn row(values: Vec<sqlite::Value>) -> Row {
    Row(values.into_iter().map(value).collect())
}

fn value(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Text(text) => Value::Text(text),
        // Our columns have no such types.
        sqlite::Value::Null | sqlite::Value::Real(_) | sqlite::Value::Blob(_) => Value::Null,
    }
}

impl Database for SpinSqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        if statement.reads() {
            return run(&self.reading, statement);
        }
        let connection = if statement.durable { self.durable().await? } else { self.writing().await? };
        for _ in 1..WRITES {
            match run_async(connection, statement.clone()).await {
                Err(DatabaseError::Unavailable(_)) => {}
                result => return result,
            }
        }
        run_async(connection, statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        // On an error the connection is dropped, and its unfinished transaction with it.
        let connection = connect().await?;
        for sql in SQLITE_PRAGMAS {
            execute(&connection, sql)?;
        }
        transaction(&connection, statements)
    }
}

fn transaction(connection: &Connection, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.into_iter().enumerate() {
        let guard = statement.guard;
        let rows = run(connection, statement)?;
        if guard && rows.is_empty() {
            execute(connection, "ROLLBACK")?;
            return Ok(TransactionOutcome::Refused(index));
        }
        results.push(rows);
    }
    execute(connection, "COMMIT")?;
    Ok(TransactionOutcome::Committed(results))
}
