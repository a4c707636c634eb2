//! The port to a SQL database, and the values that cross it.
//!
//! SQL here is written once for SQLite and PostgreSQL: parameters are `?1`, `?2`, ...; `now_ms()` is the database's clock in
//! milliseconds, the same throughout a statement; `string_agg(text, separator)` joins the texts of many rows. [`Dialect::render`] writes both as the database wants them. Nothing else differs here;
//! what must differ stands side by side in `migrations/`.

use std::{future::Future, str::FromStr};

use domain::{Id, Timestamp};

use crate::StorageError;

/// What a database must do for us.
pub trait Database: Send + Sync {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// Runs one statement, which is atomic by itself, and returns all its rows.
    fn query(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Runs statements in one transaction of its own: migrations. Everything else is a single statement.
    ///
    /// A guard ([`Statement::must_return`]) that returns no row rolls back.
    fn transaction(&self, statements: Vec<Statement>) -> impl Future<Output = Result<Outcome, DatabaseError>> + Send;
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All of it; the rows of each statement.
    Committed(Vec<Vec<Row>>),
    /// None of it: the guard at this index returned no row.
    Refused(usize),
}

/// The database failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached, or is too busy, and did nothing. Trying again may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It went away before it answered: nobody knows whether the statement was carried out.
    #[error("the database's answer was lost: {0}")]
    Lost(String),
    /// What it refers to is not there (any more): an account that is gone, most often.
    #[error("what {query} refers to does not exist")]
    Orphaned {
        /// Which query.
        query: &'static str,
    },
    /// It has no room left, or may only be read: nothing was stored, and nothing will be until somebody sees to it.
    #[error("the database cannot be written to: {0}")]
    Unwritable(String),
    /// It refused the statement.
    #[error("the database refused {query}: {message}")]
    Refused {
        /// Which query.
        query: &'static str,
        /// Its words.
        message: String,
    },
}

/// What PostgreSQL's SQLSTATE means. Trying again may help when others were in the way (class 40, 55P03), the server is coming up, has no
/// room or too little time (53, 57), or is a replica that has not been promoted yet (25006); it did nothing then. While it goes down,
/// a statement may have been carried out. PostgreSQL documentation, appendix A.
#[must_use]
pub fn postgres_error(query: &'static str, sqlstate: &str, message: &str) -> DatabaseError {
    let message = match sqlstate.get(..2) {
        // Data exceptions quote the value.
        Some("22") => format!("SQLSTATE {sqlstate}"),
        _ => format!("{message} (SQLSTATE {sqlstate})"),
    };
    match (sqlstate, sqlstate.get(..2)) {
        ("53100", _) => DatabaseError::Unwritable(message),
        ("57P01" | "57P02", _) | (_, Some("08")) => DatabaseError::Lost(message),
        ("25006" | "55P03", _) | (_, Some("40" | "53" | "57")) => DatabaseError::Unavailable(message),
        ("23503", _) => DatabaseError::Orphaned { query },
        _ => DatabaseError::Refused { query, message },
    }
}

/// What SQLite's words mean when it refuses a statement; Spin passes on nothing else. That others are in the way passes; that a disk is full or may
/// only be read does not: then SQLite cannot make the files it needs beside the database, either.
#[must_use]
pub fn sqlite_error(query: &'static str, message: String) -> DatabaseError {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["locked", "busy"]) {
        DatabaseError::Unavailable(message)
    } else if says(&["disk is full", "readonly database", "unable to open database file"]) {
        DatabaseError::Unwritable(message)
    } else if says(&["FOREIGN KEY constraint failed"]) {
        DatabaseError::Orphaned { query }
    } else {
        DatabaseError::Refused { query, message }
    }
}

/// What SQLite forgets with every connection that writes: what is written must refer to what there is, and what is deleted is overwritten, so
/// that nobody finds it in the file's free pages.
pub const SQLITE_PRAGMAS: [&str; 2] = ["PRAGMA foreign_keys = ON", "PRAGMA secure_delete = ON"];

/// Which SQL a database speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// SQLite 3.43 or later.
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

