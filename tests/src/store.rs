//! The storage of the hosts under test: SQLite in each host's state folder, or a database of a real PostgreSQL.

use std::env;

use anyhow::Result;
use native_postgres::{
    PostgresDatabase,
    server::{self, Server},
};
use storage::{Database as _, Row, Statement};

use crate::repository;

/// Whether hosts store everything in PostgreSQL.
#[must_use]
pub fn is_postgres() -> bool {
    env::var("EA_STORE").is_ok_and(|store| store == "postgres")
}

/// The address of a new database for a host; `None`: SQLite.
pub(crate) fn new_database() -> Result<Option<String>> {
    is_postgres().then(|| server::shared_database(&repository())).transpose()
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
