//! Holds a run: its lease, its state, its log. Everything that takes time is awaited through [`Session::attend`], which meanwhile logs
//! events in batches, keeps the lease, and hears that the person wants to stop.

use std::{future::Future, pin::Pin, time::Duration};

use domain::{Id, Run, RunState, RunStep, run::InvalidTransition};
use futures::future::{Either, select};
use storage::{
    StorageError,
    messages::NewMessage,
    runs::{Ending, Leave},
};

use crate::{Host, Reader, response_streamer::Outbox};

/// How often the log is written and the wish to stop is heard. A stop must reach the model's server within 0.2 s.
pub const TICK: Duration = Duration::from_millis(180);

/// How long a run belongs to an executor that says nothing: after that, whoever reads its events takes it over.
pub const LEASE_MS: i64 = 6_000;

/// How often the lease is renewed: three renewals may be late or lost.
const RENEW: Duration = Duration::from_millis(1_500);

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
    Storage(#[from] StorageError),
    /// A step that the state does not allow: a mistake in this crate.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
}

/// A run in our hands.
pub struct Session<'a, H: Host, R> {
    host: &'a H,
    /// The run.
    pub run: &'a Run,
    /// Where its events go.
    pub outbox: Outbox<R>,
    owner: Id,
    state: RunState,
    tick: Pin<Box<dyn Future<Output = ()> + 'a>>,
    renewed_at: Duration,
    commented_at: Duration,
}

impl<'a, H: Host, R: Reader> Session<'a, H, R> {
    /// For a run that `owner` has just claimed.
    pub fn new(host: &'a H, run: &'a Run, owner: Id, outbox: Outbox<R>) -> Self {
        let now = host.now();
        Self {
            host,
            run,
            outbox,
            owner,
            state: RunState::Processing,
            tick: Box::pin(host.sleep(TICK)),
            renewed_at: now,
            commented_at: now,
        }
    }

    /// Everything outside.
    pub const fn host(&self) -> &'a H {
        self.host
    }

    /// Whose lease it is.
    pub const fn owner(&self) -> Id {
        self.owner
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

    /// Awaits something, at most for `limit`, and looks after the run meanwhile.
    ///
    /// # Errors
    /// [`Interrupted`]; the future is dropped, and with it whatever it had open.
    pub async fn attend<T>(&mut self, limit: Duration, future: impl Future<Output = T>) -> Result<T, Interrupted> {
        let mut future = std::pin::pin!(future);
        let mut deadline = None;
        loop {
            match select(future.as_mut(), self.tick.as_mut()).await {
                Either::Left((output, _)) => return Ok(output),
                Either::Right(((), _)) => self.on_tick().await?,
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
        self.tick = Box::pin(self.host.sleep(TICK));
        let now = self.host.now();
        if now.saturating_sub(self.commented_at) >= KEEPALIVE {
            self.commented_at = now;
            self.outbox.keep_alive();
        }
        let leave = if now.saturating_sub(self.renewed_at) >= RENEW {
            self.renewed_at = now;
            self.host.store().renew_lease(self.run.id, self.owner, LEASE_MS).await?
        } else if self.outbox.has_unlogged() {
            return self.flush().await;
        } else {
            self.host.store().check_lease(self.run.id, self.owner).await?
        };
        granted(leave)
    }

    /// Sends the reader what was said, and logs it if it has become much.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn deliver(&mut self) -> Result<(), Interrupted> {
        self.outbox.deliver();
        if self.outbox.is_full() { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Interrupted> {
        let batch = self.outbox.take_batch();
        granted(self.host.store().append_events(self.run.id, self.owner, self.state, &batch).await?)
    }

    /// Stores what a round brought, with its events: a step that is not taken again.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish_step(&mut self, messages: &[NewMessage]) -> Result<(), Interrupted> {
        let batch = self.outbox.take_batch();
        let stored = self.host.store().finish_step(self.run, self.owner, self.state, messages, &batch).await?;
        if stored { Ok(()) } else { Err(Interrupted::LeaseLost) }
    }

    /// Stores a tool's result, with its event.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish_tool_call(&mut self, message: &NewMessage, is_error: bool) -> Result<(), Interrupted> {
        let batch = self.outbox.take_batch();
        let stored = self.host.store().finish_tool_call(self.run, self.owner, message, is_error, &batch).await?;
        if stored { Ok(()) } else { Err(Interrupted::LeaseLost) }
    }

    /// Ends the run. The last events must have been written.
    ///
    /// The reader hears of the end only once it is stored: whoever sees `complete` can read the answer.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub async fn finish(&mut self, step: RunStep, ending: Ending) -> Result<(), Interrupted> {
        self.step(step)?;
        let ending = Ending { state: self.state, batch: self.outbox.seal(), ..ending };
        let stored = self.host.store().finish_run(self.run, self.owner, &ending).await?;
        if !stored {
            return Err(Interrupted::LeaseLost);
        }
        self.outbox.deliver();
        Ok(())
    }
}

const fn granted(leave: Leave) -> Result<(), Interrupted> {
    match leave {
        Leave::Granted => Ok(()),
        Leave::CancelRequested => Err(Interrupted::Cancelled),
        Leave::LeaseLost => Err(Interrupted::LeaseLost),
    }
}
