//! The rule by which lists are used and made anew. It knows nothing of what is in them.

use cache::{Clock, SingleFlight, within};

use crate::timing::{FIRST_PATIENCE, PATIENCE, STALE_MS};

/// How old something is that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// It counts.
    Fresh,
    /// It counts no more, but not for long: it is used, and made anew beside.
    Stale,
    /// It is used when nothing newer comes in a moment.
    Old,
}

impl Age {
    /// Of what counts for so many milliseconds more; less than nothing is how long it has not counted.
    #[must_use]
    pub const fn of(counts_for_ms: i64) -> Self {
        if counts_for_ms > 0 {
            Self::Fresh
        } else if counts_for_ms > -STALE_MS {
            Self::Stale
        } else {
            Self::Old
        }
    }
}

/// What is made once for all who want it: what comes of it, or `None` when it takes too long.
pub type Flight<T, E> = SingleFlight<Option<Result<T, E>>>;

/// What is known, or what comes of making it anew, by its age. It is made once for all who want it in this instance, beside what they do, and
/// nobody does it by themselves because another is slow: a thousand turns may begin at once, and asking wakes every server. What is old beats
/// nothing, and a failure. `None`: there is nothing, and nothing came in time.
pub async fn current<T, E, C, F>(
    known: Option<(T, Age)>,
    flight: &Flight<T, E>,
    clock: &C,
    make: impl Fn() -> F,
) -> Option<Result<T, E>>
where
    T: Clone + 'static,
    E: Clone + 'static,
    C: Clock + Clone + 'static,
    F: Future<Output = Result<T, E>> + 'static,
{
    let make = || {
        let (clock, made) = (clock.clone(), make());
        async move { within(&clock, FIRST_PATIENCE, made).await }
    };
    let (old, patience) = match known {
        Some((known, Age::Fresh)) => return Some(Ok(known)),
        Some((known, Age::Stale)) => {
            flight.start(clock, make);
            return Some(Ok(known));
        }
        Some((known, Age::Old)) => (Some(known), PATIENCE),
        None => (None, FIRST_PATIENCE),
    };
    match (within(clock, patience, flight.run(clock, make)).await.flatten(), old) {
        (Some(Ok(new)), _) => Some(Ok(new)),
        (_, Some(old)) => Some(Ok(old)),
        (failed, None) => failed,
    }
}
