//! Brings a database to the schema of this build.
//!
//! The component that first opens an older database applies the migrations, or `cargo dev migrate` does. Two at once do no harm: each migration is
//! one transaction that first waits for its turn and inserts its row into `schema_migrations`.

use crate::{Database, Dialect, Statement, StorageError, TransactionOutcome};

/// One file of `migrations/`.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The number at the beginning of the file's name.
    pub version: i64,
    /// The file's name without its extensions.
    pub name: &'static str,
    /// The text for SQLite.
    pub sqlite: &'static str,
    /// The text for PostgreSQL, the same unless the dialects differ.
    pub postgres: &'static str,
    /// SHA-256 of the two texts, in hexadecimal.
    pub hashes: [&'static str; 2],
}

/// All migrations, in order: the build script lists the files.
pub const MIGRATIONS: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The number of our advisory lock, "edge" in ASCII. Any number will do that nobody else locks in the same database.
const ADVISORY_LOCK: i64 = 0x6564_6765;

/// Hashes of texts of 0020 that builds applied before it had its present one. 0029 makes up for the difference.
const EARLIER_TEXTS: [(i64, &str); 2] = [
    (20, "60f58a2a71347a2dcd4450cab86276908963453766917cc6305c34fec69011ad"),
    (20, "e26fcf9995d14fadfeb6b1d1944c00c79df1b462ac4c9b4e0887c82e631cb9d1"),
];

impl Migration {
    /// The text for a database.
    #[must_use]
    pub const fn sql(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }

    /// SHA-256 of this text, in hexadecimal.
    #[must_use]
    pub const fn hash(&self, dialect: Dialect) -> &'static str {
        let [sqlite, postgres] = self.hashes;
        match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        }
    }

    /// The statements of this text. Each ends with a semicolon before an empty line.
    pub fn statements(&self, dialect: Dialect) -> impl Iterator<Item = &'static str> {
        self.sql(dialect).split(";\n\n").map(str::trim).filter(|statement| !statement.is_empty())
    }
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version bigint PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at bigint NOT NULL)";

/// Applies the missing migrations and returns their names.
///
/// In the usual case there are none, and this takes one statement.
///
/// # Errors
/// [`StorageError::MigrationChanged`] if an applied migration differs from this build's; otherwise those of the database.
pub async fn migrate(database: &impl Database) -> Result<Vec<&'static str>, StorageError> {
    // An error here usually means that the table does not exist yet. Any other fault will also fail the next statement.
    let applied = applied_migrations(database).await.unwrap_or_default();
    let dialect = database.dialect();
    // All, not only the newest: a build may have been without one in the middle.
    let is_applied = |migration: &Migration| applied.iter().any(|(version, _)| *version == migration.version);
    if MIGRATIONS.iter().all(is_applied) {
        check(dialect, &applied)?;
        return Ok(Vec::new());
    }
    if dialect == Dialect::Sqlite {
        // With a write-ahead log, readers and the writer do not wait for each other. The setting is permanent. It is refused while another connection
        // uses the database, which then does the same.
        let _ = database.query(Statement::new("wal", "PRAGMA journal_mode = WAL", [])).await;
    }
    database.transaction(vec![lock(dialect), Statement::new("create_schema_migrations", CREATE_TABLE, [])]).await?;
    check(dialect, &applied_migrations(database).await?)?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        let mut statements = vec![
            lock(dialect),
            Statement::new(
                "take_migration",
                "INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES (?1, ?2, ?3, now_ms())
                 ON CONFLICT DO NOTHING RETURNING version",
                [migration.version.into(), migration.name.into(), migration.hash(dialect).into()],
            )
            .must_return(),
        ];
        statements.extend(migration.statements(dialect).map(|sql| Statement::new("migration", sql, [])));
        match database.transaction(statements).await? {
            TransactionOutcome::Committed(_) => applied.push(migration.name),
            TransactionOutcome::Refused(_) => {}
        }
    }
    Ok(applied)
}

/// Makes hosts take turns: PostgreSQL lets two transactions create the same table, and refuses the second at its end. SQLite has only one writer at a
/// time anyway.
fn lock(dialect: Dialect) -> Statement {
    let sql = match dialect {
        Dialect::Sqlite => "SELECT 1".to_owned(),
        Dialect::Postgres => format!("SELECT 1 FROM (SELECT pg_advisory_xact_lock({ADVISORY_LOCK})) AS taken"),
    };
    Statement::new("lock_migrations", sql, [])
}

/// The versions and hashes of the applied migrations, in order.
async fn applied_migrations(database: &impl Database) -> Result<Vec<(i64, String)>, StorageError> {
    const QUERY: &str = "applied_migrations";
    let sql = "SELECT version, sha256 FROM schema_migrations ORDER BY version";
    let rows = database.query(Statement::new(QUERY, sql, [])).await?;
    rows.iter()
        .map(|row| {
            let mut columns = row.columns(QUERY);
            Ok((columns.integer()?, columns.text()?.to_owned()))
        })
        .collect()
}

/// A newer database is accepted (expand, then contract); changed migrations are not.
fn check(dialect: Dialect, applied: &[(i64, String)]) -> Result<(), StorageError> {
    for (version, hash) in applied {
        let ours = MIGRATIONS.iter().find(|migration| migration.version == *version);
        let is_earlier = EARLIER_TEXTS.contains(&(*version, hash.as_str()));
        if ours.is_some_and(|migration| migration.hash(dialect) != *hash) && !is_earlier {
            return Err(StorageError::MigrationChanged { version: *version });
        }
    }
    Ok(())
}
