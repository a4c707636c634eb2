//! Stores what this instance has observed ([`metrics`]), for all of them together.
//!
//! An instance lives for seconds, and does not learn when it ends. So the first time is soon after its first request, and after that once in some seconds:
//! a task that sleeps keeps the instance until then. What was observed since is lost if the host dies (docs/adr/0049).

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use storage::{DatabaseError, StorageError};
use web::log::{Level, log};

use crate::{AFTER_RESPONSE, instance, sleep, spawn, tracing};

/// The time between two statements of one instance, and so the longest that a metric is behind.
const INTERVAL: Duration = Duration::from_secs(2);
/// How often in a row an instance tries while the database is away: some seconds, as its server's restart takes. One that has not opened it yet tries once: while
/// the database is away, there may be one for each request.
const MAX_ATTEMPTS: u32 = 3;

thread_local! {
    static STORED: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Stores what was observed in a while, unless somebody is about to, and has what was recorded sent. It is for the end of a request, and of work that
/// outlives one.
pub fn soon(component: &'static str) {
    tracing::soon(component);
    if metrics::is_empty() || IS_WAITING.replace(true) {
        return;
    }
    let since = STORED.get().map(|stored| stored.elapsed());
    let wait = since.map_or(AFTER_RESPONSE, |since| INTERVAL.saturating_sub(since).max(AFTER_RESPONSE));
    // It belongs to no request: it is about many.
    spawn(trace_context::within(None, store(component, wait)));
}

/// Stores until nothing is left: what comes meanwhile is for this task as well, as nobody else looks for it.
async fn store(component: &'static str, mut wait: Duration) {
    let mut failures = 0;
    while !metrics::is_empty() && failures < MAX_ATTEMPTS {
        sleep(wait).await;
        wait = INTERVAL;
        let Err(error) = add(component).await else {
            failures = 0;
            continue;
        };
        if failures == 0 {
            let cause = BTreeMap::from([("cause", error.to_string())]);
            log(component, Level::Warn, "metrics could not be stored", cause);
        }
        failures = if instance::opened().is_some() { failures.saturating_add(1) } else { MAX_ATTEMPTS };
    }
    STORED.set(Some(Instant::now()));
    IS_WAITING.set(false);
}

/// Adds what was observed. What was surely not added, and may be later, is kept. If it is unknown whether it was added, it is lost: a counter that counts
/// twice would be worse.
async fn add(component: &'static str) -> Result<(), StorageError> {
    let app = instance::app(component).await?;
    let samples = metrics::take();
    let added = app.store().add_metrics(&samples).await;
    if matches!(added, Err(StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Unwritable(_)))) {
        metrics::put_back(samples);
    }
    added
}
