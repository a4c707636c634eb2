//! Holds a run: its lease, its state, its log. Everything that takes time is awaited through [`RunSession::attend`], which meanwhile passes events to
//! the [`Ledger`](crate::Ledger) in batches and learns from it that the person wants to stop.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use domain::{Run, RunState, RunStep, Usage, run::InvalidTransition};
use futures::future::{Either, select};
use storage::{
    DatabaseError, StorageError,
    leases::Leave,
    messages::NewMessage,
    runs::{Batch, Ending, Lease},
};

use crate::{
    Host, Reader,
    ledger::{PERIOD, Registered},
    response_streamer::Outbox,
};

/// The interval at which a waiting run checks its lease. A run without output learns of a stop request only this way.
pub const TICK: Duration = Duration::from_millis(180);

/// The greatest age of such a check at a tick. With it a stop request still reaches the model's server within 0.2 s, and runs that tick at the same
/// moment share one statement.
const FRESH: Duration = Duration::from_millis(20);

/// The interval of comments in a silent stream.
pub const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why an executor stops before its work is done.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The person wants to stop the run.
    #[error("the person stopped the run")]
    Cancelled,
    /// Another executor has the run. Nothing more may be written.
    #[error("the run's lease is lost")]
    LeaseLost,
    /// The wait took too long.
    #[error("it took too long")]
    TimedOut,
    /// The events cannot be stored.
    #[error("the run's events cannot be stored")]
    Storage(#[source] Arc<StorageError>),
    /// A step that the state does not allow: a fault in this crate.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
}

impl Interrupted {
    /// Whether nothing can be stored until an administrator fixes the database.
    pub(crate) fn is_unwritable(&self) -> bool {
        let Self::Storage(error) = self else { return false };
        matches!(**error, StorageError::Database(DatabaseError::Unwritable(_)))
    }
}

impl From<StorageError> for Interrupted {
    fn from(error: StorageError) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// A run that this executor holds.
pub struct RunSession<'a, H: Host, R> {
    host: &'a H,
    /// The run.
    pub run: &'a Run,
    /// The writer of its events.
    pub outbox: Outbox<R>,
    lease: Lease,
    /// Removes the run from the ledger when the session is dropped.
    _registered: Registered<'a>,
    state: RunState,
    tick: Pin<Box<dyn Future<Output = ()> + 'a>>,
    commented_at: Duration,
    reported_at: Duration,
    delivered_at: Duration,
}

impl<'a, H: Host, R: Reader> RunSession<'a, H, R> {
    /// For a run that was just claimed.
    pub fn new(host: &'a H, run: &'a Run, lease: Lease, outbox: Outbox<R>) -> Self {
        let now = host.now();
        Self {
            host,
            run,
            outbox,
            lease,
            _registered: host.ledger().register(lease, now),
            state: RunState::Processing,
            tick: Box::pin(host.sleep(TICK)),
            commented_at: now,
            reported_at: now,
            delivered_at: Duration::ZERO,
        }
    }

