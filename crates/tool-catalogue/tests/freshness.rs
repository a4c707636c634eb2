//! The rule by which what is known is used and made anew, on paused time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::{cell::Cell, rc::Rc, time::Duration};

use cache::Clock as _;
use futures::future::join_all;
use router_test::paused;
use tool_catalogue::{Age, Flight, current};

type Made = Result<&'static str, &'static str>;

/// What sixteen who come at once hear, how long the last of them waits, and how often it is made.
fn sixteen(known: Option<Age>, takes: Duration, comes: Made) -> (Option<Made>, Duration, u32) {
    let heard = Rc::new(Cell::new(None));
    let tell = Rc::clone(&heard);
    paused(|outside| async move {
        let (flight, times) = (Flight::default(), Rc::new(Cell::new(0)));
        let make = || {
            times.set(times.get() + 1);
            async move {
                tokio::time::sleep(takes).await;
                comes
            }
        };
        let all = join_all((0..16).map(|_| current(known.map(|age| ("old", age)), &flight, &outside, make))).await;
        let waited = outside.now();
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        tell.set(Some((all[0], waited, times.get())));
    });
    heard.take().unwrap()
}

#[test]
fn what_counts_is_used_and_what_counted_a_moment_ago_too_while_it_is_made_anew_once() {
    let quick = Duration::from_millis(50);
    assert_eq!(sixteen(Some(Age::Fresh), quick, Ok("new")), (Some(Ok("old")), Duration::ZERO, 0));
    assert_eq!(sixteen(Some(Age::Stale), quick, Ok("new")), (Some(Ok("old")), Duration::ZERO, 1));
}

#[test]
fn what_is_old_is_used_when_nothing_newer_comes_within_a_second() {
    let (quick, slow) = (Duration::from_millis(50), Duration::from_secs(3));
    let (heard, waited, times) = sixteen(Some(Age::Old), quick, Ok("new"));
    assert_eq!((heard, times), (Some(Ok("new")), 1));
    assert!(waited < Duration::from_millis(70), "{waited:?}");
    assert_eq!(sixteen(Some(Age::Old), slow, Ok("new")), (Some(Ok("old")), Duration::from_secs(1), 1));
    assert_eq!(sixteen(Some(Age::Old), quick, Err("down")).0, Some(Ok("old")));
}

#[test]
fn where_nothing_is_known_everybody_waits_for_the_one_who_asks_and_hears_the_same() {
    let (slow, never) = (Duration::from_secs(8), Duration::from_secs(30));
    let (heard, waited, times) = sixteen(None, slow, Ok("new"));
    assert_eq!((heard, waited.as_secs(), times), (Some(Ok("new")), 8, 1));
    assert_eq!(sixteen(None, slow, Err("down")).0, Some(Err("down")));
    let (heard, waited, times) = sixteen(None, never, Ok("new"));
    assert_eq!((heard, waited < Duration::from_secs(10), times), (None, true, 1));
}

#[test]
fn an_age_is_how_long_something_still_counts_or_has_not_counted() {
    let ages = [1, 0, -59_999, -60_000, i64::MIN].map(Age::of);
    assert_eq!(ages, [Age::Fresh, Age::Stale, Age::Stale, Age::Old, Age::Old]);
}
