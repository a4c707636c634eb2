//! How long a call may still take, for tools that make several requests in one call.

use std::time::{Duration, Instant};

use tool_provider::Context;

/// What is left of the caller's patience for the way back.
const MARGIN: Duration = Duration::from_millis(500);

/// A time that all requests of a call share.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now on.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    /// As long as the caller waits, and a moment less. Begins now, so it is made first.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self::after(context.deadline.saturating_sub(MARGIN))
    }

    /// What is left; zero when it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.start.elapsed())
    }
}
