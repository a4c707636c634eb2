//! Work that is done once, however many want what comes of it at the same time.
//!
//! The only place where a request waits for another one's work, but for statements about leases (the ledger of `orchestrator`). Tasks of different requests in one guest instance cannot wake each other: the
//! runtime under the SDK (wit-bindgen 0.57) knows events of the host only, of the request that waits for them. So whoever waits looks again and
//! again, with a short sleep between. So does who began work that goes on beside: its task is polled only with the next event of the host, which
//! the sleep is.
//! Whoever does the work may be cancelled in the middle: then the next takes over.

use std::{
    cell::RefCell,
    fmt,
    ops::RangeInclusive,
    rc::{Rc, Weak},
    time::Duration,
};

use crate::Clock;

/// How often, at first and in the end, one who waits looks: a fraction of what opening a database or asking a server takes, and little enough
/// for the fifteen who may wait in an instance.
const LOOKS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(16);

/// Work that has not come to an end after so long never will: its task is polled no more. All that is done here has shorter limits of its own.
const MAX_FLIGHT: Duration = Duration::from_secs(60);

/// The work that is being done, if any is. Clones are the same flight.
pub struct SingleFlight<T>(Rc<RefCell<Weak<Flight<T>>>>);

struct Flight<T> {
    began: Duration,
    state: RefCell<State<T>>,
}

enum State<T> {
    Flying,
    Landed(T),
    /// Whoever did the work was cancelled.
    Lost,
}

/// Does the work. Dropped before it has landed, it is lost.
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
    /// Has the work done beside, unless somebody does it.
    pub fn start<F: Future<Output = T> + 'static>(&self, clock: &impl Clock, work: impl FnOnce() -> F) {
        drop(self.joined(clock, work));
    }

    /// What comes of the work: of that which is being done, or else is begun now. Failures too are everybody's who waited: the last of a
    /// thousand is not to wait for a thousand attempts. The work goes on when nobody waits for it any more.
    pub async fn run<F: Future<Output = T> + 'static>(&self, clock: &impl Clock, work: impl Fn() -> F) -> T {
        loop {
            if let Some(outcome) = landed(clock, &self.joined(clock, &work)).await {
                return outcome;
            }
            // Not at once: a clock that drops every task would keep the instance for itself.
            clock.sleep(*LOOKS.end()).await;
        }
    }

    /// The same for work that whoever begins it needs before anything else, and does themselves: it does not go on when they are gone.
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

    /// The flight there is, or a new one.
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

/// What came of a flight; `None` if it was lost.
async fn landed<T: Clone>(clock: &impl Clock, flight: &Flight<T>) -> Option<T> {
    let mut look = *LOOKS.start();
    while flight.is_flying(clock.now()) {
        clock.sleep(look).await;
        look = (look * 2).min(*LOOKS.end());
    }
    flight.outcome()
}
