//! The location of a database: a folder or an address.

use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use native_postgres::{PostgresDatabase, PostgresUrl};
use native_sqlite::SqliteFile;
use storage::migration::migrate;

use crate::session::DatabaseSession;

/// The folder of Spin's state.
const STATE_FOLDER: &str = ".spin";
/// The file of Spin's database `default` in it.
const DATABASE_FILE: &str = "sqlite_db.db";

/// The location of a database. Printed without the password.
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(PostgresUrl),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl Place {
    /// A given folder wins over an address from the environment.
    pub(crate) fn new(state_folder: Option<PathBuf>, url: Option<String>) -> Result<Self> {
        match (state_folder, url.filter(|url| !url.is_empty())) {
            (None, Some(url)) => Ok(Self::Postgres(url.parse()?)),
            (folder, _) => Ok(Self::Sqlite(folder.unwrap_or_else(|| STATE_FOLDER.into()).join(DATABASE_FILE))),
        }
    }

    /// Whether the database exists. `true` for a server, which must be asked.
    pub(crate) fn exists(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres(_) => true,
        }
    }

    /// Migrates the database to the schema of this build, making a SQLite file if there is none. Returns the applied migrations.
    pub(crate) async fn migrate(&self) -> Result<Vec<&'static str>> {
        let applied = match self {
            Self::Sqlite(path) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                // It will contain people's conversations and keys.
                let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.with_context(|| format!("cannot make the folder {}", folder.display()))?;
                let database = SqliteFile::open(path).with_context(|| format!("cannot open {self}"))?;
                migrate(&database).await
            }
            Self::Postgres(url) => migrate(&PostgresDatabase::open(url.clone()).await?).await,
        };
        applied.with_context(|| format!("cannot migrate {self}"))
    }

    /// A consistent snapshot of this moment, whatever is written meanwhile.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseSession> {
        let session = match self {
            Self::Sqlite(path) => {
                ensure!(self.exists(), "there is no database at {self}: name its folder with --state-dir");
                DatabaseSession::sqlite(path, "BEGIN").await
            }
            Self::Postgres(url) => {
                DatabaseSession::postgres(url, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
            }
        };
        session.with_context(|| format!("cannot read {self}"))
    }

    /// A transaction that writes. Dropped without [`DatabaseSession::commit`], it changes nothing.
    pub(crate) async fn transaction(&self) -> Result<DatabaseSession> {
        let session = match self {
            Self::Sqlite(path) => DatabaseSession::sqlite(path, "BEGIN IMMEDIATE").await,
            Self::Postgres(url) => DatabaseSession::postgres(url, "BEGIN").await,
        };
        session.with_context(|| format!("cannot write to {self}"))
    }
}
