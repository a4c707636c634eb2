//! The storage port over a SQLite file, for native programs: migrating ahead of time, and testing the storage crate
//! against the real database. Blocking, one caller at a time; the app itself goes through Spin.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, TransactionBehavior, types::ValueRef};
use storage::{
    Database, DatabaseError, Dialect, Row, Statement, TransactionOutcome, Value,
    database::{SQLITE_PRAGMAS, sqlite_error},
};

/// The file contains people's conversations, and keys.
const FILE_MODE: u32 = 0o600;

/// A SQLite file.
#[derive(Debug)]
pub struct SqliteFile {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteFile {
    /// Opens or creates the file. Only its owner may read a new file.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] if that fails.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        // If the file cannot be created, SQLite says so.
        let _ = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path);
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connect(path)?) })
    }
}

fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = Connection::open(path).map_err(|error| unavailable(&error))?;
    connection.execute_batch(&SQLITE_PRAGMAS.join(";")).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

fn unavailable(error: &rusqlite::Error) -> DatabaseError {
    DatabaseError::Unavailable(error.to_string())
}

fn run(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, DatabaseError> {
    let refused = |error: rusqlite::Error| sqlite_error(statement.name, error.to_string());
    let mut prepared = connection.prepare_cached(&Dialect::Sqlite.render(&statement.sql)).map_err(refused)?;
    let width = prepared.column_count();
    let parameters = rusqlite::params_from_iter(statement.parameters.iter().map(|value| match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Integer(integer) => rusqlite::types::Value::Integer(*integer),
        Value::Text(text) => rusqlite::types::Value::Text(text.clone()),
    }));
    let mut rows = prepared.query(parameters).map_err(refused)?;
    let mut read = Vec::new();
    while let Some(row) = rows.next().map_err(refused)? {
        let values = (0..width).map(|column| {
            Ok(match row.get_ref(column).map_err(refused)? {
                ValueRef::Integer(integer) => Value::Integer(integer),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
            })
        });
        read.push(Row(values.collect::<Result<_, _>>()?));
    }
    Ok(read)
}

impl Database for SqliteFile {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        run(&self.connection.lock().unwrap_or_else(PoisonError::into_inner), &statement)
    }

    async fn transaction(&self, statements: Vec<Statement>) -> Result<TransactionOutcome, DatabaseError> {
        let mut connection = connect(&self.path)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| unavailable(&error))?;
        let mut results = Vec::with_capacity(statements.len());
        for (index, statement) in statements.iter().enumerate() {
            let rows = run(&transaction, statement)?;
            if statement.guard && rows.is_empty() {
                return Ok(TransactionOutcome::Refused(index));
            }
            results.push(rows);
        }
        transaction.commit().map_err(|error| unavailable(&error))?;
        Ok(TransactionOutcome::Committed(results))
    }
}
