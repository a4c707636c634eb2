//! Stores what this instance has observed ([`metrics`]), for all of them together.
//!
//! An instance lives for seconds, and does not learn when it ends. So the first time is soon after its first request, and after that once in some seconds:
//! a task that sleeps keeps the instance until then. What was observed since is lost if the host dies (docs/adr/0049).

use std::{
    cell::Cell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use storage::{Database, DatabaseError, StorageError};
use web::{
    App,
    log::{Level, log},
};

use crate::{AFTER_RESPONSE, sleep, spawn};

/// The time between two statements of one instance, and so the longest that a metric is behind.
const INTERVAL: Duration = Duration::from_secs(2);

thread_local! {
    static STORED: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Stores what was observed in a while, unless somebody is about to. It is for the end of a request, and of work that outlives one.
pub fn soon<D: Database + 'static>(component: &'static str, app: &App<D>) {
    if metrics::is_empty() || IS_WAITING.replace(true) {
        return;
    }
    let since = STORED.get().map(|stored| stored.elapsed());
    let wait = since.map_or(AFTER_RESPONSE, |since| INTERVAL.saturating_sub(since).max(AFTER_RESPONSE));
    let app = app.clone();
    // It belongs to no request: it is about many.
    spawn(trace_context::within(None, async move {
        sleep(wait).await;
        IS_WAITING.set(false);
        STORED.set(Some(Instant::now()));
        let samples = metrics::take();
        if let Err(error) = app.store().add_metrics(&samples).await {
            // Only what was surely not added, and may be later. If it is unknown whether it was, it is lost: a counter that counts twice would be worse.
            if matches!(error, StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Unwritable(_))) {
                metrics::put_back(samples);
            }
            let cause = BTreeMap::from([("cause", error.to_string())]);
            log(component, Level::Warn, "metrics could not be stored", cause);
        }
    }));
}
