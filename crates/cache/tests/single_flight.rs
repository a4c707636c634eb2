//! Work that many requests want at once, on paused time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use cache::{Clock, SingleFlight, within};
use futures::future::join_all;
use tokio::{
    task::{AbortHandle, LocalSet, spawn_local},
    time::Instant,
};

/// Tokio's time, which these tests pause.
struct Paused {
    started: Instant,
    spawned: RefCell<Vec<AbortHandle>>,
}

impl Clock for Paused {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push(spawn_local(task).abort_handle());
    }
}

/// Runs a test with a clock and a counter of how often the work was done.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Rc<Paused>, Rc<Cell<u32>>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        test(Rc::new(Paused { started: Instant::now(), spawned: RefCell::default() }), Rc::default()).await;
    });
}

fn work(done: &Rc<Cell<u32>>) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = u32>>> {
    let done = Rc::clone(done);
    move || {
        let done = Rc::clone(&done);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.set(done.get() + 1);
            done.get()
        })
    }
}

#[test]
fn work_that_many_want_is_done_once_and_again_for_whoever_comes_later() {
    run(|clock, done| async move {
        let flight = SingleFlight::default();
        let outcomes = join_all((0..16).map(|_| flight.run(&*clock, work(&done)))).await;
        assert_eq!(outcomes, [1; 16]);
        assert!(clock.now() < Duration::from_millis(1_050), "{:?}", clock.now());
        assert_eq!(flight.run(&*clock, work(&done)).await, 2);
    });
}

#[test]
fn when_whoever_does_it_is_cancelled_the_next_takes_over() {
    run(|clock, done| async move {
        let flight = SingleFlight::default();
        let cancel = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            clock.spawned.borrow()[0].abort();
        };
        let many = join_all((0..16).map(|_| flight.run(&*clock, work(&done))));
        let (outcomes, ()) = futures::join!(many, cancel);
        assert_eq!((outcomes, clock.spawned.borrow().len()), (vec![1; 16], 2));
    });
}

#[test]
fn it_goes_on_when_nobody_waits_for_it_any_more() {
    run(|clock, done| async move {
        let flight = SingleFlight::default();
        assert_eq!(within(&*clock, Duration::from_millis(300), flight.run(&*clock, work(&done))).await, None);
        flight.start(&*clock, work(&done));
        assert_eq!((flight.run(&*clock, work(&done)).await, done.get()), (1, 1));
    });
}

#[test]
fn work_that_never_ends_keeps_nobody_for_ever() {
    run(|clock, done| async move {
        let flight = SingleFlight::default();
        flight.start(&*clock, std::future::pending::<u32>);
        assert_eq!(flight.run(&*clock, work(&done)).await, 1);
    });
}
