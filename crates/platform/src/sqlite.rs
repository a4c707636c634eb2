//! Spin's SQLite behind the storage port.
//!
//! An instance has two long-lived connections, one that waits for the disk and one that does not. A transaction, which only migrations
//! need, has a connection to itself, because sixteen requests share the instance and would otherwise be inside it.
//!
//! The calls are the interface's plain ones, not its `-async` ones: a statement takes tens of microseconds, less than the three more
//! crossings between guest and host that a stream of rows needs.

use std::sync::OnceLock;

use spin_sdk::sqlite::{
    self, Error,
    wit::sqlite::{Connection, QueryResult},
};
use storage::{Database, DatabaseError, Dialect, Outcome, Row, Statement, Value};

/// The database that `spin.toml` grants as `default`.
pub struct SpinSqlite {
    quick: Connection,
    /// Opened when it is first needed: who only reads never does.
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
    pub fn open() -> Result<Self, DatabaseError> {
        let quick = connect()?;
        // Events are logged many times a second, and what the machine loses when it crashes is asked of the model again:
        // those commits need not wait for the disk.
        execute(&quick, "PRAGMA synchronous = NORMAL")?;
        Ok(Self { quick, durable: OnceLock::new() })
    }

    fn durable(&self) -> Result<&Connection, DatabaseError> {
        if let Some(connection) = self.durable.get() {
            return Ok(connection);
        }
        let connection = connect()?;
        execute(&connection, "PRAGMA synchronous = FULL")?;
        Ok(self.durable.get_or_init(|| connection))
    }
}

fn connect() -> Result<Connection, DatabaseError> {
    let connection = Connection::open("default").map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    // SQLite forgets this with every connection.
    execute(&connection, "PRAGMA foreign_keys = ON")?;
    Ok(connection)
}

fn execute(connection: &Connection, sql: &'static str) -> Result<QueryResult, DatabaseError> {
    connection.execute(sql, &[]).map_err(|error| failed(sql, error))
}

fn failed(query: &'static str, error: Error) -> DatabaseError {
    match error {
        Error::Io(message) if !(message.contains("locked") || message.contains("busy")) => {
            DatabaseError::Refused { query, message }
        }
        other => DatabaseError::Unavailable(other.to_string()),
    }
}

fn run(connection: &Connection, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
    let parameters: Vec<sqlite::Value> = statement
        .parameters
        .into_iter()
        .map(|value| match value {
            Value::Null => sqlite::Value::Null,
            Value::Integer(integer) => sqlite::Value::Integer(integer),
            Value::Text(text) => sqlite::Value::Text(text),
        })
        .collect();
    let result = connection
        .execute(&Dialect::Sqlite.render(&statement.sql), &parameters)
        .map_err(|error| failed(statement.name, error))?;
    Ok(result.rows.into_iter().map(|row| Row(row.values.into_iter().map(value).collect())).collect())
}

fn value(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Text(text) => Value::Text(text),
        // No column of ours holds either.
        sqlite::Value::Null | sqlite::Value::Real(_) | sqlite::Value::Blob(_) => Value::Null,
    }
}

impl Database for SpinSqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        run(if statement.durable { self.durable()? } else { &self.quick }, statement)
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<Outcome, DatabaseError> {
        // On an error the connection is dropped, and with it whatever it had begun.
        transaction(&connect()?, statements)
    }
}

fn transaction(connection: &Connection, statements: Vec<Statement>) -> Result<Outcome, DatabaseError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.into_iter().enumerate() {
        let guard = statement.guard;
        let rows = run(connection, statement)?;
        if guard && rows.is_empty() {
            execute(connection, "ROLLBACK")?;
            return Ok(Outcome::Refused(index));
        }
        results.push(rows);
    }
    execute(connection, "COMMIT")?;
    Ok(Outcome::Committed(results))
}
