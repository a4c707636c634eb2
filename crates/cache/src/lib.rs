//! What an instance remembers for a while, and work that is done once for all its requests.
//!
//! Pure: time and tasks are behind the port [`Clock`]. Nothing here outlives an instance or is shared between instances; such data is in the
//! database. The cache does not decide who may see an entry: the caller's key must say for whom the entry is.

mod remembered;
mod single_flight;

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};

pub use remembered::Cache;
pub use single_flight::SingleFlight;

/// Time, and background tasks.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Clock {
    /// The time since a fixed moment. It never goes back, and is the same for the whole instance.
    fn now(&self) -> Duration;

    /// Waits for a duration.
    async fn sleep(&self, duration: Duration);

    /// Runs a task in the background. The task may be dropped midway, with the request that started it.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

/// Awaits a future with a timeout. `None`: the future took longer and was dropped.
pub async fn within<T>(clock: &impl Clock, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
