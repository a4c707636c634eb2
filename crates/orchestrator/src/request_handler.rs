//! Serves a reader of a run's events. It replays the log and tails new events. If nobody executes the run, it executes the run for this reader and
//! all others. While a run waits for tasks at other servers, its readers ask about them.

use std::{pin::pin, time::Duration};

use domain::{Id, RunState, event};
use futures::future::{Either, select};
use storage::{
    StorageError,
    claims::Claim,
    runs::{Lease, Tail},
};

use crate::{
    Host, Reader, Settings, Severity,
    ledger::{DOUBTFUL_LEASE_MS, LEASE_MS},
    response_streamer::KEEPALIVE,
    session_manager::{self, Interrupted},
    spans,
    task_watch::TaskWatch,
    turn::{self, TurnOutcome},
};

/// The poll interval of a reader that tails: short enough to look live.
const POLL: Duration = Duration::from_millis(150);

/// The poll interval while a run waits for the person, who may read and think for hours.
const WAITING_POLL: Duration = Duration::from_secs(1);

/// The pause of a reader after a fault of the database.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How long a reader that came back doubts that the executor is alive: longer than a lease, so it sees whether the lease is renewed.
const DOUBT: Duration = Duration::from_secs(10);

/// After this time without taking anything, a reader of the log is dropped: an open connection alone must not keep resources busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The result of [`open`].
#[derive(Debug)]
pub enum Opened {
    /// The run does not exist or belongs to another person.
    NotFound,
    /// The run has ended, and the reader has everything.
    NothingMore,
    /// There may be events: pass this to [`read`].
    Events(Reading),
}

/// A reader's position in a run's events.
#[derive(Debug)]
pub struct Reading {
    user_id: Id,
    run_id: Id,
    seen: u64,
    first: First,
}

/// The result of the first query.
#[derive(Debug)]
enum First {
    /// A run that was never executed, now claimed for this reader.
    Claimed(Lease, Box<Claim>),
    /// A run with a log.
    Found(Tail),
}

/// Finds a run, and claims it if it was never claimed. Pass the result to [`read`] at once.
///
/// # Errors
/// Those of the database.
pub async fn open<H: Host>(host: &H, user_id: Id, run_id: Id, seen: u64) -> Result<Opened, StorageError> {
    let lease = Lease { run_id, owner: Id::new() };
    if let Some(claim) = host.store().claim_new(user_id, lease, LEASE_MS, &host.model_servers()).await? {
        let first = First::Claimed(lease, Box::new(claim));
        return Ok(Opened::Events(Reading { user_id, run_id, seen, first }));
    }
    let Some(tail) = host.store().tail(user_id, run_id, seen).await? else { return Ok(Opened::NotFound) };
    if tail.state.is_terminal() && tail.batches.is_empty() {
        return Ok(Opened::NothingMore);
    }
    Ok(Opened::Events(Reading { user_id, run_id, seen, first: First::Found(tail) }))
}

