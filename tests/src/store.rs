//! Where the hosts under test keep everything: SQLite in each host's state folder, or a database of a real PostgreSQL.

use std::{
    env,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use native_postgres::server::{self, Server};

use crate::repository;

/// Hosts times the connections that each keeps, and some for the tests.
const MAX_CONNECTIONS: u32 = 400;

/// Whether hosts are to keep everything in PostgreSQL.
#[must_use]
pub fn is_postgres() -> bool {
    env::var("EA_STORE").is_ok_and(|store| store == "postgres")
}

/// The address of a new database for a host; `None`: SQLite.
pub(crate) fn new_database() -> Result<Option<String>> {
    if is_postgres() { shared_database().map(Some) } else { Ok(None) }
}

/// A server of a test's own, which it may stop. Its disk is real: what it said was stored is.
///
/// # Errors
/// When it does not start.
pub fn own_server() -> Result<Server> {
    Server::start(&repository(), server::Options { max_connections: MAX_CONNECTIONS, ..server::Options::default() })
}

fn shared_database() -> Result<String> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    static DATABASES: AtomicUsize = AtomicUsize::new(0);
    let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if SERVER.get().is_none() {
        let options = server::Options { max_connections: MAX_CONNECTIONS, fsync: false, ..server::Options::default() };
        let _ = SERVER.set(Server::start(&repository(), options)?);
    }
    drop(starting);
    let server = SERVER.get().context("the server has not started")?;
    server.create_database(&format!("app_{}", DATABASES.fetch_add(1, Ordering::Relaxed)))
}
