//! Spin's PostgreSQL behind the storage port.
//!
//! A connection is taken for one statement and given back after it. Spin keeps 64 connections for an address, all instances of a host share
//! them, and a statement that finds none free waits without limit. So no connection is held while waiting for a model, a tool, a reader or
//! another connection, and a future that may hold one is polled until it is done.
//!
//! A statement that did nothing, because of a conflict or because the server was unreachable, is retried. A statement whose response was lost is
//! retried only if it says that this is safe ([`Statement::repeatable`]).

use std::time::{Duration, Instant};

use spin_sdk::pg::{Connection, DbValue, ParameterValue, PgError, QueryError};
use storage::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, Value, database::postgres_error};

use crate::sleep;

/// After this time there are no more retries. It is less than a lease.
const PATIENCE: Duration = Duration::from_secs(4);

/// The pause before each retry. Together they are a little over two seconds, enough for a server to restart or be replaced.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1_200),
];

/// How long, and how often, a statement retries when the server has no connection free. Other statements release theirs after milliseconds, and
/// the server closes unused ones ([`DEFAULTS`]). It may be longer than a lease, because nothing was done, but is shorter than people wait.
const QUEUE_PATIENCE: Duration = Duration::from_secs(20);
const QUEUE_PAUSE: Duration = Duration::from_millis(250);

/// PostgreSQL's messages when it has no connection free (53300): in total, for a role or a database, or except for administrators.
const NO_ROOM: [&str; 3] = ["too many clients", "too many connections", "connection slots are reserved"];

/// Added to the address unless it sets them itself. Times are in seconds; our statements take milliseconds. If an instance traps, its open
/// transaction would otherwise keep its locks and pass to the connection's next user. Spin keeps connections for each component and never closes
/// one, so a component's busiest hour would lock the others out.
const DEFAULTS: [(&str, &str); 4] = [
    ("application_name", "edge-assistant"),
    ("connect_timeout", "5"),
    ("tcp_user_timeout", "3"),
    (
        "options",
        "-c%20statement_timeout%3D5s%20-c%20lock_timeout%3D3s%20-c%20idle_in_transaction_session_timeout%3D10s%20-c%20idle_session_timeout%3D60s",
    ),
];

/// The database at `database_url`.
pub struct SpinPostgres {
    address: String,
}

impl std::fmt::Debug for SpinPostgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address contains a password.
        f.debug_struct("SpinPostgres").finish_non_exhaustive()
    }
}

impl SpinPostgres {
    /// For an address `postgres://user:password@host:port/database?sslmode=require`. Nothing is opened yet.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let mut address = url.to_owned();
        for (name, value) in DEFAULTS {
            let named = address.contains(&format!("?{name}=")) || address.contains(&format!("&{name}="));
            if !named {
                address.push(if address.contains('?') { '&' } else { '?' });
                address.push_str(&format!("{name}={value}"));
            }
        }
        Self { address }
    }

    async fn connect(&self) -> Result<Connection, DatabaseError> {
        Connection::open(self.address.as_str()).await.map_err(|error| failed("connect", error))
    }

    async fn once(&self, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
        run(&self.connect().await?, statement).await
    }

    async fn transaction_once(&self, statements: &[Statement]) -> Result<TransactionOutcome, DatabaseError> {
        let connection = self.connect().await?;
        execute(&connection, "BEGIN").await?;
        let outcome = in_transaction(&connection, statements).await;
        let end = if matches!(outcome, Ok(TransactionOutcome::Committed(_))) { "COMMIT" } else { "ROLLBACK" };
        // In every case end the transaction: the connection goes back to Spin's pool.
        let ended = execute(&connection, end).await;
        let outcome = outcome?;
        ended?;
        Ok(outcome)
    }
}

async fn in_transaction(
    connection: &Connection,
    statements: &[Statement],
) -> Result<TransactionOutcome, DatabaseError> {
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        let rows = run(connection, statement).await?;
        if statement.guard && rows.is_empty() {
            return Ok(TransactionOutcome::Refused(index));
        }
        results.push(rows);
    }
    Ok(TransactionOutcome::Committed(results))
}

