//! Batches database work for all runs of an instance. The run whose timer fires first sends the batch. One statement logs events, renews leases and
//! learns which runs must stop, because a statement costs far more than a row.
//!
//! It does not know what a run does. A run that ends takes back its waiting events and stores them with its answer.

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

/// The interval at which a speaking run's events are logged and stop requests are read. It is shorter than the 0.2 s within which a stop must reach
/// the model's server, because a speaking run learns of it with its next piece.
pub const PERIOD: Duration = Duration::from_millis(150);

/// The interval for renewing leases: four renewals may be late or lost.
const RENEW: Duration = Duration::from_millis(1_000);

/// The length of a lease. After this time without a renewal, the run's next reader takes it over.
pub const LEASE_MS: i64 = 6_000;

/// The remaining time at which a reader whose own connection broke takes a lease over: its broken connection suggests that the executor is gone, and
/// by then two renewals are missing, so it does not wait for the third.
pub const DOUBTFUL_LEASE_MS: i64 = 3_000;

/// After this time without a renewal, leases are no longer reliable.
const PATIENCE: Duration = Duration::from_millis(5_500);

/// The poll interval of a run that waits for a statement of another run.
const SETTLE: Duration = Duration::from_millis(5);

/// The open runs of an instance, a page each.
#[derive(Debug)]
pub struct Ledger {
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    runs: Vec<Page>,
    /// Whether a statement is being executed.
    writing: bool,
    written_at: Duration,
    /// When the last successful renewal began.
    renewed_at: Duration,
}

#[derive(Debug)]
struct Page {
    lease: Lease,
    state: RunState,
    /// Events that are not logged yet.
    waiting: Batch,
    /// Whether the current statement contains events of this run.
    in_flight: bool,
    leave: Result<Leave, Arc<StorageError>>,
}

/// The contents of a statement.
struct Round {
    entries: Vec<Entry>,
    /// The runs whose leases are checked without events.
    listening: Vec<Lease>,
    renewing: bool,
    began_at: Duration,
}

/// The page of a run that is being executed. Dropping it removes the page.
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

/// Prevents other writes until it is dropped, even if the statement is cancelled.
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
    /// An empty ledger. Each instance has one.
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

    /// Adds a page for a run that was just claimed.
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

    /// The time since the last statement began.
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.pages().written_at)
    }

    /// Adds events to the next statement.
    pub fn deposit(&self, lease: Lease, state: RunState, batch: Batch) {
        if let Some(page) = self.pages().runs.iter_mut().find(|page| page.lease == lease) {
            page.state = state;
            page.waiting.append(batch);
        }
    }

    /// Takes back the events that are not logged yet, to store them with something else. Waits for a statement that contains events of this run.
    ///
    /// # Errors
    /// An error of an earlier statement for this run.
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

    /// Whether a run may go on, as far as is known. Sends a statement first if the last one is older than `max_age`.
    ///
    /// # Errors
    /// Storage errors, for this run or for all.
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
                // One of the conversations may have just been deleted. That must not affect the other runs.
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

    /// Stores the result of a statement with events. If it failed, the events go back in front of newer ones: events that are logged twice are stored
    /// once.
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
            // Nothing is lost while the leases hold.
            Err(StorageError::Database(DatabaseError::Unavailable(_) | DatabaseError::Lost(_))) if in_time => return,
            leaves => leaves.map_err(Arc::new),
        };
        for (at, lease) in leases.enumerate() {
            // The failure of a page is permanent.
            if let Some(page) = pages.runs.iter_mut().find(|page| page.lease == lease && page.leave.is_ok()) {
                page.leave = match &leaves {
                    Ok(leaves) => Ok(leaves.get(at).copied().unwrap_or(Leave::LeaseLost)),
                    Err(error) => Err(Arc::clone(error)),
                };
            }
        }
    }
}
