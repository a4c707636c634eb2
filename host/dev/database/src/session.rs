//! One transaction on either database, open while rows pass through. The storage port has none, because the app must not hold one. Must not hold
//! a whole table in memory.

use std::path::Path;

use anyhow::{Result, bail};
use futures::{TryStreamExt as _, future::try_join_all};
use native_postgres::{PostgresUrl, database_error, parameter};
use rusqlite::types::{ToSqlOutput, ValueRef};
use storage::{Dialect, Value};
use tokio_postgres::Client;

use crate::schema::Table;

/// An open transaction; dropping it rolls back.
pub(crate) enum DatabaseSession {
    Sqlite(rusqlite::Connection),
    Postgres(Client),
}

impl DatabaseSession {
    pub(crate) async fn sqlite(path: &Path, begin: &str) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(begin)?;
        // The first read makes the snapshot.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(Self::Sqlite(connection))
    }

    pub(crate) async fn postgres(url: &PostgresUrl, begin: &str) -> Result<Self> {
        let client = url.connect().await?;
        let mut session = Self::Postgres(client);
        session.execute(begin).await?;
        // The first statement makes the snapshot.
        session.execute("SELECT 1").await?;
        Ok(session)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql)?,
            Self::Postgres(client) => {
                client.batch_execute(sql).await.map_err(|error| database_error("execute", &error))?;
            }
        }
        Ok(())
    }

    /// Keeps other writers from these tables. In SQLite a writing transaction is the only writer anyway.
    pub(crate) async fn lock(&mut self, tables: &[Table]) -> Result<()> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let names = tables.iter().map(|table| format!("\"{}\"", table.name)).collect::<Vec<_>>().join(", ");
        self.execute(&format!("LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")).await
    }

    /// Passes on each row as it arrives; only a few are in memory.
    pub(crate) async fn select(&mut self, sql: &str, mut each: impl FnMut(Vec<Value>) -> Result<()>) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(sql)?;
                let width = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let values = (0..width).map(|column| sqlite_value(row.get_ref(column)?));
                    each(values.collect::<Result<_>>()?)?;
                }
            }
            Self::Postgres(client) => {
                let failed = |error| database_error("select", &error);
                let rows = client.query_raw(sql, std::iter::empty::<i64>()).await.map_err(failed)?;
                let mut rows = std::pin::pin!(rows);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    each(native_postgres::read("select", &row)?.0)?;
                }
            }
        }
        Ok(())
    }

    /// Runs one statement for each row of parameters.
    pub(crate) async fn insert(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row.iter().map(Parameter)))?;
                }
            }
            Self::Postgres(client) => {
                let failed = |error| database_error("insert", &error);
                let statement = client.prepare(sql).await.map_err(failed)?;
                // Sent one after the other without waiting for the responses.
                let sent = rows.iter().map(|row| client.execute_raw(&statement, row.iter().map(parameter)));
                try_join_all(sent).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        self.execute("COMMIT").await
    }
}

fn sqlite_value(value: ValueRef<'_>) -> Result<Value> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(integer) => Ok(Value::Integer(integer)),
        ValueRef::Text(text) => Ok(Value::Text(std::str::from_utf8(text)?.to_owned())),
        ValueRef::Real(_) | ValueRef::Blob(_) => bail!("a value is neither a whole number nor text"),
    }
}

/// A value for SQLite's driver.
struct Parameter<'a>(&'a Value);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
