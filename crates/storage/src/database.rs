//! The port to a SQL database, and its values.
//!
//! SQL here is written once for SQLite and PostgreSQL. Parameters are `?1`, `?2`, ...; `now_ms()` is the database's clock in milliseconds, constant
//! within a statement; `string_agg(text, separator)` joins the texts of many rows. [`Dialect::render`] writes these in the database's dialect. All
//! other differences are in the two files of a migration.

use std::{future::Future, ops::RangeInclusive, str::FromStr};

use domain::{Id, Timestamp};

use crate::StorageError;

/// The operations that the store needs of a database.
pub trait Database: Send + Sync {
    /// The SQL dialect of the database.
    fn dialect(&self) -> Dialect;

    /// Runs one statement, which is atomic, and returns all its rows.
    fn query(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, DatabaseError>> + Send;

    /// Runs statements in one transaction. Only migrations need it; everything else is a single statement.
    ///
    /// A guard ([`Statement::must_return`]) that returns no row rolls back.
    fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<TransactionOutcome, DatabaseError>> + Send;
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionOutcome {
    /// All statements took effect. Contains the rows of each.
    Committed(Vec<Vec<Row>>),
    /// Nothing took effect: the guard at this index returned no row.
    Refused(usize),
}

/// Why the database failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database cannot be reached or is too busy. It did nothing, so a retry may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The connection broke before the answer. It is unknown whether the statement took effect.
    #[error("the database's answer was lost: {0}")]
    Lost(String),
    /// The statement refers to a row that does not exist (any more), most often a deleted account.
    #[error("{query} refers to a row that does not exist")]
    Orphaned {
        /// The query's name.
        query: &'static str,
    },
    /// The database is full or read-only. Nothing was stored, and a retry does not help until an administrator fixes it.
    #[error("the database cannot be written to: {0}")]
    Unwritable(String),
    /// The database refused the statement.
    #[error("the database refused {query}: {message}")]
    Refused {
        /// The query's name.
        query: &'static str,
        /// The database's message.
        message: String,
    },
}

impl DatabaseError {
    /// A code for it, without the database's words.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Lost(_) => "lost",
            Self::Orphaned { .. } => "orphaned",
            Self::Unwritable(_) => "unwritable",
            Self::Refused { .. } => "refused",
        }
    }
}

/// The error for an SQLSTATE of PostgreSQL. A retry may help when there was a conflict with another transaction (class 40, 55P03), or the server is
/// starting, has no resources or too little time (53, 57), or is a replica that has not been promoted yet (25006); it did nothing then. When the
/// server is shutting down, the statement may have taken effect. PostgreSQL documentation, appendix A.
#[must_use]
pub fn postgres_error(query: &'static str, sqlstate: &str, message: &str) -> DatabaseError {
    let message = match sqlstate.get(..2) {
        // Messages of data exceptions quote the value.
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

/// The error for a message of SQLite, which is all that Spin passes on. A locked database will be free again. A full or read-only disk will not:
/// SQLite cannot create its files beside the database there, either.
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

/// Settings that SQLite needs on every connection that writes: foreign keys are checked, and deleted data is overwritten, so that it cannot be found
/// in free pages of the file.
pub const SQLITE_PRAGMAS: [&str; 2] = ["PRAGMA foreign_keys = ON", "PRAGMA secure_delete = ON"];

/// The SQL dialect of a database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// SQLite 3.43 or later.
    Sqlite,
    /// PostgreSQL 15 or later.
    Postgres,
}

impl Dialect {
    /// Translates our SQL to this dialect.
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
    /// A name for logs and errors. It contains no data.
    pub name: &'static str,
    /// The SQL, before [`Dialect::render`].
    pub sql: String,
    /// The parameters, `?1` first.
    pub parameters: Vec<Value>,
    /// In a transaction: whether a result without rows rolls back.
    pub guard: bool,
    /// Whether the statement must be on the disk before it counts as done.
    pub durable: bool,
    /// Whether a second execution does no harm and gives a true result, if it is unknown whether the first took effect.
    pub repeatable: bool,
}

impl Statement {
    /// A statement, repeatable if it only reads.
    pub fn new(name: &'static str, sql: impl Into<String>, parameters: impl Into<Vec<Value>>) -> Self {
        let sql = sql.into();
        let mut statement =
            Self { name, sql, parameters: parameters.into(), guard: false, durable: false, repeatable: false };
        statement.repeatable = statement.reads();
        statement
    }

    /// Whether the statement changes nothing.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.sql.trim_start().starts_with("SELECT")
    }

    /// Makes the statement wait for the disk, because it stores a person's only copy.
    #[must_use]
    pub fn durably(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Marks a write as [repeatable](Self::repeatable). Reads always are.
    #[must_use]
    pub fn repeatably(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Makes the statement a guard: in a transaction, a result without rows rolls back.
    #[must_use]
    pub fn must_return(mut self) -> Self {
        self.guard = true;
        self
    }
}

/// A value in a row or a parameter.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// SQL's null.
    Null,
    /// A signed integer of 64 bits.
    Integer(i64),
    /// UTF-8 text.
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

/// A text as it is stored: NUL becomes the replacement character in both databases. PostgreSQL's text cannot hold NUL, and nobody can read it.
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

/// A row. Its columns are read by position.
#[derive(Clone, PartialEq, Debug)]
pub struct Row(pub Vec<Value>);

/// Reads the columns of a row in order. Errors name the query and the column.
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
    /// [`StorageError::Row`], as in all of these, if the column is something else.
    pub fn text(&mut self) -> Result<&'a str, StorageError> {
        self.take("text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The next column as text or null.
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

    /// The next column as a number or null.
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

    /// The next column as a boolean.
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

    /// The next column, parsed from its text.
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

    /// The next column as an id or null.
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

    /// The next column, converted from its text by `read`.
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

/// The parameters of these numbers, as a list: `?1, ?2, ?3`.
pub(crate) fn places(numbers: RangeInclusive<usize>) -> String {
    numbers.map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

/// The SQL condition for the rows after a page, whose last id was `before`, newest first. It is there only if there is a page before: SQLite uses no
/// index for a condition that may also be empty.
pub(crate) fn after_page(column: &str, before: Option<Id>, parameters: &mut Vec<Value>) -> String {
    let Some(before) = before else { return String::new() };
    parameters.push(before.into());
    format!("AND {column} < ?{}", parameters.len())
}
