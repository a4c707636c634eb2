//! The storage of the hosts under test: SQLite in each host's state folder, or a database of a real PostgreSQL.

use std::env;

use anyhow::Result;
use native_postgres::server::{self, Server};

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

/// A server of a test's own, which the test may stop. It writes to the disk: data that it confirmed is stored.
///
/// # Errors
/// When it does not start.
pub fn own_server() -> Result<Server> {
    Server::start(&repository(), server::Options::default())
}
