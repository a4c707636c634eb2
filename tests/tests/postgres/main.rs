//! Tests that only PostgreSQL can run: many hosts on one database, and a server that goes away and comes back. They need `EA_STORE=postgres`. With
//! it, the other binaries test the rest of the app on PostgreSQL.

mod hosts;
mod limits;
mod metrics;
mod restart;

/// Returns from a test that needs the server.
macro_rules! on_postgres {
    () => {
        if !tests::is_postgres() || std::env::var_os("EA_URL").is_some() {
            tests::skip!("needs EA_STORE=postgres and hosts of its own");
        }
    };
}
pub(crate) use on_postgres;
