//! Batches database work for all runs of an instance; whichever run's timer fires first sends it. One statement logs what they say, keeps
//! their leases and reads who is to stop: a statement costs far more than a row.
//!
//! It knows nothing of what a run does. A run that ends takes out what still waits here and stores it with its answer.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::RunState;
use storage::{
    DatabaseError, StorageError,
    leases::{Entry, Leave, MAX_LEASES},
    runs::{Batch, Lease},
};

use crate::Host;

/// How often events are logged and wishes to stop are heard while a run speaks: less than the 0.2 s within which a stop must reach the
/// model's server, since a run that speaks hears of it with its next piece.
pub const PERIOD: Duration = Duration::from_millis(150);

/// How often leases are renewed: four renewals may be late or lost.
const RENEW: Duration = Duration::from_millis(1_000);

/// How long a run belongs to an executor that says nothing: after that, whoever reads its events takes it over.
pub const LEASE_MS: i64 = 6_000;

/// A reader whose own connection broke has a reason to think that the executor is gone. If a lease has no more than this left, two renewals
/// are missing as well, and that reader does not wait for the third.
pub const DOUBTFUL_LEASE_MS: i64 = 3_000;

/// Without a renewal for this long, leases cannot be relied on any more.
const PATIENCE: Duration = Duration::from_millis(5_500);

/// How often somebody who waits for a statement of another run looks whether it is done.
const SETTLE: Duration = Duration::from_millis(5);

/// The runs of an instance.
#[derive(Debug)]
pub struct Ledger {
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    runs: Vec<Page>,
    /// A statement is on its way.
    writing: bool,
    written_at: Duration,
    /// When the last renewal that succeeded was begun.
    renewed_at: Duration,
}

#[derive(Debug)]
struct Page {
    lease: Lease,
    state: RunState,
    /// Not logged yet.
    waiting: Batch,
    /// Its events are in the statement that is on its way.
    in_flight: bool,
    leave: Result<Leave, Arc<StorageError>>,
}

/// What a statement is about.
struct Round {
    entries: Vec<Entry>,
    /// Who is asked about without anything to log.
    listening: Vec<Lease>,
    renewing: bool,
    began_at: Duration,
}

/// A run's page, for as long as it is executed.
#[derive(Debug)]
pub struct Registered<'a> {
    ledger: &'a Ledger,
    lease: Lease,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.ledger.pages().runs.retain(|page| page.lease != self.lease);
    }
}

