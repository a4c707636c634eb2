//! What an instance remembers for a while, and what its requests have done once for all of them.
//!
//! Pure: time and tasks are behind the port [`Clock`]. Nothing here outlives an instance, and nothing is shared between instances: what must be
//! is in the database. Who may see what is remembered is not decided here: whoever asks names a key that says for whom it is.

mod remembered;
mod single_flight;

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};

pub use remembered::Cache;
pub use single_flight::SingleFlight;

/// Time, and work that goes on beside what is waited for.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Clock {
    /// Time since some moment, never going back, the same for all of an instance.
    fn now(&self) -> Duration;

    /// Waits.
    async fn sleep(&self, duration: Duration);

    /// Lets a task run on by itself. It may be dropped in the middle, with the request that began it.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);
}

/// Awaits something for so long at most; `None` when it takes longer, and it is dropped.
pub async fn within<T>(clock: &impl Clock, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(clock.sleep(limit))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