impl Dialect {
    /// Our SQL as this database reads it.
    #[must_use]
    pub fn render(self, sql: &str) -> String {
        match self {
            Self::Sqlite => sql
                .replace("now_ms()", "CAST(unixepoch('subsec') * 1000 AS INTEGER)")
                .replace("string_agg(", "group_concat("),
            Self::Postgres => sql
                .replace("now_ms()", "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)")
                .replace('?', "$"),
        }
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    /// A name for logs and errors; never data.
    pub name: &'static str,
    /// SQL before [`Dialect::render`].
    pub sql: String,
    /// `?1` first.
    pub parameters: Vec<Value>,
    /// Whether returning no row rolls the transaction back.
    pub guard: bool,
    /// Whether it must have reached the disk before it counts as done.
    pub durable: bool,
    /// Whether sending it once more does no harm and tells the truth, when nobody knows whether it was carried out.
    pub repeatable: bool,
}

impl Statement {
    /// A statement.
    pub fn new(name: &'static str, sql: impl Into<String>, parameters: impl Into<Vec<Value>>) -> Self {
        let sql = sql.into();
        let mut statement =
            Self { name, sql, parameters: parameters.into(), guard: false, durable: false, repeatable: false };
        statement.repeatable = statement.reads();
        statement
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.sql.trim_start().starts_with("SELECT")
    }

    /// Waits for the disk: what it stores is somebody's only copy.
    #[must_use]
    pub fn durably(mut self) -> Self {
        self.durable = true;
        self
    }

    /// A write that may be sent once more: see [`Self::repeatable`]. Reading always may.
    #[must_use]
    pub fn repeatably(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Makes it a guard: in a transaction, no row means roll back.
    #[must_use]
    pub fn must_return(mut self) -> Self {
        self.guard = true;
        self
    }
}

/// A value in a row or a parameter.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// 64 bits, signed.
    Integer(i64),
    /// UTF-8.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(i64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(storable(value))
    }
}

/// A text as it is stored: the character NUL, which PostgreSQL's text cannot hold and nobody can read, is the replacement character
/// in both databases.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

impl From<Id> for Value {
    fn from(value: Id) -> Self {
        Self::Text(value.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row, read by position.
#[derive(Clone, PartialEq, Debug)]
pub struct Row(pub Vec<Value>);

/// Reads columns of one row and remembers where it went wrong.
#[derive(Debug)]
pub struct Columns<'a> {
    query: &'static str,
    row: &'a Row,
    next: usize,
}

impl Row {
    /// Starts reading at the first column.
    #[must_use]
    pub const fn columns(&self, query: &'static str) -> Columns<'_> {
        Columns { query, row: self, next: 0 }
    }
}

impl<'a> Columns<'a> {
    fn take<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, StorageError> {
        let column = self.next;
        self.next += 1;
        self.row.0.get(column).and_then(read).ok_or(StorageError::Row { query: self.query, column, expected })
    }

    /// The next column as text.
    ///
    /// # Errors
    /// [`StorageError::Row`], as in all of these, when the column is something else.
    pub fn text(&mut self) -> Result<&'a str, StorageError> {
        self.take("text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The next column as text or nothing.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn optional_text(&mut self) -> Result<Option<&'a str>, StorageError> {
        self.take("text or null", |value| match value {
            Value::Text(text) => Some(Some(text.as_str())),
            Value::Null => Some(None),
            Value::Integer(_) => None,
        })
    }

    /// The next column as a number.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn integer(&mut self) -> Result<i64, StorageError> {
        self.take("an integer", |value| match value {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        })
    }

    /// The next column as a number or nothing.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn optional_integer(&mut self) -> Result<Option<i64>, StorageError> {
        self.take("an integer or null", |value| match value {
            Value::Integer(integer) => Some(Some(*integer)),
            Value::Null => Some(None),
            Value::Text(_) => None,
        })
    }

    /// The next column as yes or no.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn flag(&mut self) -> Result<bool, StorageError> {
        Ok(self.integer()? != 0)
    }

    /// The next column as milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn timestamp(&mut self) -> Result<Timestamp, StorageError> {
        Ok(Timestamp::from_millis(self.integer()?))
    }

    /// The next column as what its text says.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn parsed<T: FromStr>(&mut self, expected: &'static str) -> Result<T, StorageError> {
        self.take(expected, |value| match value {
            Value::Text(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// The next column as an id.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn id(&mut self) -> Result<Id, StorageError> {
        self.parsed("an id")
    }

    /// The next column as an id or nothing.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn optional_id(&mut self) -> Result<Option<Id>, StorageError> {
        self.take("an id or null", |value| match value {
            Value::Text(text) => text.parse().ok().map(Some),
            Value::Null => Some(None),
            Value::Integer(_) => None,
        })
    }

    /// The next column as what `read` makes of its text.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, StorageError> {
        self.take(expected, |value| match value {
            Value::Text(text) => read(text),
            _ => None,
        })
    }
}
