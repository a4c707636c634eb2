//! State with the lifetime of an instance: its store and its keys.
//!
//! An instance serves unrelated people, so no person's data is ever kept here.

use std::cell::OnceCell;

use axum::Router;
use cache::SingleFlight;
use send_wrapper::SendWrapper;
use storage::{MasterKey, StorageError, Store, migration::migrate};
use web::{
    App, Site,
    log::{Level, log},
};

use crate::{
    SpinClock, SpinDatabase,
    variables::{granted, variable},
};

thread_local! {
    static APP: OnceCell<App<SpinDatabase>> = const { OnceCell::new() };
    /// The instance's first requests may come together; one of them opens the database.
    static OPENING: SingleFlight<Result<App<SpinDatabase>, StorageError>> = SingleFlight::default();
    /// After a pause, one of the requests that come together reads what decides about tokens.
    static READING: SingleFlight<()> = SingleFlight::default();
    static ROUTER: OnceCell<Router> = const { OnceCell::new() };
}

/// The instance's app, if its database is open.
#[must_use]
pub fn opened() -> Option<App<SpinDatabase>> {
    APP.with(|app| app.get().cloned())
}

/// The instance's app. The first call opens the database and applies missing migrations.
///
/// # Errors
/// The database could not be opened or migrated. All requests that waited get the error; later requests try again.
pub fn app(component: &'static str) -> impl Future<Output = Result<App<SpinDatabase>, StorageError>> + Send {
    // axum wants futures that may move to another thread. A guest has one, so none ever does.
    SendWrapper::new(async move {
        if let Some(app) = opened() {
            return Ok(app);
        }
        let opening = OPENING.with(Clone::clone);
        opening.run_here(&SpinClock, || open(component)).await
    })
}

/// Like [`app`], but the opening goes on if the caller stops waiting, which a caller with a time limit of its own would else do in the middle of a
/// migration: PostgreSQL would keep its transaction open, and everybody else waiting for their turn, until the server ends it. It costs the first
/// request of an instance some milliseconds.
///
/// # Errors
/// As [`app`].
pub fn app_opened_apart(
    component: &'static str,
) -> impl Future<Output = Result<App<SpinDatabase>, StorageError>> + Send {
    SendWrapper::new(async move {
        if let Some(app) = opened() {
            return Ok(app);
        }
        let opening = OPENING.with(Clone::clone);
        opening.run(&SpinClock, || open(component)).await
    })
}

/// Has what decides about tokens read, once for all concurrent requests. If that fails, each of them tries again by itself and says why.
pub(crate) async fn read_access(app: &App<SpinDatabase>) {
    if !app.knows_access() {
        READING.with(Clone::clone).run_here(&SpinClock, || async { drop(app.read_access().await) }).await;
    }
}

/// The instance's router, made with its first request: what it consists of is the same for all of them.
pub(crate) async fn router(make: impl AsyncFnOnce() -> Router) -> Router {
    if let Some(router) = ROUTER.with(|router| router.get().cloned()) {
        return router;
    }
    let made = make().await;
    ROUTER.with(|router| router.get_or_init(|| made).clone())
}

async fn open(component: &'static str) -> Result<App<SpinDatabase>, StorageError> {
    let database = SpinDatabase::open().await?;
    for name in migrate(&database).await? {
        log(component, Level::Info, "applied a migration", std::collections::BTreeMap::from([("migration", name)]));
    }
    let site = Site::new(&variable("public_url").await);
    // An instance that took a failure for "not granted" would say so for all of its life.
    let configured = granted("master_key").await?;
    let is_unset = configured.as_deref() == Some("");
    let master_key = configured.map_or_else(MasterKey::not_granted, MasterKey::new);
    if is_unset {
        let message =
            "master_key is not set: whoever copies the database can read what people said, and log in as anybody";
        log(component, Level::Warn, message, std::collections::BTreeMap::<&str, &str>::new());
    }
    let store = Store::with_master_key(database, master_key);
    Ok(APP.with(|app| app.get_or_init(|| App::over(store, site).of_component(component)).clone()))
}
