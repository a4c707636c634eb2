//! Holds a run: its lease, its state, its log. Everything that takes time is awaited through [`Session::attend`], which meanwhile gives
//! events to the [`Ledger`](crate::Ledger) in batches and hears from it that the person wants to stop.

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

/// How often a run looks up from what it waits for. A run that has nothing to say hears a wish to stop no other way.
pub const TICK: Duration = Duration::from_millis(180);

/// How old what is known of such a wish may be at a tick: with it a stop still reaches the model's server within 0.2 s, and runs that tick at
/// the same moment ask once.
const FRESH: Duration = Duration::from_millis(20);

/// How often a silent stream gets a comment.
pub const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why an executor stops before its work is done.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// The person wants it.
    #[error("the person stopped the run")]
    Cancelled,
    /// Somebody else has the run: write nothing more.
    #[error("the run's lease is lost")]
    LeaseLost,
    /// It took longer than it may.
    #[error("it took too long")]
    TimedOut,
    /// What was said cannot be kept.
    #[error("the run's events cannot be stored")]
    Storage(#[source] Arc<StorageError>),
    /// A step that the state does not allow: a mistake in this crate.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
}

impl Interrupted {
    /// Whether nothing can be stored any more until somebody sees to it.
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

/// A run in our hands.
pub struct Session<'a, H: Host, R> {
    host: &'a H,
    /// The run.
    pub run: &'a Run,
    /// Where its events go.
    pub outbox: Outbox<R>,
    lease: Lease,
    /// Drops out of the ledger with the session.
    _registered: Registered<'a>,
    state: RunState,
    tick: Pin<Box<dyn Future<Output = ()> + 'a>>,
    commented_at: Duration,
    reported_at: Duration,
    delivered_at: Duration,
}

impl<'a, H: Host, R: Reader> Session<'a, H, R> {
    /// For a run that has just been claimed.
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

    /// Everything outside.
    pub const fn host(&self) -> &'a H {
        self.host
    }

    /// The lease on it.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// Where the run is.
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

    /// Awaits something, at most for `limit`, and looks after the run meanwhile. It goes on while the run is looked after: it may have one of
    /// the database's connections, and looking after the run may take another. If it waited, those who have one could wait for those who
    /// want one, for ever.
    ///
    /// # Errors
    /// [`Interrupted`]; the future is dropped, and with it whatever it had open.
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
            // The clock is asked only from the first tick on: most waits are shorter.
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

    /// Sends the reader what was said, and logs it if it has become much or has been a while: whoever has much to say needs no tick.
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
        // A run that reports anyway need not be woken for it. What another's statement heard counts from then; one that hangs is not hurried.
        let rest = TICK.checked_sub(ledger.age(self.host.now())).unwrap_or(TICK);
        self.tick = Box::pin(self.host.sleep(rest));
        granted(leave)
    }

    /// What is still to be logged, `last` being the newest of it.
    async fn unlogged(&self, last: Batch) -> Result<Batch, Interrupted> {
        let mut batch = self.host.ledger().withdraw(self.host, self.lease).await.map_err(Interrupted::Storage)?;
        batch.append(last);
        Ok(batch)
    }

    /// Stores what a round brought, with its events and what the run has used: a step that is not taken again.
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
    /// The reader hears of it only once it is stored: whoever sees `complete` can read the answer, whoever sees `tool_approval` can decide.
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