    /// The port to everything outside.
    pub const fn host(&self) -> &'a H {
        self.host
    }

    /// The executor's lease on the run.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// The run's state.
    pub const fn state(&self) -> RunState {
        self.state
    }

    /// Takes a step.
    ///
    /// # Errors
    /// [`Interrupted::Transition`].
    pub fn step(&mut self, step: RunStep) -> Result<(), Interrupted> {
        self.state = self.state.after(step)?;
        Ok(())
    }

    /// Awaits a future, at most for `limit`, and keeps the run's lease and log up to date meanwhile. The future goes on during that work: both may
    /// need a connection of the database, so if it paused, runs with a connection and runs without could wait for each other for ever.
    ///
    /// # Errors
    /// [`Interrupted`]; the future is dropped, with everything that it had open.
    pub async fn attend<T>(&mut self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut future = pin!(future);
        let mut deadline = None;
        loop {
            match select(future.as_mut(), self.tick.as_mut()).await {
                Either::Left((output, _)) => return Ok(output),
                Either::Right(((), _)) => {}
            }
            match select(future.as_mut(), pin!(self.on_tick())).await {
                Either::Left((output, ticking)) => return ticking.await.map(|()| output),
                Either::Right((ticked, _)) => ticked?,
            }
            // The clock is read only after the first tick, because most waits are shorter.
            let now = self.host.now();
            let deadline = *deadline.get_or_insert(now.saturating_add(limit).saturating_sub(TICK));
            if now >= deadline {
                return Err(Interrupted::TimedOut);
            }
        }
    }

    async fn on_tick(&mut self) -> Result<(), Interrupted> {
        let speaks = self.host.now().saturating_sub(self.delivered_at) < TICK;
        self.report(if speaks { PERIOD } else { FRESH }).await
    }

    /// Sends new events to the reader. Logs them if there are many, or if the last time is a while ago, so a run with much output needs no tick.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn deliver(&mut self) -> Result<(), Interrupted> {
        self.outbox.deliver();
        self.delivered_at = self.host.now();
        if self.outbox.is_full() {
            self.report(Duration::ZERO).await
        } else if self.delivered_at.saturating_sub(self.reported_at) >= PERIOD {
            self.report(PERIOD).await
        } else {
            granted(self.host.ledger().leave(self.lease))
        }
    }

    async fn report(&mut self, max_age: Duration) -> Result<(), Interrupted> {
        let now = self.host.now();
        self.reported_at = now;
        if now.saturating_sub(self.commented_at) >= KEEPALIVE {
            self.commented_at = now;
            self.outbox.keep_alive();
        }
        let ledger = self.host.ledger();
        if self.outbox.has_unlogged() {
            ledger.deposit(self.lease, self.state, self.outbox.take_batch());
        }
        let leave = ledger.attend(self.host, self.lease, max_age).await;
        // A run that reports anyway needs no earlier tick. Another run's statement counts from its beginning; if it hangs, the tick is not shortened.
        let rest = TICK.checked_sub(ledger.age(self.host.now())).unwrap_or(TICK);
        self.tick = Box::pin(self.host.sleep(rest));
        granted(leave)
    }

    /// All events that are still to be logged, ending with `last`.
    async fn unlogged(&self, last: Batch) -> Result<Batch, Interrupted> {
        let mut batch = self.host.ledger().withdraw(self.host, self.lease).await.map_err(Interrupted::Storage)?;
        batch.append(last);
        Ok(batch)
    }

    /// Stores a round's message with its events and the tokens used by the run: a finished step, which is not repeated.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish_step(&mut self, message: &NewMessage, usage: Option<Usage>) -> Result<(), Interrupted> {
        let last = self.outbox.take_batch();
        let batch = self.unlogged(last).await?;
        stored(self.host.store().finish_step(self.lease, self.state, message, usage, &batch).await?)
    }

    /// Stores a tool's result, with its event.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish_tool_call(&mut self, message: &NewMessage) -> Result<(), Interrupted> {
        let last = self.outbox.take_batch();
        let batch = self.unlogged(last).await?;
        stored(self.host.store().finish_tool_call(self.lease, message, &batch).await?)
    }

    /// Ends the run, or lets it wait. The last events must have been written.
    ///
    /// The reader gets the last events only once they are stored. A client that sees `complete` can read the answer, and one that sees
    /// `tool_approval` can decide.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish(&mut self, step: RunStep, ending: Ending) -> Result<(), Interrupted> {
        self.step(step)?;
        let batch = self.unlogged(self.outbox.seal()).await?;
        let ending = Ending { state: self.state, batch, ..ending };
        stored(self.host.store().finish_run(self.lease, &ending).await?)?;
        self.outbox.deliver();
        Ok(())
    }
}

fn granted(leave: Result<Leave, Arc<StorageError>>) -> Result<(), Interrupted> {
    match leave.map_err(Interrupted::Storage)? {
        Leave::Granted => Ok(()),
        Leave::CancelRequested => Err(Interrupted::Cancelled),
        Leave::LeaseLost => Err(Interrupted::LeaseLost),
    }
}

const fn stored(stored: bool) -> Result<(), Interrupted> {
    if stored { Ok(()) } else { Err(Interrupted::LeaseLost) }
}
