//! Brings a database to the schema of this build.
//!
//! The component that first opens an older database applies the migrations, or `cargo dev migrate` does. Two at once do no harm: each migration is
//! one transaction that first waits for its turn and inserts its row into `schema_migrations`.

use sha2::{Digest, Sha256};

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
}

/// All migrations, in order.
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
        version: 10,
        name: "0010_time_zones",
        sqlite: include_str!("../../../migrations/0010_time_zones.sql"),
        postgres: include_str!("../../../migrations/0010_time_zones.sql"),
    },
    Migration {
        version: 11,
        name: "0011_tool_tasks",
        sqlite: include_str!("../../../migrations/0011_tool_tasks.sqlite.sql"),
        postgres: include_str!("../../../migrations/0011_tool_tasks.postgres.sql"),
    },
    Migration {
        version: 12,
        name: "0012_permissions",
        sqlite: include_str!("../../../migrations/0012_permissions.sqlite.sql"),
        postgres: include_str!("../../../migrations/0012_permissions.postgres.sql"),
    },
    Migration {
        version: 13,
        name: "0013_identities",
        sqlite: include_str!("../../../migrations/0013_identities.sqlite.sql"),
        postgres: include_str!("../../../migrations/0013_identities.postgres.sql"),
    },
    Migration {
        version: 14,
        name: "0014_second_factors",
        sqlite: include_str!("../../../migrations/0014_second_factors.sqlite.sql"),
        postgres: include_str!("../../../migrations/0014_second_factors.postgres.sql"),
    },
    // Its triggers about keys add to what those of 0014 do, and stand apart from them: the table of keys is made here, and an applied file
    // never changes.
    Migration {
        version: 15,
        name: "0015_clients",
        sqlite: include_str!("../../../migrations/0015_clients.sqlite.sql"),
        postgres: include_str!("../../../migrations/0015_clients.postgres.sql"),
    },
    Migration {
        version: 16,
        name: "0016_tool_connections",
        sqlite: include_str!("../../../migrations/0016_tool_connections.sql"),
        postgres: include_str!("../../../migrations/0016_tool_connections.sql"),
    },
    Migration {
        version: 17,
        name: "0017_key_rotation",
        sqlite: include_str!("../../../migrations/0017_key_rotation.sqlite.sql"),
        postgres: include_str!("../../../migrations/0017_key_rotation.postgres.sql"),
    },
    Migration {
        version: 18,
        name: "0018_limits",
        sqlite: include_str!("../../../migrations/0018_limits.sqlite.sql"),
        postgres: include_str!("../../../migrations/0018_limits.postgres.sql"),
    },
    Migration {
        version: 19,
        name: "0019_data_keys",
        sqlite: include_str!("../../../migrations/0019_data_keys.sqlite.sql"),
        postgres: include_str!("../../../migrations/0019_data_keys.postgres.sql"),
    },
    Migration {
        version: 20,
        name: "0020_audit_chain",
        sqlite: include_str!("../../../migrations/0020_audit_chain.sqlite.sql"),
        postgres: include_str!("../../../migrations/0020_audit_chain.postgres.sql"),
    },
    Migration {
        version: 21,
        name: "0021_erasure",
        sqlite: include_str!("../../../migrations/0021_erasure.sqlite.sql"),
        postgres: include_str!("../../../migrations/0021_erasure.postgres.sql"),
    },
    Migration {
        version: 22,
        name: "0022_identity_removals",
        sqlite: include_str!("../../../migrations/0022_identity_removals.sqlite.sql"),
        postgres: include_str!("../../../migrations/0022_identity_removals.postgres.sql"),
    },
    Migration {
        version: 23,
        name: "0023_retention",
        sqlite: include_str!("../../../migrations/0023_retention.sqlite.sql"),
        postgres: include_str!("../../../migrations/0023_retention.postgres.sql"),
    },
    Migration {
        version: 24,
        name: "0024_sealing",
        sqlite: include_str!("../../../migrations/0024_sealing.sqlite.sql"),
        postgres: include_str!("../../../migrations/0024_sealing.postgres.sql"),
    },
    Migration {
        version: 25,
        name: "0025_budget_periods",
        sqlite: include_str!("../../../migrations/0025_budget_periods.sqlite.sql"),
        postgres: include_str!("../../../migrations/0025_budget_periods.postgres.sql"),
    },
    Migration {
        version: 26,
        name: "0026_data_key_rotation",
        sqlite: include_str!("../../../migrations/0026_data_key_rotation.sql"),
        postgres: include_str!("../../../migrations/0026_data_key_rotation.sql"),
    },
    Migration {
        version: 27,
        name: "0027_models",
        sqlite: include_str!("../../../migrations/0027_models.sqlite.sql"),
        postgres: include_str!("../../../migrations/0027_models.postgres.sql"),
    },
    Migration {
        version: 28,
        name: "0028_model_providers",
        sqlite: include_str!("../../../migrations/0028_model_providers.sql"),
        postgres: include_str!("../../../migrations/0028_model_providers.sql"),
    },
    Migration {
        version: 29,
        name: "0029_audit_backlog",
        sqlite: include_str!("../../../migrations/0029_audit_backlog.sqlite.sql"),
        postgres: include_str!("../../../migrations/0029_audit_backlog.postgres.sql"),
    },
    Migration {
        version: 30,
        name: "0030_assistants",
        sqlite: include_str!("../../../migrations/0030_assistants.sqlite.sql"),
        postgres: include_str!("../../../migrations/0030_assistants.postgres.sql"),
    },
    Migration {
        version: 31,
        name: "0031_model_requests",
        sqlite: include_str!("../../../migrations/0031_model_requests.sqlite.sql"),
        postgres: include_str!("../../../migrations/0031_model_requests.postgres.sql"),
    },
    Migration {
        version: 32,
        name: "0032_metrics",
        sqlite: include_str!("../../../migrations/0032_metrics.sqlite.sql"),
        postgres: include_str!("../../../migrations/0032_metrics.postgres.sql"),
    },
    Migration {
        version: 33,
        name: "0033_webhooks",
        sqlite: include_str!("../../../migrations/0033_webhooks.sqlite.sql"),
        postgres: include_str!("../../../migrations/0033_webhooks.postgres.sql"),
    },
    Migration {
        version: 34,
        name: "0034_retention_changes",
        sqlite: include_str!("../../../migrations/0034_retention_changes.sqlite.sql"),
        postgres: include_str!("../../../migrations/0034_retention_changes.postgres.sql"),
    },
];

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
    pub fn hash(&self, dialect: Dialect) -> String {
        Sha256::digest(self.sql(dialect).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
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
