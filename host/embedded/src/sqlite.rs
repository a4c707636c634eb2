//! `spin:sqlite@3.1.0` over SQLite files in the state folder, with the semantics of Spin's own.
//!
//! Every `open` is as a new connection ([`file`]): 5 s busy timeout (`rusqlite`'s default), rollback journal until a statement changes it. Statements run on
//! their own threads, so a slow one does not block others.

use std::sync::Arc;

use rusqlite::types::{FromSql, FromSqlResult, Value as SqlValue, ValueRef};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::spin::sqlite::sqlite::{self as wit, Error, QueryResult, RowResult, Value};
use crate::instance::{Spin, SpinView};
use crate::row_stream::RowStream;

mod file;

pub use file::Connection;
pub(crate) use file::DatabaseFile;

/// The largest result that is held in memory, and the largest row of a streamed one; Spin's limit.
const MAX_RESULT_BYTES: usize = 128 << 20;

/// How many rows are read ahead for a guest that streams them; Spin's number.
const ROWS_AHEAD: usize = 4;

type Streamed = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

impl Connection {
    async fn blocking<R: Send + 'static>(
        &self,
        run: impl FnOnce(&rusqlite::Connection) -> R + Send + 'static,
    ) -> wasmtime::Result<R> {
        let this = self.clone();
        Ok(tokio::task::spawn_blocking(move || this.with(run)).await?)
    }

    async fn query(&self, statement: String, parameters: Vec<Value>) -> wasmtime::Result<Result<QueryResult, Error>> {
        self.blocking(move |connection| {
            let mut bytes = 0;
            let mut collected = Vec::new();
            let columns = read_rows(
                connection,
                &statement,
                parameters,
                |columns| columns,
                |row| {
                    bytes += row_bytes(&row);
                    if bytes > MAX_RESULT_BYTES {
                        return Err(too_large());
                    }
                    collected.push(row);
                    Ok(())
                },
            )?;
            Ok(QueryResult { columns, rows: collected })
        })
        .await
    }

    /// Returns the columns at once, the rows as they are read, and at the end whether the statement succeeded. A statement that cannot be
    /// prepared has no columns and an error at the end, as in Spin.
    async fn stream(
        &self,
        statement: String,
        parameters: Vec<Value>,
    ) -> (Vec<String>, mpsc::Receiver<RowResult>, oneshot::Receiver<Result<(), Error>>) {
        let (columns_sender, columns) = oneshot::channel();
        let (rows_sender, rows) = mpsc::channel(ROWS_AHEAD);
        let (end_sender, end) = oneshot::channel();
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let result = this.with(|connection| {
                read_rows(
                    connection,
                    &statement,
                    parameters,
                    |columns| drop(columns_sender.send(columns)),
                    |row| {
                        if row_bytes(&row) > MAX_RESULT_BYTES {
                            return Err(too_large());
                        }
                        rows_sender.blocking_send(row).map_err(|_| Error::Io("the reader left".to_owned()))
                    },
                )
            });
            let _ = end_sender.send(result);
        });
        (columns.await.unwrap_or_default(), rows, end)
    }
}

/// Prepares, binds and steps a statement; `start` gets the columns before the first row.
fn read_rows<C>(
    connection: &rusqlite::Connection,
    statement: &str,
    parameters: Vec<Value>,
    start: impl FnOnce(Vec<String>) -> C,
    mut each: impl FnMut(RowResult) -> Result<(), Error>,
) -> Result<C, Error> {
    let mut statement = connection.prepare_cached(statement).map_err(io_error)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let started = start(columns);
    let parameters = parameters.into_iter().map(|value| match value {
        Value::Integer(integer) => SqlValue::Integer(integer),
        Value::Real(real) => SqlValue::Real(real),
        Value::Text(text) => SqlValue::Text(text),
        Value::Blob(blob) => SqlValue::Blob(blob),
        Value::Null => SqlValue::Null,
    });
    let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(io_error)?;
    while let Some(row) = rows.next().map_err(io_error)? {
        let values = (0..width).map(|column| row.get(column)).collect::<Result<_, _>>().map_err(io_error)?;
        each(RowResult { values })?;
    }
    Ok(started)
}

impl FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(_) => Self::Text(value.as_str()?.to_owned()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_vec()),
        })
    }
}

fn row_bytes(row: &RowResult) -> usize {
    let content = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(blob) => blob.len(),
        Value::Integer(_) | Value::Real(_) | Value::Null => 0,
    };
    row.values.iter().map(|value| size_of::<Value>() + content(value)).sum()
}

fn too_large() -> Error {
    Error::Io(format!("query result exceeds limit of {MAX_RESULT_BYTES} bytes"))
}

fn io_error(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

/// A database, if the component may open it.
fn database(view: &SpinView<'_>, label: &str) -> Result<Arc<DatabaseFile>, Error> {
    if view.grants.sqlite_databases.contains(label) {
        // The manifest was checked at start, so a granted label is always `default`.
        return Ok(Arc::clone(&view.grants.database_file));
    }
    view.grants.report_missing("sqlite_databases", &format!("the database {label:?}"), label);
    Err(Error::AccessDenied)
}

async fn open(file: Arc<DatabaseFile>) -> wasmtime::Result<Result<Connection, Error>> {
    Ok(tokio::task::spawn_blocking(move || Connection::open(&file)).await?.map_err(io_error))
}

impl wit::Host for SpinView<'_> {}

impl wit::HostConnection for SpinView<'_> {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        match database(self, &label) {
            Err(error) => Ok(Err(error)),
            Ok(file) => match open(file).await? {
                Err(error) => Ok(Err(error)),
                Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            },
        }
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let connection = self.table.get(&connection)?.clone();
        connection.query(statement, parameters).await
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Connection>) -> wasmtime::Result<i64> {
        let connection = self.table.get(&connection)?.clone();
        connection.blocking(rusqlite::Connection::last_insert_rowid).await
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        let connection = self.table.get(&connection)?.clone();
        connection.blocking(rusqlite::Connection::changes).await
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

fn connection<T>(accessor: &Accessor<T, Spin>, handle: &Resource<Connection>) -> wasmtime::Result<Connection> {
    accessor.with(|mut access| Ok(access.get().table.get(handle)?.clone()))
}

impl<T: Send> wit::HostConnectionWithStore<T> for Spin {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        match accessor.with(|mut access| database(&access.get(), &label)) {
            Err(error) => Ok(Err(error)),
            Ok(file) => match open(file).await? {
                Err(error) => Ok(Err(error)),
                Ok(connection) => accessor.with(|mut access| Ok(Ok(access.get().table.push(connection)?))),
            },
        }
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        let connection = connection(accessor, &handle)?;
        let (columns, rows, end) = connection.stream(statement, parameters).await;
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, RowStream(rows))?;
            Ok(Ok((columns, rows, FutureReader::new(&mut access, end)?)))
        })
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        handle: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        connection(accessor, &handle)?.blocking(rusqlite::Connection::last_insert_rowid).await
    }

    async fn changes_async(accessor: &Accessor<T, Self>, handle: Resource<Connection>) -> wasmtime::Result<u64> {
        connection(accessor, &handle)?.blocking(rusqlite::Connection::changes).await
    }
}
