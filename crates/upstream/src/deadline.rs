//! The remaining time of a call, for tools that make several requests in one call.

use std::time::{Duration, Instant};

use tool_provider::Context;

/// The time that is kept free for the way back to the caller.
const MARGIN: Duration = Duration::from_millis(500);

/// A time limit that all requests of a call share.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// A limit this long from now on.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    /// The time that the caller waits, minus a margin. It starts now, so make it first.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self::after(context.deadline.saturating_sub(MARGIN))
    }

    /// The remaining time; zero once it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}