async fn execute(connection: &Connection, sql: &'static str) -> Result<(), DatabaseError> {
    connection.execute(sql, Vec::new()).await.map_err(|error| failed(sql, error))?;
    Ok(())
}

async fn run(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
    let refused = |error| failed(statement.name, error);
    let parameters: Vec<ParameterValue> = statement.parameters.iter().map(parameter).collect();
    let mut result = connection.query(Dialect::Postgres.render(&statement.sql), parameters).await.map_err(refused)?;
    let mut rows = Vec::new();
    while let Some(row) = result.rows().next().await {
        rows.push(Row(row.into_iter().map(value).collect()));
    }
    result.result().await.map_err(refused)?;
    Ok(rows)
}

fn parameter(value: &Value) -> ParameterValue {
    match value {
        Value::Null => ParameterValue::DbNull,
        Value::Integer(integer) => ParameterValue::Int64(*integer),
        Value::Text(text) => ParameterValue::Str(text.clone()),
    }
}

fn value(value: DbValue) -> Value {
    match value {
        DbValue::Boolean(boolean) => Value::Integer(i64::from(boolean)),
        DbValue::Int16(integer) => Value::Integer(i64::from(integer)),
        DbValue::Int32(integer) => Value::Integer(i64::from(integer)),
        DbValue::Int64(integer) => Value::Integer(integer),
        DbValue::Str(text) => Value::Text(text),
        // Our columns have no other types.
        _ => Value::Null,
    }
}

fn failed(query: &'static str, error: spin_sdk::pg::Error) -> DatabaseError {
    match error {
        // The server's own message, without `detail`, which may contain what people wrote.
        spin_sdk::pg::Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            postgres_error(query, &error.code, &error.message)
        }
        // The server sent no response. Spin passes the driver's message on; it names one of two kinds if the connection is gone.
        spin_sdk::pg::Error::PgError(PgError::QueryFailed(QueryError::Text(text))) => {
            if ["kind: Closed", "kind: Io"].iter().any(|word| text.contains(word)) {
                DatabaseError::Lost(text)
            } else {
                DatabaseError::Refused { query, message: text }
            }
        }
        spin_sdk::pg::Error::PgError(PgError::ConnectionFailed(text)) if text.contains("is not permitted") => {
            // Spin's message contains the address.
            let told = "database_host does not allow the server that database_url names";
            DatabaseError::Refused { query, message: told.to_owned() }
        }
        spin_sdk::pg::Error::PgError(PgError::ConnectionFailed(text)) => DatabaseError::Unavailable(text),
        other => DatabaseError::Refused { query, message: other.to_string() },
    }
}

/// The remaining pauses before retries.
struct Pauses {
    started: Instant,
    next: std::array::IntoIter<Duration, 5>,
}

impl Pauses {
    fn new() -> Self {
        Self { started: Instant::now(), next: PAUSES.into_iter() }
    }

    /// The pause after an attempt that did nothing.
    fn after(&mut self, error: &DatabaseError) -> Option<Duration> {
        let waited = self.started.elapsed();
        match error {
            DatabaseError::Unavailable(words) if NO_ROOM.iter().any(|no_room| words.contains(no_room)) => {
                Some(QUEUE_PAUSE).filter(|_| waited < QUEUE_PATIENCE)
            }
            _ => self.next.next().filter(|_| waited < PATIENCE),
        }
    }
}

impl Database for SpinPostgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let mut pauses = Pauses::new();
        loop {
            let error = match self.once(&statement).await {
                Err(error @ DatabaseError::Unavailable(_)) => error,
                Err(error @ DatabaseError::Lost(_)) if statement.repeatable => error,
                result => return result,
            };
            let Some(pause) = pauses.after(&error) else { return Err(error) };
            sleep(pause).await;
        }
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        let mut pauses = Pauses::new();
        loop {
            let error = match self.transaction_once(&statements).await {
                // A migration that was executed has inserted its row, so a second attempt is refused.
                Err(error @ (DatabaseError::Unavailable(_) | DatabaseError::Lost(_))) => error,
                result => return result,
            };
            let Some(pause) = pauses.after(&error) else { return Err(error) };
            sleep(pause).await;
        }
    }
}
