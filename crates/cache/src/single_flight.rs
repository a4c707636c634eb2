//! Work that is done once for all requests that want its result at the same time.
//!
//! This is the only place where a request waits for another request's work, except for statements about leases (the ledger of `orchestrator`). Tasks
//! of different requests in one guest instance cannot wake each other: the runtime under the SDK (wit-bindgen 0.57) wakes a request only for its own
//! events from the host. So a waiting request polls, with a short sleep between polls. A request that started background work also polls: the work is
//! polled only with the request's next event from the host, which is the sleep. The request that does the work may be cancelled midway; then the next
//! one takes over.

use std::{
    cell::RefCell,
    fmt,
    ops::RangeInclusive,
    rc::{Rc, Weak},
    time::Duration,
};

use crate::Clock;

/// The poll interval of a waiting request, at first and in the end. It is a fraction of the time to open a database or ask a server, and cheap enough
/// for the fifteen requests that may wait in an instance.
const LOOKS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(16);

/// Work that has not ended after this time never will: its task is no longer polled. All work here has shorter limits of its own.
const MAX_FLIGHT: Duration = Duration::from_secs(60);

/// The work in progress, if any. Clones share it.
pub struct SingleFlight<T>(Rc<RefCell<Weak<Flight<T>>>>);

struct Flight<T> {
    began: Duration,
    state: RefCell<State<T>>,
}

enum State<T> {
    Flying,
    Landed(T),
    /// The request that did the work was cancelled.
    Lost,
}

/// Held by the task that does the work. If it is dropped before it has landed, the flight is lost.
struct Pilot<T>(Rc<Flight<T>>);

impl<T> Pilot<T> {
    fn land(self, outcome: T) {
        *self.0.state.borrow_mut() = State::Landed(outcome);
    }
}

impl<T> Drop for Pilot<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        if matches!(*state, State::Flying) {
            *state = State::Lost;
        }
    }
}

impl<T> Flight<T> {
    fn is_flying(&self, now: Duration) -> bool {
        matches!(*self.state.borrow(), State::Flying) && now.saturating_sub(self.began) < MAX_FLIGHT
    }
}

impl<T: Clone> Flight<T> {
    fn outcome(&self) -> Option<T> {
        match &*self.state.borrow() {
            State::Landed(outcome) => Some(outcome.clone()),
            State::Flying | State::Lost => None,
        }
    }
}

impl<T> Clone for SingleFlight<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

impl<T: Clone + 'static> SingleFlight<T> {
    /// Starts the work in the background, unless it is in progress.
    pub fn start<F: Future<Output = T> + 'static>(&self, clock: &impl Clock, work: impl FnOnce() -> F) {
        drop(self.joined(clock, work));
    }

    /// The result of the work in progress, or of work that starts now. A failure too goes to all requests that waited: the last of a thousand must
    /// not wait for a thousand attempts. The work continues even if no request waits for it any more.
    pub async fn run<F: Future<Output = T> + 'static>(&self, clock: &impl Clock, work: impl Fn() -> F) -> T {
        loop {
            if let Some(outcome) = landed(clock, &self.joined(clock, &work)).await {
                return outcome;
            }
            // The sleep is needed: with a clock that drops every task, this loop would block the instance.
            clock.sleep(*LOOKS.end()).await;
        }
    }

    /// Like [`Self::run`], but the caller does the work itself, because it needs the result before anything else. The work ends if the caller is
    /// cancelled.
    pub async fn run_here<F: Future<Output = T>>(&self, clock: &impl Clock, work: impl Fn() -> F) -> T {
        loop {
            let Some(flight) = self.flying(clock.now()) else {
                let pilot = self.begun(clock.now());
                let outcome = work().await;
                pilot.land(outcome.clone());
                return outcome;
            };
            if let Some(outcome) = landed(clock, &flight).await {
                return outcome;
            }
        }
    }

    /// The flight in progress, or a new one.
    fn joined<F: Future<Output = T> + 'static>(&self, clock: &impl Clock, work: impl FnOnce() -> F) -> Rc<Flight<T>> {
        let now = clock.now();
        if let Some(flight) = self.flying(now) {
            return flight;
        }
        let pilot = self.begun(now);
        let (flight, work) = (Rc::clone(&pilot.0), work());
        clock.spawn(async move { pilot.land(work.await) });
        flight
    }

    fn flying(&self, now: Duration) -> Option<Rc<Flight<T>>> {
        self.0.borrow().upgrade().filter(|flight| flight.is_flying(now))
    }

    fn begun(&self, now: Duration) -> Pilot<T> {
        let flight = Rc::new(Flight { began: now, state: RefCell::new(State::Flying) });
        *self.0.borrow_mut() = Rc::downgrade(&flight);
        Pilot(flight)
    }
}

/// The result of a flight; `None` if it was lost.
async fn landed<T: Clone>(clock: &impl Clock, flight: &Flight<T>) -> Option<T> {
    let mut look = *LOOKS.start();
    while flight.is_flying(clock.now()) {
        clock.sleep(look).await;
        look = (look * 5 / 4).min(*LOOKS.end());
    }
    flight.outcome()
}
