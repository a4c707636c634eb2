//! Spin's SQLite behind the storage port.
//!
//! Single statements share one long-lived connection. A transaction has a connection to itself, because sixteen requests share the
//! instance and would otherwise be inside it; such connections are kept for the next one.

use std::sync::{Mutex, PoisonError};

use spin_sdk::sqlite::{self, Connection, Error};
use storage::{Database, DatabaseError, Dialect, Outcome, Row, Statement, Value};

/// Connections kept for transactions: as many as requests share an instance.
const MAX_IDLE_CONNECTIONS: usize = 16;

/// The database that `spin.toml` grants as `default`.
pub struct SpinSqlite {
    shared: Connection,
    idle: Mutex<Vec<Connection>>,
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
        Ok(Self { shared: connect().await?, idle: Mutex::new(Vec::new()) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect() -> Result<Connection, DatabaseError> {
    let connection =
        Connection::open_default().await.map_err(|error| DatabaseError::Unavailable(error.to_string()))?;
    // SQLite forgets this with every connection.
    run(&connection, &plain("PRAGMA foreign_keys = ON")).await?;
    Ok(connection)
}

fn plain(sql: &'static str) -> Statement {
    Statement::new(sql, sql, [])
}

fn failed(query: &'static str, error: Error) -> DatabaseError {
    match error {
        Error::Io(message) if !(message.contains("locked") || message.contains("busy")) => {
            DatabaseError::Refused { query, message }
        }
        other => DatabaseError::Unavailable(other.to_string()),
    }
}

async fn run(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
    let parameters = statement.parameters.iter().map(|value| match value {
        Value::Null => sqlite::Value::Null,
        Value::Integer(integer) => sqlite::Value::Integer(*integer),
        Value::Text(text) => sqlite::Value::Text(text.clone()),
    });
    let rows = async { connection.execute(Dialect::Sqlite.render(&statement.sql), parameters).await?.collect().await }
        .await
        .map_err(|error| failed(statement.name, error))?;
    Ok(rows.into_iter().map(|row| Row(row.values.into_iter().map(value).collect())).collect())
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
        run(&self.shared, &statement).await
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<Outcome, DatabaseError> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect().await?,
        };
        // On an error the connection is dropped, and with it whatever it had begun.
        let outcome = transaction(&connection, statements).await?;
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE_CONNECTIONS {
            idle.push(connection);
        }
        Ok(outcome)
    }
}

async fn transaction(connection: &Connection, statements: Vec<Statement>) -> Result<Outcome, DatabaseError> {
    run(connection, &plain("BEGIN IMMEDIATE")).await?;
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        let rows = run(connection, statement).await?;
        if statement.guard && rows.is_empty() {
            run(connection, &plain("ROLLBACK")).await?;
            return Ok(Outcome::Refused(index));
        }
        results.push(rows);
    }
    run(connection, &plain("COMMIT")).await?;
    Ok(Outcome::Committed(results))
}
