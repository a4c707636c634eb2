//! The rule for when lists are used and when they are refreshed. It does not know what the lists contain.

use cache::{Clock, SingleFlight, within};

use crate::timing::{FIRST_PATIENCE, LATER, LOOKS, PATIENCE, STALE_MS};

/// The age of a known value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// It is valid.
    Fresh,
    /// It expired a short time ago: it is used at once, and refreshed in the background.
    Stale,
    /// It expired long ago: it is used if nothing newer comes in a moment.
    Old,
}

impl Age {
    /// The age of a value that stays valid for this many milliseconds. A negative number says how long ago it expired.
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

/// A value that all instances share: each instance can read it, and one of them refreshes it for all.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Source: Clone + 'static {
    /// The shared value.
    type Value: Clone + 'static;
    /// Why there is no value.
    type Error: Clone + 'static;

    /// The stored value.
    async fn find(&self) -> Result<Found<Self::Value>, Self::Error>;

    /// Claims the refresh. Of all instances that try at the same time, one gets `true`.
    async fn claim(&self) -> Result<bool, Self::Error>;

    /// Makes a new value and stores it. The caller must hold the claim.
    async fn make(&self) -> Result<Self::Value, Self::Error>;

    /// Makes a new value that is too long to be stored.
    async fn make_unkept(&self) -> Result<Self::Value, Self::Error>;
}

/// The stored value for all instances, as it was found.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The value, if there is one.
    pub list: List<T>,
    /// Whether an instance has claimed the refresh.
    pub is_claimed: bool,
}

/// The stored value, or why there is none.
#[derive(Clone, Debug)]
pub enum List<T> {
    /// Nothing yet.
    Nothing,
    /// The value is too long to be stored: every instance makes its own.
    TooLong,
    /// The value and its age.
    Known(T, Age),
}

/// One refresh for all requests of an instance. Its result is `None` if it takes too long, or if another instance does it.
pub type Flight<T, E> = SingleFlight<Option<Result<T, E>>>;

/// The known value or a new one, by the age of the known value. One refresh serves all requests, in this instance and in others. No request makes its
/// own because another is slow: a thousand turns may begin at once, in as many instances, and each refresh wakes every server. An old value is better
/// than none, and better than a failure. `None`: there is no value, and none came in time.
pub async fn current<S: Source, C: Clock + Clone + 'static>(
    found: Found<S::Value>,
    flight: &Flight<S::Value, S::Error>,
    clock: &C,
    source: &S,
) -> Option<Result<S::Value, S::Error>> {
    let Found { list, is_claimed } = found;
    let is_too_long = matches!(list, List::TooLong);
    let (old, patience) = match list {
        List::Known(known, Age::Fresh) => return Some(Ok(known)),
        List::Known(known, Age::Stale) => {
            if !is_claimed {
                let (clock_beside, source) = (clock.clone(), source.clone());
                // If another instance does the refresh after all, no request waits for it.
                flight.start(clock, || async move {
                    clock_beside.sleep(LATER).await;
                    within(&clock_beside, FIRST_PATIENCE, made_by_us(&source)).await.and_then(Result::transpose)
                });
            }
            return Some(Ok(known));
        }
        List::Known(known, Age::Old) => (Some(known), PATIENCE),
        List::Nothing | List::TooLong => (None, FIRST_PATIENCE),
    };
    let make = || {
        let (clock, source) = (clock.clone(), source.clone());
        async move {
            let made = async {
                if is_too_long { source.make_unkept().await } else { made_by_one(&clock, &source, is_claimed).await }
            };
            within(&clock, FIRST_PATIENCE, made).await
        }
    };
    match (within(clock, patience, flight.run(clock, make)).await.flatten(), old) {
        (Some(Ok(new)), _) => Some(Ok(new)),
        (_, Some(old)) => Some(Ok(old)),
        (failed, None) => failed,
    }
}

/// The value that this instance makes, or that another instance has stored meanwhile.
async fn made_by_one<S: Source>(clock: &impl Clock, source: &S, mut is_claimed: bool) -> Result<S::Value, S::Error> {
    let mut look = *LOOKS.start();
    loop {
        if !is_claimed && let Some(made) = made_by_us(source).await? {
            return Ok(made);
        }
        clock.sleep(look).await;
        look = (look * 2).min(*LOOKS.end());
        // A database that is too busy now may answer the next time.
        let Ok(found) = source.find().await else { continue };
        match found.list {
            List::Known(made, Age::Fresh) => return Ok(made),
            List::TooLong => return source.make_unkept().await,
            List::Known(..) | List::Nothing => is_claimed = found.is_claimed,
        }
    }
}

/// The value that this instance makes; `None` if another instance makes it.
async fn made_by_us<S: Source>(source: &S) -> Result<Option<S::Value>, S::Error> {
    // An error is a database that is busy with the claims of others.
    if !source.claim().await.unwrap_or_default() {
        return Ok(None);
    }
    // The instance that had claimed it before may have kept it since we looked.
    match source.find().await {
        Ok(Found { list: List::Known(made, Age::Fresh), .. }) => Ok(Some(made)),
        _ => match source.make().await {
            // Nobody else asks while we have the claim: what failed for a moment only would otherwise have failed for us alone.
            Err(_) => source.make().await.map(Some),
            made => made.map(Some),
        },
    }
}
