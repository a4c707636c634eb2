//! Recent requests and how each response ended, for tests: `GET /_journal`.
//! Must store no key, and stays within its limits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use axum::http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// The most remembered requests: more than one test makes.
const ENTRIES_MAX: usize = 1_000;
/// The most bytes of all remembered requests together; a single one may have megabytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AnswerOutcome {
    /// The response was written completely.
    Finished,
    /// The script refused or failed before it sent anything.
    Failed,
    /// The script cut the connection.
    Cut,
    /// The client left before the end.
    Disconnected,
}

/// The recent requests.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    entries: VecDeque<Entry>,
    bytes: usize,
    next_id: u64,
}

struct Entry {
    id: u64,
    received_at: Timestamp,
    test: Option<String>,
    headers: BTreeMap<String, String>,
    body: Value,
    size_bytes: usize,
    progress: Arc<Progress>,
}

struct Progress {
    started: Instant,
    status: OnceLock<u16>,
    chunks_sent: AtomicUsize,
    end: OnceLock<(AnswerOutcome, u64)>,
}

/// A request's entry in the journal. If it is dropped before `ended` is called, the client has left.
pub(crate) struct Record(Arc<Progress>);

impl Journal {
    /// Adds an entry for a request that was read.
    pub(crate) fn open(&self, headers: &HeaderMap, body: Value, size_bytes: usize, test: Option<&str>) -> Record {
        let progress = Arc::new(Progress {
            started: Instant::now(),
            status: OnceLock::new(),
            chunks_sent: AtomicUsize::new(0),
            end: OnceLock::new(),
        });
        let headers = headers
            .iter()
            .filter(|(name, _)| *name != header::AUTHORIZATION)
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = journal.next_id;
        journal.next_id += 1;
        journal.bytes += size_bytes;
        journal.entries.push_back(Entry {
            id,
            received_at: Timestamp::now(),
            test: test.map(str::to_owned),
            headers,
            body,
            size_bytes,
            progress: Arc::clone(&progress),
        });
        while journal.entries.len() > ENTRIES_MAX || journal.bytes > BYTES_MAX {
            let Some(oldest) = journal.entries.pop_front() else { break };
            journal.bytes -= oldest.size_bytes;
        }
        Record(progress)
    }

    /// The entries, oldest first; those of one test if it is named.
    pub(crate) fn read(&self, test: Option<&str>) -> Value {
        let journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Entry| test.is_none() || entry.test.as_deref() == test;
        json!({"items": journal.entries.iter().filter(wanted).map(Entry::line).collect::<Vec<_>>()})
    }

    /// Removes the entries; those of one test if it is named.
    pub(crate) fn clear(&self, test: Option<&str>) {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        journal.entries.retain(|entry| test.is_some() && entry.test.as_deref() != test);
        journal.bytes = journal.entries.iter().map(|entry| entry.size_bytes).sum();
    }
}

impl Entry {
    fn line(&self) -> Value {
        let end = self.progress.end.get();
        json!({
            "id": self.id,
            "received_at": self.received_at.to_string(),
            "test": self.test,
            "model": self.body.get("model"),
            "messages": self.body.get("messages"),
            "request": self.body,
            "headers": self.headers,
            "status": self.progress.status.get(),
            "chunks_sent": self.progress.chunks_sent.load(Ordering::Relaxed),
            "outcome": end.map(|(outcome, _)| outcome),
            "ended_after_ms": end.map(|(_, after_ms)| after_ms),
        })
    }
}

impl Record {
    /// Records the response's status.
    pub(crate) fn status(&self, status: StatusCode) {
        self.0.status.get_or_init(|| status.as_u16());
    }

    pub(crate) fn sent(&self, chunks: usize) {
        self.0.chunks_sent.fetch_add(chunks, Ordering::Relaxed);
    }

    /// Closes the entry; later calls change nothing.
    pub(crate) fn ended(&self, outcome: AnswerOutcome) {
        let after_ms = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.end.get_or_init(|| (outcome, after_ms));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.ended(AnswerOutcome::Disconnected);
    }
}
