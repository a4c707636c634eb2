//! The storage of the hosts under test: SQLite in each host's state folder, or a database of a real PostgreSQL.

use std::{env, path::Path};

use anyhow::Result;
use native_postgres::{
    PostgresDatabase,
    server::{self, Server, SharedDatabase},
};
use native_sqlite::SqliteFile;
use storage::{Database as _, Row, Statement};

use crate::repository;

/// Whether hosts store everything in PostgreSQL.
#[must_use]
pub fn is_postgres() -> bool {
    env::var("EA_STORE").is_ok_and(|store| store == "postgres")
}

/// A new database for a host; `None`: SQLite.
pub(crate) fn new_database() -> Result<Option<SharedDatabase>> {
    is_postgres().then(|| server::shared_database(&repository())).transpose()
}

/// The file of a host's SQLite database in its state folder, the same with Spin.
const SQLITE_FILE: &str = "sqlite_db.db";

/// Runs a statement in a host's database beside the host. `url`: in PostgreSQL; `None`: in the SQLite file of this folder.
pub(crate) async fn run(url: Option<&str>, folder: &Path, sql: &str) -> Result<Vec<Row>> {
    let statement = Statement::new("beside_the_host", sql, []);
    Ok(match url {
        Some(url) => PostgresDatabase::open(url.parse()?).await?.query(statement).await?,
        None => SqliteFile::open(&folder.join(SQLITE_FILE))?.query(statement).await?,
    })
}

/// Each row of each table of a PostgreSQL database as text, with the table's name.
pub(crate) async fn every_row(url: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let database = PostgresDatabase::open(url.parse()?).await?;
    let read = async |sql: String| anyhow::Ok(database.query(Statement::new("every_row", sql, [])).await?);
    let text = |row: &Row| row.columns("every_row").text().map(str::to_owned);
    let tables = read("SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = 'public'".to_owned()).await?;
    let mut rows = Vec::new();
    for table in tables.iter().map(text) {
        let table = table?;
        for row in read(format!("SELECT CAST(t AS text) FROM {table} AS t")).await? {
            rows.push((table.clone(), text(&row)?.into_bytes()));
        }
    }
    Ok(rows)
}

/// A server of a test's own, which the test may stop. It writes to the disk: data that it confirmed is stored.
///
/// # Errors
/// When it does not start.
pub fn own_server() -> Result<Server> {
    Server::start(&repository(), server::Options::default())
}
