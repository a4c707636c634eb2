//! The rule by which lists are used and made anew. It knows nothing of what is in them.

use cache::{Clock, SingleFlight, within};

use crate::timing::{FIRST_PATIENCE, LOOKS, PATIENCE, STALE_MS};

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

/// What all instances share: it is kept where each can read it, and one of them makes it anew for all.
#[expect(async_fn_in_trait, reason = "guests have one thread, so nobody needs these futures to be Send")]
pub trait Source: Clone + 'static {
    /// What is shared.
    type Value: Clone + 'static;
    /// Why there is none.
    type Error: Clone + 'static;

    /// What is kept.
    async fn find(&self) -> Result<Found<Self::Value>, Self::Error>;

    /// Takes it on to make it anew. Of all instances that try at the same time, one hears `true`.
    async fn claim(&self) -> Result<bool, Self::Error>;

    /// Makes it anew, and has it kept: for whoever has claimed that.
    async fn make(&self) -> Result<Self::Value, Self::Error>;

    /// Makes it where it is too long to be kept.
    async fn make_unkept(&self) -> Result<Self::Value, Self::Error>;
}

/// What is found of what is kept for all instances.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// What there is of it.
    pub list: List<T>,
    /// An instance has taken it on to make it anew.
    pub is_claimed: bool,
}

impl<T> Found<T> {
    /// The same in another form.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Found<U> {
        let list = match self.list {
            List::Nothing => List::Nothing,
            List::TooLong => List::TooLong,
            List::Known(known, age) => List::Known(form(known), age),
        };
        Found { list, is_claimed: self.is_claimed }
    }
}

/// What there is.
#[derive(Clone, Debug)]
pub enum List<T> {
    /// Nothing yet.
    Nothing,
    /// It is too long to be kept: every instance makes it for itself.
    TooLong,
    /// This.
    Known(T, Age),
}

/// What is made once for all who want it in an instance: what comes of it, or `None` when it takes too long, or another instance makes it.
pub type Flight<T, E> = SingleFlight<Option<Result<T, E>>>;

/// What is known, or what comes of making it anew, by its age. It is made once for all who want it, in this instance and in others, and nobody
/// does it by themselves because another is slow: a thousand turns may begin at once, in as many instances, and asking wakes every server. What
/// is old beats nothing, and a failure. `None`: there is nothing, and nothing came in time.
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
                // Where another instance makes it after all, nobody waits for that.
                flight.start(clock, || async move {
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

/// What this instance makes, or another has kept since.
async fn made_by_one<S: Source>(clock: &impl Clock, source: &S, mut is_claimed: bool) -> Result<S::Value, S::Error> {
    let mut look = *LOOKS.start();
    loop {
        if !is_claimed && let Some(made) = made_by_us(source).await? {
            return Ok(made);
        }
        clock.sleep(look).await;
        look = (look * 2).min(*LOOKS.end());
        let found = source.find().await?;
        match found.list {
            List::Known(made, Age::Fresh) => return Ok(made),
            List::TooLong => return source.make_unkept().await,
            List::Known(..) | List::Nothing => is_claimed = found.is_claimed,
        }
    }
}

/// What this instance makes, unless another does: `None`.
async fn made_by_us<S: Source>(source: &S) -> Result<Option<S::Value>, S::Error> {
    if !source.claim().await? {
        return Ok(None);
    }
    // Whoever had claimed it before may have kept it since we looked.
    match source.find().await?.list {
        List::Known(made, Age::Fresh) => Ok(Some(made)),
        _ => source.make().await.map(Some),
    }
}
