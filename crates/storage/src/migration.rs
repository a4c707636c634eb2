//! Brings a database to the schema of this build.
//!
//! Applied by whichever component first opens an older database, and by `cargo dev migrate`; two at once do no harm: each migration is
//! one transaction that begins by waiting for its turn and taking its own row in `schema_migrations`.

use sha2::{Digest, Sha256};

use crate::{Database, Dialect, Outcome, Statement, StorageError};

/// One file of `migrations/`.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The number its name begins with.
    pub version: i64,
    /// The file's name without what comes after a dot.
    pub name: &'static str,
    /// The file for SQLite.
    pub sqlite: &'static str,
    /// The file for PostgreSQL, which is the same one unless the dialects differ.
    pub postgres: &'static str,
}

/// All of them, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "0001_initial",
        sqlite: include_str!("../../../migrations/0001_initial.sql"),
        postgres: include_str!("../../../migrations/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "0002_commands",
        sqlite: include_str!("../../../migrations/0002_commands.sqlite.sql"),
        postgres: include_str!("../../../migrations/0002_commands.postgres.sql"),
    },
    Migration {
        version: 3,
        name: "0003_tools",
        sqlite: include_str!("../../../migrations/0003_tools.sql"),
        postgres: include_str!("../../../migrations/0003_tools.sql"),
    },
    Migration {
        version: 4,
        name: "0004_tool_commands",
        sqlite: include_str!("../../../migrations/0004_tool_commands.sqlite.sql"),
        postgres: include_str!("../../../migrations/0004_tool_commands.postgres.sql"),
    },
    Migration {
        version: 5,
        name: "0005_tool_secrets",
        sqlite: include_str!("../../../migrations/0005_tool_secrets.sql"),
        postgres: include_str!("../../../migrations/0005_tool_secrets.sql"),
    },
    Migration {
        version: 6,
        name: "0006_model_dialects",
        sqlite: include_str!("../../../migrations/0006_model_dialects.sqlite.sql"),
        postgres: include_str!("../../../migrations/0006_model_dialects.postgres.sql"),
    },
    Migration {
        version: 7,
        name: "0007_sessions",
        sqlite: include_str!("../../../migrations/0007_sessions.sql"),
        postgres: include_str!("../../../migrations/0007_sessions.sql"),
    },
    Migration {
        version: 8,
        name: "0008_always_asks",
        sqlite: include_str!("../../../migrations/0008_always_asks.sql"),
        postgres: include_str!("../../../migrations/0008_always_asks.sql"),
    },
    Migration {
        version: 9,
        name: "0009_tool_results",
        sqlite: include_str!("../../../migrations/0009_tool_results.sqlite.sql"),
        postgres: include_str!("../../../migrations/0009_tool_results.postgres.sql"),
    },
    Migration {
        version: 11,
        name: "0011_permissions",
        sqlite: include_str!("../../../migrations/0011_permissions.sqlite.sql"),
        postgres: include_str!("../../../migrations/0011_permissions.postgres.sql"),
    },
];

/// Any number that nobody else who shares the database locks: "edge" in ASCII.
const ADVISORY_LOCK: i64 = 0x6564_6765;

impl Migration {
    /// The file that a database reads.
    #[must_use]
    pub const fn sql(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }

    /// SHA-256 of that file, in hexadecimal.
    #[must_use]
    pub fn hash(&self, dialect: Dialect) -> String {
        Sha256::digest(self.sql(dialect).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The statements of that file: each ends with a semicolon before an empty line.
    pub fn statements(&self, dialect: Dialect) -> impl Iterator<Item = &'static str> {
        self.sql(dialect).split(";\n\n").map(str::trim).filter(|statement| !statement.is_empty())
    }
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version bigint PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at bigint NOT NULL)";

/// Applies what is missing. Returns the names of the migrations that this call applied.
///
/// The usual case, nothing to do, is one statement.
///
/// # Errors
/// [`StorageError::MigrationChanged`] when the database's newest migration is not the one in this build; else whatever the database says.
pub async fn migrate(database: &impl Database) -> Result<Vec<&'static str>, StorageError> {
    // An error here most often means that there is no such table yet; if it means more, the next statement says so.
    let applied = applied_migrations(database).await.unwrap_or_default();
    let dialect = database.dialect();
    if applied.last().is_some_and(|(version, _)| *version >= latest_version()) {
        check(dialect, &applied)?;
        return Ok(Vec::new());
    }
    if dialect == Dialect::Sqlite {
        // Readers and the writer do not wait for each other; it lasts. Refused while somebody else is inside: they are doing it.
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
            Outcome::Committed(_) => applied.push(migration.name),
            Outcome::Refused(_) => {}
        }
    }
    Ok(applied)
}

/// One host after the other: PostgreSQL lets two transactions create the same table and refuses the second at its end. SQLite has one
/// writer at a time as it is.
fn lock(dialect: Dialect) -> Statement {
    let sql = match dialect {
        Dialect::Sqlite => "SELECT 1".to_owned(),
        Dialect::Postgres => format!("SELECT 1 FROM (SELECT pg_advisory_xact_lock({ADVISORY_LOCK})) AS taken"),
    };
    Statement::new("lock_migrations", sql, [])
}

fn latest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// Versions and hashes, in order.
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

/// A newer database is fine (expand, then contract); a different one is not.
fn check(dialect: Dialect, applied: &[(i64, String)]) -> Result<(), StorageError> {
    for (version, hash) in applied {
        let ours = MIGRATIONS.iter().find(|migration| migration.version == *version);
        if ours.is_some_and(|migration| migration.hash(dialect) != *hash) {
            return Err(StorageError::MigrationChanged { version: *version });
        }
    }
    Ok(())
}
