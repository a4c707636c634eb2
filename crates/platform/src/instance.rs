//! What lives as long as an instance: the store on its one long-lived connection, and the keys.
//!
//! An instance serves people who have nothing to do with each other, so nothing of anybody's is ever kept here.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use storage::{StorageError, migration::migrate};
use web::{
    App, Site,
    log::{Level, log},
};

use crate::{SpinDatabase, variables::variable};

static APP: OnceLock<App<SpinDatabase>> = OnceLock::new();

/// Somebody opens the database.
static OPENING: AtomicBool = AtomicBool::new(false);

/// Poll interval while another request opens the database: less than the opening takes.
const LOOK: Duration = Duration::from_millis(1);

/// Ends the opening, however it ends. Whoever waited for one that failed tries for themselves, all at once: one after the other, the last would
/// wait as often as there are requests for a database that does not answer.
struct Opening;

impl Drop for Opening {
    fn drop(&mut self) {
        OPENING.store(false, Ordering::Relaxed);
    }
}

/// The instance's app; the first call opens the database and brings it up to date.
///
/// # Errors
/// Whatever keeps the database from being opened or migrated.
pub async fn app(component: &'static str) -> Result<App<SpinDatabase>, StorageError> {
    if let Some(app) = APP.get() {
        return Ok(app.clone());
    }
    if OPENING.swap(true, Ordering::Relaxed) {
        // A request cannot wake another one: the runtime knows events of the host only.
        while OPENING.load(Ordering::Relaxed) {
            crate::sleep(LOOK).await;
        }
        if let Some(app) = APP.get() {
            return Ok(app.clone());
        }
    }
    let _opening = Opening;
    let database = SpinDatabase::open().await?;
    for name in migrate(&database).await? {
        log(component, Level::Info, "applied a migration", std::collections::BTreeMap::from([("migration", name)]));
    }
    let site = Site::new(&variable("public_url").await);
    Ok(APP.get_or_init(|| App::new(database, site)).clone())
}
