//! The app's PostgreSQL: started for the benchmark, which reads its CPU time and the statements it got. Knows no tables, except to recognise the
//! statements of a new instance.

use std::fmt;

use anyhow::{Context as _, ensure};
use native_postgres::PostgresDatabase;
use native_postgres::server::{Options, Server};
use serde::Serialize;
use storage::{Database as _, Row, Statement};

use crate::process::Meter;

/// Spin keeps up to 64 connections for each of the ten components with a database; the rest is for the benchmark.
const MAX_CONNECTIONS: u32 = 64 * 10 + 10;
/// The app's database. Statements are counted for each database, so the benchmark's own queries use another one.
const DATABASE: &str = "app";
/// How much of a statement is shown: enough to tell it from the others.
const SHOWN_CHARACTERS: usize = 88;
/// The statements with which Spin's pool cleans a connection before it reuses it.
const CLEANING: [&str; 6] =
    ["CLOSE ALL", "SET SESSION AUTHORIZATION", "RESET ALL", "UNLISTEN", "SELECT pg_advisory_unlock_all", "DISCARD"];
/// Tables that only a new instance reads: to check the applied migrations, and to get the keys for tokens.
const READ_BY_NEW_INSTANCES: [&str; 2] = ["schema_migrations", "signing_keys"];

/// A server with the app's database.
pub(crate) struct Postgres {
    counts: PostgresDatabase,
    meter: Meter,
    server: Server,
}

/// A statement that the server got, with numbers in the place of values.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sent {
    pub(crate) sql: String,
    pub(crate) times: i64,
    /// Time for planning and executing, over all executions, without waiting for the disk at the end of the transaction.
    pub(crate) total_us: i64,
    pub(crate) longest_us: i64,
}

/// Why a statement was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Work,
    Batch,
    NewInstance,
    Pool,
}

impl Sent {
    pub(crate) fn reason(&self) -> Reason {
        if CLEANING.iter().any(|cleaning| self.sql.starts_with(cleaning)) {
            Reason::Pool
        } else if READ_BY_NEW_INSTANCES.iter().any(|table| self.sql.contains(table)) {
            Reason::NewInstance
        } else if self.sql.contains("INSERT INTO run_events") {
            Reason::Batch
        } else {
            Reason::Work
        }
    }
}

/// The beginning of the statement on one line. If it begins with a table of values, the part after that table.
impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.sql.split_whitespace().collect();
        let begins = words.first() == Some(&"WITH");
        let verb = words.iter().position(|word| !begins || ["INSERT", "UPDATE", "SELECT"].contains(word));
        let line = words.get(verb.unwrap_or_default()..).unwrap_or_default().join(" ").replace('|', "\\|");
        let shown: String = line.chars().take(SHOWN_CHARACTERS).collect();
        write!(f, "`{shown}{}`", if shown.len() < line.len() { " …" } else { "" })
    }
}

impl Postgres {
    /// Starts it with commits that wait for the disk and with counted statements.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = vec![
            setting("shared_preload_libraries", "pg_stat_statements"),
            setting("pg_stat_statements.track_planning", "on"),
        ];
        let options = Options { max_connections: MAX_CONNECTIONS, fsync: true, settings };
        let server = Server::start(&std::env::current_dir()?, options)?;
        server.create_database(DATABASE)?;
        let counts = PostgresDatabase::open(server.url("postgres").parse()?).await?;
        counts.query(Statement::new("count", "CREATE EXTENSION pg_stat_statements", [])).await?;
        let rows = counts.query(Statement::new("pid", "SELECT pg_backend_pid()", [])).await?;
        let backend = rows.first().context("no process serves the connection")?.columns("pid").integer()?;
        Ok(Self { counts, meter: Meter::of(backend.try_into()?)?.parent()?, server })
    }

    /// The address of the app's database.
    pub(crate) fn url(&self) -> String {
        self.server.url(DATABASE)
    }

    /// A separate connection to the app's database.
    pub(crate) async fn open(&self) -> anyhow::Result<PostgresDatabase> {
        Ok(PostgresDatabase::open(self.url().parse()?).await?)
    }

    /// Its version, as `18.6`.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let sql = "SELECT current_setting('server_version')";
        let rows = self.counts.query(Statement::new("version", sql, [])).await?;
        Ok(rows.first().context("no version")?.columns("version").text()?.to_owned())
    }

    /// CPU time so far of all its processes.
    pub(crate) fn cpu_ms(&self) -> anyhow::Result<f64> {
        self.meter.family_cpu_ms()
    }

    /// Resets the counts of statements.
    pub(crate) async fn forget_statements(&self) -> anyhow::Result<()> {
        let sql = "SELECT CAST(pg_stat_statements_reset() AS text)";
        ensure!(!self.counts.query(Statement::new("reset", sql, [])).await?.is_empty(), "statements are not counted");
        Ok(())
    }

    /// The statements for the app's database since then, the most expensive first.
    pub(crate) async fn statements(&self) -> anyhow::Result<Vec<Sent>> {
        const QUERY: &str = "statements";
        let sql = "SELECT query, calls, CAST((total_plan_time + total_exec_time) * 1000 AS bigint),
                       CAST((max_plan_time + max_exec_time) * 1000 AS bigint)
                   FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = ?1) ORDER BY 3 DESC";
        let rows = self.counts.query(Statement::new(QUERY, sql, [DATABASE.into()])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            let sql = columns.text()?.to_owned();
            let (times, total_us, longest_us) = (columns.integer()?, columns.integer()?, columns.integer()?);
            Ok(Sent { sql, times, total_us, longest_us })
        };
        rows.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sql: &str) -> Sent {
        Sent { sql: sql.to_owned(), times: 1, total_us: 1, longest_us: 1 }
    }

    #[test]
    fn a_statement_is_shown_by_what_it_does() {
        let values = "WITH held (run_id) AS (VALUES ($1))\n  SELECT a || b FROM held";
        assert_eq!(sent(values).to_string(), r"`SELECT a \|\| b FROM held`");
        let long = format!("SELECT {}", "x".repeat(200));
        assert_eq!(sent(&long).to_string().chars().count(), SHOWN_CHARACTERS + 4);
    }

    #[test]
    fn what_the_pool_and_new_instances_send_is_told_apart() {
        assert!(sent("RESET ALL").reason() == Reason::Pool);
        assert!(sent("SELECT version FROM schema_migrations").reason() == Reason::NewInstance);
        assert!(sent("WITH e AS (VALUES ($1)) INSERT INTO run_events (a) SELECT 1").reason() == Reason::Batch);
        assert!(sent("SELECT 1").reason() == Reason::Work);
    }
}
