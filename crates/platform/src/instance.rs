//! What lives as long as an instance: the store on its one long-lived connection, and the keys.
//!
//! An instance serves people who have nothing to do with each other, so nothing of anybody's is ever kept here.

use std::sync::OnceLock;

use storage::{StorageError, migration::migrate};
use web::{
    App,
    log::{Level, log},
};

use crate::SpinDatabase;

static APP: OnceLock<App<SpinDatabase>> = OnceLock::new();

/// The instance's app; the first call opens the database and brings it up to date.
///
/// # Errors
/// Whatever keeps the database from being opened or migrated.
pub async fn app(component: &'static str) -> Result<App<SpinDatabase>, StorageError> {
    if let Some(app) = APP.get() {
        return Ok(app.clone());
    }
    let database = SpinDatabase::open().await?;
    for name in migrate(&database).await? {
        log(component, Level::Info, "applied a migration", std::collections::BTreeMap::from([("migration", name)]));
    }
    // Two first requests may both come here; one connection too many is opened and closed again.
    Ok(APP.get_or_init(|| App::new(database)).clone())
}
