//! The rule for when a known list is used and when it is refreshed, on paused time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use cache::Clock as _;
use futures::future::join_all;
use router_test::{Surroundings, paused};
use tool_catalogue::{Age, CLAIM_MS, Flight, Found, List, Source, current};

type Made = Result<&'static str, &'static str>;

/// A list that all instances share. Making it takes some time, and is counted.
#[derive(Clone)]
struct Shared(Rc<Inside>);

struct Inside {
    outside: Surroundings,
    list: RefCell<List<&'static str>>,
    claimed_until: Cell<Duration>,
    takes: Duration,
    /// What comes of it the first time, the second, and so on; the last holds from then on.
    comes: &'static [Made],
    made: Cell<u32>,
    looks: Cell<u32>,
}

impl Source for Shared {
    type Value = &'static str;
    type Error = &'static str;

    async fn find(&self) -> Result<Found<&'static str>, &'static str> {
        self.0.looks.set(self.0.looks.get() + 1);
        Ok(Found { list: self.0.list.borrow().clone(), is_claimed: self.0.claimed_until.get() > self.0.outside.now() })
    }

    async fn claim(&self) -> Result<bool, &'static str> {
        let now = self.0.outside.now();
        let is_free = self.0.claimed_until.get() <= now;
        if is_free {
            self.0.claimed_until.set(now + Duration::from_millis(CLAIM_MS.unsigned_abs()));
        }
        Ok(is_free)
    }

    async fn make(&self) -> Made {
        let made = self.make_unkept().await?;
        if !matches!(*self.0.list.borrow(), List::TooLong) {
            self.0.list.replace(List::Known(made, Age::Fresh));
        }
        self.0.claimed_until.set(Duration::ZERO);
        Ok(made)
    }

    async fn make_unkept(&self) -> Made {
        let before = usize::try_from(self.0.made.replace(self.0.made.get() + 1)).unwrap();
        tokio::time::sleep(self.0.takes).await;
        self.0.comes[before.min(self.0.comes.len() - 1)]
    }
}

/// What many simultaneous requests get, how long the last of them waits, and how often the list was made in the end.
struct Heard {
    all: Option<Made>,
    waited: Duration,
    made: u32,
    looks: u32,
}

/// Requests in a number of instances: sixteen in each of a few, or one in each of many.
fn heard(instances: usize, list: List<&'static str>, takes: Duration, comes: &'static [Made]) -> Heard {
    after(instances, list, takes, comes, Duration::ZERO)
}

/// The same after an instance has claimed the refresh and died. Its claim ends after `claimed`.
fn after(
    instances: usize,
    list: List<&'static str>,
    takes: Duration,
    comes: &'static [Made],
    claimed: Duration,
) -> Heard {
    let heard = Rc::new(Cell::new(None));
    let tell = Rc::clone(&heard);
    let each = if instances > 10 { 1 } else { 16 };
    paused(|outside| async move {
        let (list, claimed_until) = (RefCell::new(list), Cell::new(outside.now() + claimed));
        let (made, looks) = (Cell::new(0), Cell::new(0));
        let shared =
            Shared(Rc::new(Inside { outside: outside.clone(), list, claimed_until, takes, comes, made, looks }));
        let flights: Vec<_> = (0..instances).map(|_| Flight::default()).collect();
        let all = flights.iter().flat_map(|flight| (0..each).map(move |_| flight)).map(async |flight| {
            let found = shared.find().await.unwrap();
            current(found, flight, &outside, &shared).await
        });
        let all = join_all(all).await;
        let waited = outside.now();
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let looks = shared.0.looks.get() - u32::try_from(each * instances).unwrap();
        tell.set(Some(Heard { all: all[0], waited, made: shared.0.made.get(), looks }));
    });
    heard.take().unwrap()
}

const QUICK: Duration = Duration::from_millis(50);

#[test]
fn what_counts_is_used_and_what_counted_a_moment_ago_too_while_one_of_all_instances_makes_it_anew() {
    let fresh = heard(3, List::Known("old", Age::Fresh), QUICK, &[Ok("new")]);
    assert_eq!((fresh.all, fresh.waited, fresh.made), (Some(Ok("old")), Duration::ZERO, 0));
    let stale = heard(3, List::Known("old", Age::Stale), QUICK, &[Ok("new")]);
    assert_eq!((stale.all, stale.waited, stale.made), (Some(Ok("old")), Duration::ZERO, 1));
    assert!(stale.looks <= 1, "nobody waits for it: {}", stale.looks);
}

#[test]
fn what_is_old_is_used_when_nothing_newer_comes_within_a_second() {
    let old = || List::Known("old", Age::Old);
    let quick = heard(3, old(), QUICK, &[Ok("new")]);
    assert_eq!((quick.all, quick.made), (Some(Ok("new")), 1));
    assert!(quick.waited < Duration::from_millis(150), "{:?}", quick.waited);
    let slow = heard(3, old(), Duration::from_secs(3), &[Ok("new")]);
    assert_eq!((slow.all, slow.waited, slow.made), (Some(Ok("old")), Duration::from_secs(1), 1));
    assert_eq!(heard(1, old(), QUICK, &[Err("down")]).all, Some(Ok("old")));
}

#[test]
fn where_nothing_is_known_all_instances_wait_for_the_one_that_asks_and_hear_the_same() {
    for instances in [1, 200] {
        let slow = heard(instances, List::Nothing, Duration::from_secs(4), &[Ok("new")]);
        assert_eq!((slow.all, slow.made), (Some(Ok("new")), 1), "{instances} instances");
        assert!(slow.waited < Duration::from_secs(5), "{:?}", slow.waited);
        assert!(slow.looks <= 16 * u32::try_from(instances).unwrap(), "{} looks", slow.looks);
    }
    let never = heard(3, List::Nothing, Duration::from_secs(30), &[Ok("new")]);
    assert_eq!((never.all, never.waited < Duration::from_secs(20)), (None, true));
    assert_eq!(heard(1, List::Nothing, QUICK, &[Err("down")]).all, Some(Err("down")));
    let twice = heard(200, List::Nothing, QUICK, &[Err("busy"), Ok("new")]);
    assert_eq!((twice.all, twice.made), (Some(Ok("new")), 2), "what failed for a moment is asked for once more");
}

#[test]
fn another_instance_takes_over_from_one_that_has_died() {
    let claimed = Duration::from_millis(CLAIM_MS.unsigned_abs());
    let taken = after(20, List::Nothing, QUICK, &[Ok("new")], claimed);
    assert_eq!((taken.all, taken.made), (Some(Ok("new")), 1));
    assert!(taken.waited > claimed && taken.waited < Duration::from_millis(9_000), "{:?}", taken.waited);
}

#[test]
fn what_is_too_long_to_be_kept_each_instance_makes_at_once() {
    let long = heard(3, List::TooLong, QUICK, &[Ok("new")]);
    assert_eq!((long.all, long.made), (Some(Ok("new")), 3));
    assert!(long.waited < QUICK * 2, "{:?}", long.waited);
}

#[test]
fn an_age_is_how_long_something_still_counts_or_has_not_counted() {
    let ages = [1, 0, -59_999, -60_000, i64::MIN].map(Age::of);
    assert_eq!(ages, [Age::Fresh, Age::Stale, Age::Stale, Age::Old, Age::Old]);
}
