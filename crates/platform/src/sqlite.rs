//! Spin's SQLite behind the storage port.
//!
//! Every new connection reads the whole schema, which takes longer than most statements, and most instances do one thing after the other. So an instance
//! opens a further connection only for what cannot be done at one that is busy: at most three, for reads, for writes, and for writes that wait for the
//! disk. A transaction, which only migrations need, gets its own. Otherwise the instance's other requests would run inside the transaction.
//!
//! Reads use the interface's synchronous calls: a read takes microseconds, less than the crossings between guest and host that a stream needs
//! for each row. Writes wait for other writers' locks and for the disk, and a synchronous call would block the whole instance meanwhile, so they
//! use the `-async` calls. Never make a synchronous call at a connection where an asynchronous one goes on: it would wait until the guest has taken the
//! rows of the asynchronous one, and keep the guest from taking them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    open: Mutex<Vec<Arc<Open>>>,
}

/// An open connection.
struct Open {
    connection: Connection,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether commits wait for the disk. `None`: nothing was written yet.
    is_durable: Option<bool>,
    /// Writes that go on. The host does one after the other.
    writes: usize,
}

/// A write that goes on at a connection. One that is given up may still go on at the host: then nothing begins there any more.
struct Write<'a> {
    database: &'a SpinSqlite,
    open: Arc<Open>,
    is_over: bool,
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        if self.is_over {
            let mut state = locked(&self.open.state);
            state.writes = state.writes.saturating_sub(1);
        } else {
            locked(&self.database.open).retain(|open| !Arc::ptr_eq(open, &self.open));
        }
    }
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
        let database = Self { open: Mutex::default() };
        database.fitting(|_| true).await?;
        Ok(database)
    }

    fn find(&self, fits: impl Fn(&State) -> bool) -> Option<Arc<Open>> {
        locked(&self.open).iter().find(|open| fits(&locked(&open.state))).cloned()
    }

    /// A connection that fits; a new one if there is none.
    async fn fitting(&self, fits: impl Fn(&State) -> bool) -> Result<Arc<Open>, DatabaseError> {
        if let Some(open) = self.find(&fits) {
            return Ok(open);
        }
        let connection = connect().await?;
        // Of several that were opened at the same time, one stays.
        if let Some(open) = self.find(&fits) {
            return Ok(open);
        }
        let open = Arc::new(Open { connection, state: Mutex::default() });
        locked(&self.open).push(Arc::clone(&open));
        Ok(open)
    }

    /// Reads at the connection that never writes, if there is one: the host has its statements prepared.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let open = match self.find(|state| state.is_durable.is_none()) {
            Some(open) => open,
            None => self.fitting(|state| state.writes == 0).await?,
        };
        run(&open.connection, statement)
    }

    /// Begins a write. Events are logged many times a second. If the machine crashes, lost events are generated again by the model, so those commits
    /// need not wait for the disk.
    async fn begin(&self, is_durable: bool) -> Result<Write<'_>, DatabaseError> {
        let is_set = |state: &State| state.is_durable == Some(is_durable);
        let open = match self.find(is_set) {
            Some(open) => open,
            None => self.fitting(|state| state.writes == 0 || is_set(state)).await?,
        };
        let mut state = locked(&open.state);
        if state.is_durable.is_none() {
            for sql in SQLITE_PRAGMAS {
                execute(&open.connection, sql)?;
            }
        }
        if state.is_durable != Some(is_durable) {
            let sql = if is_durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            execute(&open.connection, sql)?;
        }
        state.is_durable = Some(is_durable);
        state.writes = state.writes.saturating_add(1);
        drop(state);
        Ok(Write { database: self, open, is_over: false })
    }

    async fn write(&self, statement: Statement) -> Result<Vec<Row>, DatabaseError> {
        let mut write = self.begin(statement.durable).await?;
        let mut result = run_async(&write.open.connection, statement.clone()).await;
        for _ in 1..WRITES {
            if !matches!(result, Err(DatabaseError::Unavailable(_))) {
                break;
            }
            result = run_async(&write.open.connection, statement.clone()).await;
        }
        write.is_over = true;
        result
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        if statement.reads() { self.read(statement).await } else { self.write(statement).await }
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
