//! The file of a database and the connections to it.
//!
//! SQLite reads the whole schema before a connection's first statement, which takes longer than most statements. So a connection that a guest
//! closed is kept, and the next `open` gets it, with the settings of a new one. Only `last-insert-rowid` and `changes` may tell the difference.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// The file of the database `default`, named as in Spin.
const DATABASE_FILE: &str = "sqlite_db.db";

/// How many closed connections are kept. An instance has up to three, and each takes about half a megabyte.
const MAX_KEPT: usize = 64;

/// The settings that a guest may change on a connection that is kept.
const RESTORED: [&str; 3] = ["foreign_keys", "secure_delete", "synchronous"];

/// A database file, and the connections to it that guests have closed.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    closed: Mutex<Vec<Arc<Mutex<Kept>>>>,
}

/// A connection with what makes it a new one again.
#[derive(Debug)]
struct Kept {
    connection: rusqlite::Connection,
    /// Sets the values that the settings had at first.
    restore: String,
    /// Whether a guest did something that cannot be restored.
    is_changed: Arc<AtomicBool>,
}

impl Kept {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let mut connection = rusqlite::Connection::open(path)?;
        let mut restore = String::new();
        for name in RESTORED {
            let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
            restore += &format!("PRAGMA {name} = {value};");
        }
        let is_changed = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&is_changed);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            use AuthAction::{
                Attach, CreateTempIndex, CreateTempTable, CreateTempTrigger, CreateTempView, CreateVtable, Pragma,
            };
            match context.action {
                Attach { filename } if !matches!(filename, "" | ":memory:") => return Authorization::Deny,
                Pragma { pragma_value: None, .. } => {}
                Pragma { pragma_name, .. } if RESTORED.contains(&pragma_name) => {}
                Attach { .. } | Pragma { .. } | CreateVtable { .. } => noticed.store(true, Ordering::Relaxed),
                CreateTempIndex { .. } | CreateTempTable { .. } | CreateTempTrigger { .. } | CreateTempView { .. } => {
                    noticed.store(true, Ordering::Relaxed);
                }
                _ => {}
            }
            Authorization::Allow
        }))?;
        Ok(Self { connection, restore, is_changed })
    }

    /// Makes it a new one again, if that can be.
    fn restore(&self) -> bool {
        !self.is_changed.load(Ordering::Relaxed)
            && self.connection.is_autocommit()
            && self.connection.execute_batch(&self.restore).is_ok()
    }
}

impl DatabaseFile {
    /// The file `default` in a state folder. It is made when it is first opened.
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self { path: state_folder.join(DATABASE_FILE), closed: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// An open connection; the guest has a handle for it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Lent>);

/// Gives the connection back when nobody has it any more.
#[derive(Debug)]
struct Lent {
    connection: Arc<Mutex<Kept>>,
    file: Arc<DatabaseFile>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let is_new = locked(&self.connection).restore();
        let mut closed = locked(&self.file.closed);
        if is_new && closed.len() < MAX_KEPT {
            closed.push(Arc::clone(&self.connection));
        }
    }
}

impl Connection {
    /// Opens a database file, and makes it if it does not exist. `ATTACH` of other files is refused, as in Spin.
    pub(crate) fn open(file: &Arc<DatabaseFile>) -> rusqlite::Result<Self> {
        let closed = locked(&file.closed).pop();
        let connection = match closed {
            Some(connection) => connection,
            None => Arc::new(Mutex::new(Kept::open(&file.path)?)),
        };
        Ok(Self(Arc::new(Lent { connection, file: Arc::clone(file) })))
    }

    /// Runs statements that return nothing.
    pub(crate) fn execute_batch(&self, statements: &str) -> anyhow::Result<()> {
        self.with(|connection| connection.execute_batch(statements)).context("the statements failed")
    }

    pub(super) fn with<R>(&self, run: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        run(&locked(&self.0.connection).connection)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