/// Nobody else writes until this is gone, however the statement ends.
struct Writing<'a>(&'a Ledger);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let mut pages = self.0.pages();
        pages.writing = false;
        for page in pages.runs.iter_mut().filter(|page| page.in_flight) {
            let error = DatabaseError::Lost("nobody waited for it".to_owned());
            (page.in_flight, page.leave) = (false, Err(Arc::new(error.into())));
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// An empty one; one for each instance.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pages: Mutex::new(Pages {
                runs: Vec::new(),
                writing: false,
                written_at: Duration::ZERO,
                renewed_at: Duration::ZERO,
            }),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a page for a run that has just been claimed.
    pub fn register(&self, lease: Lease, now: Duration) -> Registered<'_> {
        let mut pages = self.pages();
        if pages.runs.is_empty() {
            (pages.written_at, pages.renewed_at) = (now, now);
        }
        let page = Page {
            lease,
            state: RunState::Processing,
            waiting: Batch::default(),
            in_flight: false,
            leave: Ok(Leave::Granted),
        };
        pages.runs.push(page);
        Registered { ledger: self, lease }
    }

    /// How long ago the last statement began.
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.pages().written_at)
    }

    /// Leaves events to be logged with the next statement.
    pub fn deposit(&self, lease: Lease, state: RunState, batch: Batch) {
        if let Some(page) = self.pages().runs.iter_mut().find(|page| page.lease == lease) {
            page.state = state;
            page.waiting.append(batch);
        }
    }

    /// Takes back what has not been logged, to be stored with something else. Waits until what is being logged is.
    ///
    /// # Errors
    /// When something that was deposited before could not be logged.
    pub async fn withdraw<H: Host>(&self, host: &H, lease: Lease) -> Result<Batch, Arc<StorageError>> {
        loop {
            if let Some(settled) = self.settled(lease) {
                return settled;
            }
            host.sleep(SETTLE).await;
        }
    }

    fn settled(&self, lease: Lease) -> Option<Result<Batch, Arc<StorageError>>> {
        let mut pages = self.pages();
        match pages.runs.iter_mut().find(|page| page.lease == lease) {
            Some(page) if page.in_flight => None,
            Some(page) => {
                let waiting = std::mem::take(&mut page.waiting);
                Some(page.leave.clone().map(|_| waiting))
            }
            None => Some(Ok(Batch::default())),
        }
    }

    /// Whether a run may go on, as far as is known; events are logged and wishes heard if the last time is `max_age` ago.
    ///
    /// # Errors
    /// When the log could not be written, for this run or for all.
    pub async fn attend<H: Host>(&self, host: &H, lease: Lease, max_age: Duration) -> Result<Leave, Arc<StorageError>> {
        if let Some(round) = self.begin(host.now(), max_age) {
            let writing = Writing(self);
            self.write(host, &round).await;
            drop(writing);
        }
        self.leave(lease)
    }

    /// Whether a run may go on, as far as is known.
    ///
    /// # Errors
    /// As [`Self::attend`].
    pub fn leave(&self, lease: Lease) -> Result<Leave, Arc<StorageError>> {
        let pages = self.pages();
        pages.runs.iter().find(|page| page.lease == lease).map_or(Ok(Leave::LeaseLost), |page| page.leave.clone())
    }

    fn begin(&self, now: Duration, max_age: Duration) -> Option<Round> {
        let mut guard = self.pages();
        let pages = &mut *guard;
        if pages.writing || now.saturating_sub(pages.written_at) < max_age {
            return None;
        }
        pages.writing = true;
        pages.written_at = now;
        let renewing = now.saturating_sub(pages.renewed_at) >= RENEW;
        let mut round = Round { entries: Vec::new(), listening: Vec::new(), renewing, began_at: now };
        for page in &mut pages.runs {
            if !page.waiting.frames.is_empty() {
                page.in_flight = true;
                let batch = std::mem::take(&mut page.waiting);
                round.entries.push(Entry { lease: page.lease, state: page.state, batch });
                if !renewing {
                    continue;
                }
            }
            round.listening.push(page.lease);
        }
        Some(round)
    }

    async fn write<H: Host>(&self, host: &H, round: &Round) {
        for entries in round.entries.chunks(MAX_LEASES) {
            match host.store().append_events(entries).await {
                // One of them may be of a conversation that is just being deleted: the others have nothing to do with it.
                Err(StorageError::Database(DatabaseError::Refused { .. } | DatabaseError::Orphaned { .. }))
                    if entries.len() > 1 =>
                {
                    for entry in entries {
                        let entry = std::slice::from_ref(entry);
                        self.logged(host.now(), entry, host.store().append_events(entry).await);
                    }
                }
                leaves => self.logged(host.now(), entries, leaves),
            }
        }
        for leases in round.listening.chunks(MAX_LEASES) {
            let leaves = if round.renewing {
                host.store().renew_leases(leases, LEASE_MS).await
            } else {
                host.store().check_leases(leases).await
            };
            if round.renewing && leaves.is_ok() {
                self.pages().renewed_at = round.began_at;
            }
            self.note(host.now(), leases.iter().copied(), leaves);
        }
    }

    /// Notes what came of logging. What was not logged because the database is away waits on, in front of what has come meanwhile: a batch
    /// that is logged twice is logged once.
    fn logged(&self, now: Duration, entries: &[Entry], leaves: Result<Vec<Leave>, StorageError>) {
        let failed = leaves.is_err();
        for entry in entries {
            if let Some(page) = self.pages().runs.iter_mut().find(|page| page.lease == entry.lease) {
                page.in_flight = false;
                if failed {
                    let later = std::mem::replace(&mut page.waiting, entry.batch.clone());
                    page.waiting.append(later);
                }
            }
        }
        self.note(now, entries.iter().map(|entry| entry.lease), leaves);
    }

    fn note(&self, now: Duration, leases: impl Iterator<Item = Lease>, leaves: Result<Vec<Leave>, StorageError>) {
        let mut guard = self.pages();
        let pages = &mut *guard;
        let in_time = now.saturating_sub(pages.renewed_at) < PATIENCE;
        let leaves = match leaves {
            // Nothing is lost as long as the leases hold.
            Err(StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Lost(_))) if in_time => return,
            leaves => leaves.map_err(Arc::new),
        };
        for (at, lease) in leases.enumerate() {
            // A page whose events could not be logged stays so.
            if let Some(page) = pages.runs.iter_mut().find(|page| page.lease == lease && page.leave.is_ok()) {
                page.leave = match &leaves {
                    Ok(leaves) => Ok(leaves.get(at).copied().unwrap_or(Leave::LeaseLost)),
                    Err(error) => Err(Arc::clone(error)),
                };
            }
        }
    }
}
