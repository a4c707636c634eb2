//! What only PostgreSQL can show: many hosts on one database, and a server that goes away and comes back. The rest of the app is tested on
//! it by running the other binaries with `EA_STORE=postgres`, as these are.

mod hosts;
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
