//! The storage port over PostgreSQL, for native programs: migrating ahead of time, copying a database, and testing the
//! storage crate against the real one. The app itself goes through Spin. [`server`] starts a throwaway server for tests.
//!
//! It must accept no more than Spin's own driver does: a number is `bigint` and nothing else. So SQL that passes here passes there.

pub mod server;
mod url;

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use storage::{Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, Value, database::postgres_error};
use tokio::runtime::Handle;
use tokio_postgres::{
    Client,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

pub use url::PostgresUrl;

/// A database on a server. Keeps one connection between calls, and makes another if that one has ended or is in use.
///
/// Any executor may await a call, as long as the Tokio runtime in which the database was opened lives.
#[derive(Debug)]
pub struct PostgresDatabase {
    url: PostgresUrl,
    runtime: Handle,
    /// Taken out during a call. A call that is dropped halfway closes the connection, and the server rolls back.
    idle: Mutex<Option<Client>>,
}

impl PostgresDatabase {
    /// Connects, so that a wrong address is known at once. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// As [`PostgresUrl::connect`].
    pub async fn open(url: PostgresUrl) -> Result<Self, DatabaseError> {
        let client = url.connect().await?;
        Ok(Self { url, runtime: Handle::current(), idle: Mutex::new(Some(client)) })
    }

    async fn take(&self) -> Result<Client, DatabaseError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        match idle {
            Some(client) if !client.is_closed() => Ok(client),
            _ => {
                let url = self.url.clone();
                let connecting = self.runtime.spawn(async move { url.connect().await });
                connecting.await.map_err(|error| DatabaseError::Unavailable(error.to_string()))?
            }
        }
    }

    fn put_back(&self, client: Client) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
    }
}

impl Database for PostgresDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let client = self.take().await?;
        let result = run(&client, &statement).await;
        // When the server ends a connection, this error comes before the connection counts as closed.
        if !matches!(result, Err(DatabaseError::Unavailable(_) | DatabaseError::Lost(_))) {
            self.put_back(client);
        }
        result
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        let client = self.take().await?;
        client.batch_execute("BEGIN").await.map_err(|error| database_error("begin", &error))?;
        let result = run_all(&client, &statements).await;
        let end = if matches!(result, Ok(TransactionOutcome::Committed(_))) { "COMMIT" } else { "ROLLBACK" };
        let ended = client.batch_execute(end).await;
        match (&result, ended) {
            (Ok(_), Err(error)) => return Err(database_error("end_transaction", &error)),
            // This connection must not be used again. The first error says more.
            (Err(_), Err(_)) | (Err(DatabaseError::Unavailable(_) | DatabaseError::Lost(_)), Ok(())) => {}
            (_, Ok(())) => self.put_back(client),
        }
        result
    }
}

async fn run_all(client: &Client, statements: &[Statement]) -> Result<TransactionOutcome, DatabaseError> {
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        let rows = run(client, statement).await?;
        if statement.guard && rows.is_empty() {
            return Ok(TransactionOutcome::Refused(index));
        }
        results.push(rows);
    }
    Ok(TransactionOutcome::Committed(results))
}

async fn run(client: &Client, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
    let query = statement.name;
    let failed = |error: tokio_postgres::Error| database_error(query, &error);
    let prepared = client.prepare(&Dialect::Postgres.render(&statement.sql)).await.map_err(failed)?;
    // The driver would say less about this, and its error would count as a fault of the connection.
    let types = prepared.params();
    if types.len() != statement.parameters.len() {
        let message = format!("it takes {} parameters, {} were given", types.len(), statement.parameters.len());
        return Err(DatabaseError::Refused { query, message });
    }
    for (index, (value, type_)) in statement.parameters.iter().zip(types).enumerate() {
        let (kind, fits) = match value {
            Value::Null => ("null", true),
            Value::Integer(_) => ("an integer", <i64 as ToSql>::accepts(type_)),
            Value::Text(_) => ("text", <&str as ToSql>::accepts(type_)),
        };
        if !fits {
            let message = format!("parameter {} is taken as {type_}, and is {kind}", index + 1);
            return Err(DatabaseError::Refused { query, message });
        }
    }
    let parameters = statement.parameters.iter().map(parameter);
    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.collect();
    let rows = client.query(&prepared, &parameters).await.map_err(failed)?;
    rows.iter().map(|row| read(query, row)).collect()
}

/// A value as a parameter of the driver. The server has decided its type.
#[must_use]
pub fn parameter(value: &Value) -> &(dyn ToSql + Sync) {
    match value {
        Value::Null => &Null,
        Value::Integer(integer) => integer,
        Value::Text(text) => text,
    }
}

/// `NULL` of any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A row of the driver as a row of the port.
///
/// # Errors
/// [`DatabaseError::Refused`] for a column that is neither a whole number nor text.
pub fn read(query: &'static str, row: &tokio_postgres::Row) -> Result<Row, DatabaseError> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(index, column)| {
        row.try_get::<_, Cell>(index).map(|cell| cell.0).map_err(|_| {
            let message = format!("column {} is {}, which is not read here", column.name(), column.type_());
            DatabaseError::Refused { query, message }
        })
    });
    Ok(Row(values.collect::<Result<_, _>>()?))
}

/// The value of a column.
struct Cell(Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(type_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *type_ {
            Type::INT2 => Value::Integer(i16::from_sql(type_, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(type_, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(type_, raw)?),
            _ => Value::Text(String::from_sql(type_, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(type_: &Type) -> bool {
        matches!(*type_, Type::INT2 | Type::INT4 | Type::INT8) || <String as FromSql>::accepts(type_)
    }
}

/// The port's error for an error of the driver. It has the server's message and SQLSTATE but never its details, because they quote rows.
#[must_use]
pub fn database_error(query: &'static str, error: &tokio_postgres::Error) -> DatabaseError {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return DatabaseError::Lost(format!("{error}{cause}"));
    };
    postgres_error(query, said.code().code(), said.message())
}