/// Serves a reader until the run has ended or the reader has left. A claimed run goes on without readers.
pub async fn read<H: Host, R: Reader>(host: &H, settings: &Settings, reading: Reading, mut reader: R) {
    let Reading { user_id, run_id, mut seen, first } = reading;
    // The reader came back with its last id, so its connection broke a moment ago.
    let doubts_until = (seen > 0).then(|| host.now().saturating_add(DOUBT));
    let mut found = match first {
        First::Found(tail) => Ok(Some(tail)),
        First::Claimed(lease, claim) => match execute(host, settings, lease, &claim, reader, seen).await {
            Some(returned) => {
                (reader, seen) = returned;
                host.store().tail(user_id, run_id, seen).await
            }
            None => return,
        },
    };
    let mut commented_at = host.now();
    let mut tasks = TaskWatch::new(host, user_id, run_id);
    loop {
        let tail = match found {
            Ok(Some(tail)) => tail,
            // The run was deleted meanwhile.
            Ok(None) => return,
            Err(error) => {
                host.log(
                    Severity::Error,
                    "a run's events cannot be read",
                    serde_json::json!({ "run_id": run_id, "cause": error.to_string() }),
                );
                return;
            }
        };
        let more = !tail.batches.is_empty();
        for (last_id, frames) in &tail.batches {
            if !ready(host, &mut reader).await || !reader.send(&event::after(frames, seen)) {
                return;
            }
            seen = seen.max(*last_id);
            commented_at = host.now();
        }
        if more {
            // There may be more: a long log has several pages.
            found = host.store().tail(user_id, run_id, seen).await;
            continue;
        }
        if tail.state.is_terminal() {
            return;
        }
        let doubts = doubts_until.is_some_and(|until| host.now() < until);
        let doubtful = doubts && tail.lease_left_ms.is_some_and(|left_ms| left_ms < DOUBTFUL_LEASE_MS);
        if tail.claimable || doubtful {
            tasks.stop();
            match claim_and_execute(host, settings, run_id, reader, seen, doubts).await {
                Some(returned) => (reader, seen) = returned,
                None => return,
            }
        } else if tail.state == RunState::AwaitingApproval {
            if tail.has_tasks && !tasks.look(&mut reader).await {
                return;
            }
            tasks.wait(WAITING_POLL).await;
        } else {
            host.sleep(POLL).await;
        }
        if host.now().saturating_sub(commented_at) >= session_manager::KEEPALIVE {
            commented_at = host.now();
            if !reader.send(KEEPALIVE) {
                return;
            }
        }
        found = host.store().tail(user_id, run_id, seen).await;
    }
}

/// Waits until the reader can take more, with a limit.
async fn ready<H: Host, R: Reader>(host: &H, reader: &mut R) -> bool {
    match select(pin!(reader.ready()), pin!(host.sleep(PATIENCE))).await {
        Either::Left((ready, _)) => ready,
        Either::Right(_) => false,
    }
}

/// Returns the reader and its position if there is more to wait for.
async fn claim_and_execute<H: Host, R: Reader>(
    host: &H,
    settings: &Settings,
    run_id: Id,
    reader: R,
    seen: u64,
    doubts: bool,
) -> Option<(R, u64)> {
    let lease = Lease { run_id, owner: Id::new() };
    let left_ms = if doubts { DOUBTFUL_LEASE_MS } else { 0 };
    match host.store().claim_early(lease, LEASE_MS, left_ms, &host.model_servers()).await {
        Ok(Some(claim)) => execute(host, settings, lease, &claim, reader, seen).await,
        Ok(None) => Some((reader, seen)),
        Err(error) => {
            let fields = serde_json::json!({ "run_id": run_id, "cause": error.to_string() });
            host.log(Severity::Error, "a run cannot be claimed", fields);
            host.sleep(FAULT_PAUSE).await;
            Some((reader, seen))
        }
    }
}

/// Executes a claimed run. Returns the reader and its position if the run waits, or another executor has taken it over.
async fn execute<H: Host, R: Reader>(
    host: &H,
    settings: &Settings,
    lease: Lease,
    claim: &Claim,
    reader: R,
    seen: u64,
) -> Option<(R, u64)> {
    let mut span = spans::of_run(claim);
    let scope = span.scope();
    let executed = turn::execute(host, settings, lease, claim, (Some(reader), seen), &mut span);
    match trace_context::within(scope, executed).await {
        TurnOutcome::Ended => None,
        TurnOutcome::Waiting(reader) | TurnOutcome::Interrupted(Interrupted::LeaseLost, reader) => reader,
        TurnOutcome::Interrupted(interrupted, _) => {
            let cause = cause(&interrupted);
            host.log(
                Severity::Error,
                "a run was left to its next reader",
                serde_json::json!({ "run_id": lease.run_id, "cause": cause }),
            );
            None
        }
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        causes.push(error.to_string());
        next = error.source();
    }
    causes.join(": ")
}
