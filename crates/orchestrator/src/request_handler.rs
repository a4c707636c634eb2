//! Lets a reader in to a run's events: what has been logged is replayed; what is being written is tailed; and a run that nobody executes
//! is executed for this reader and all others.

use std::{pin::pin, time::Duration};

use domain::{Id, event};
use futures::future::{Either, select};
use storage::{StorageError, runs::Tail};

use crate::{
    Host, Reader, Settings,
    response_streamer::KEEPALIVE,
    session_manager::{self, Interrupted, LEASE_MS},
    turn,
};

/// How often a reader who is not the first looks for more: often enough to look live.
const POLL: Duration = Duration::from_millis(150);

/// After a fault of the database a reader waits this long before it looks again.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// A reader of the log who takes nothing for this long is let go: an open connection alone keeps nothing of ours busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a reader finds.
#[derive(Debug)]
pub enum Opened {
    /// No such run, or none of theirs.
    NotFound,
    /// The run has ended and everything was seen.
    NothingMore,
    /// Events: hand this to [`read`].
    Events(Reading),
}

/// A reader's place in a run's events.
#[derive(Debug)]
pub struct Reading {
    user_id: Id,
    run_id: Id,
    seen: u64,
    first: Tail,
}

/// Looks for a run.
///
/// # Errors
/// Whatever the database says.
pub async fn open<H: Host>(host: &H, user_id: Id, run_id: Id, seen: u64) -> Result<Opened, StorageError> {
    let Some(first) = host.store().tail(user_id, run_id, seen).await? else { return Ok(Opened::NotFound) };
    if first.state.is_terminal() && first.batches.is_empty() {
        return Ok(Opened::NothingMore);
    }
    Ok(Opened::Events(Reading { user_id, run_id, seen, first }))
}

/// Serves a reader until the run has ended or the reader has left. A run that was claimed goes on without readers.
pub async fn read<H: Host, R: Reader>(host: &H, settings: &Settings, reading: Reading, mut reader: R) {
    let Reading { user_id, run_id, mut seen, first } = reading;
    let mut found: Result<_, StorageError> = Ok(Some(first));
    let mut commented_at = host.now();
    loop {
        let tail = match found {
            Ok(Some(tail)) => tail,
            // Deleted meanwhile.
            Ok(None) => return,
            Err(error) => {
                host.log(
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
            // There may be more at once: a long log comes in several pages.
            found = host.store().tail(user_id, run_id, seen).await;
            continue;
        }
        if tail.state.is_terminal() {
            return;
        }
        if tail.claimable {
            match execute(host, settings, run_id, reader, seen).await {
                Some((returned, returned_seen)) => (reader, seen) = (returned, returned_seen),
                None => return,
            }
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

/// Waits, but not for ever, until the reader can take more.
async fn ready<H: Host, R: Reader>(host: &H, reader: &mut R) -> bool {
    match select(pin!(reader.ready()), pin!(host.sleep(PATIENCE))).await {
        Either::Left((ready, _)) => ready,
        Either::Right(_) => false,
    }
}

/// Claims and executes the run. Returns the reader and its place if somebody else has the run.
async fn execute<H: Host, R: Reader>(
    host: &H,
    settings: &Settings,
    run_id: Id,
    reader: R,
    seen: u64,
) -> Option<(R, u64)> {
    let owner = Id::new();
    let claim = match host.store().claim(run_id, owner, LEASE_MS).await {
        Ok(Some(claim)) => claim,
        Ok(None) => return Some((reader, seen)),
        Err(error) => {
            host.log("a run cannot be claimed", serde_json::json!({ "run_id": run_id, "cause": error.to_string() }));
            host.sleep(FAULT_PAUSE).await;
            return Some((reader, seen));
        }
    };
    match turn::execute(host, settings, owner, &claim, Some(reader), seen).await {
        Ok(()) => None,
        Err((Interrupted::LeaseLost, reader)) => reader,
        Err((interrupted, _)) => {
            let cause = cause(&interrupted);
            host.log(
                "a run was left to whoever reads it next",
                serde_json::json!({ "run_id": run_id, "cause": cause }),
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
