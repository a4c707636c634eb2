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
/// How often an instance tries while the database is away: some seconds, as its server's restart takes. One that has not opened it yet tries once: while
/// the database is away, there may be one for each request.
const MAX_ATTEMPTS: u32 = 3;

thread_local! {
    static STORED: Cell<Option<Instant>> = const { Cell::new(None) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Stores what was observed in a while, unless somebody is about to, and has what was recorded sent. It is for the end of a request, and of work that
/// outlives one.
pub fn soon(component: &'static str) {
    tracing::soon();
    if metrics::is_empty() || IS_WAITING.replace(true) {
        return;
    }
    let since = STORED.get().map(|stored| stored.elapsed());
    let wait = since.map_or(AFTER_RESPONSE, |since| INTERVAL.saturating_sub(since).max(AFTER_RESPONSE));
    // It belongs to no request: it is about many.
    spawn(trace_context::within(None, async move {
        sleep(wait).await;
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                sleep(INTERVAL).await;
            }
            if store(component, attempt == 0).await {
                break;
            }
        }
        STORED.set(Some(Instant::now()));
        IS_WAITING.set(false);
    }));
}

/// Whether there is nothing more to try. The first failure is logged.
async fn store(component: &'static str, is_first: bool) -> bool {
    let app = match instance::app(component).await {
        Ok(app) => app,
        Err(error) => {
            note(component, &error, is_first);
            return true;
        }
    };
    let samples = metrics::take();
    match app.store().add_metrics(&samples).await {
        // What came meanwhile is for now as well: nobody else looks for it.
        Ok(()) => metrics::is_empty(),
        Err(error) => {
            let is_over = note(component, &error, is_first);
            if !is_over {
                metrics::put_back(samples);
            }
            is_over
        }
    }
}

/// Whether it is over: only what was surely not added, and may be later, is tried again. If it is unknown whether it was added, it is lost: a counter that
/// counts twice would be worse.
fn note(component: &'static str, error: &StorageError, is_first: bool) -> bool {
    if is_first {
        let cause = BTreeMap::from([("cause", error.to_string())]);
        log(component, Level::Warn, "metrics could not be stored", cause);
    }
    !matches!(error, StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Unwritable(_)))
}
