//! Statements for all runs of an instance at once: they append events, renew leases and learn whether each run may go on. A run that has lost its
//! lease is not changed.

use domain::{Id, RunState};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    runs::{Batch, Lease, SUSPENDED, seal_batch, stored},
};

/// Whether an executor may go on with its run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It may go on.
    Granted,
    /// The person wants to stop the run.
    CancelRequested,
    /// Another executor has the run, or the run is gone. It must write nothing more.
    LeaseLost,
}

/// The owner of a run that is being executed, and the facts about one of its calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The run's owner.
    pub user_id: Id,
    /// Whether the call was started before, so it is unknown whether it took effect.
    pub begun: bool,
    /// The tools that were called in this conversation so far, by the model's names for them. At most [`MAX_CALLED`].
    pub called: Vec<String>,
    /// Whether a file is attached to a message of this conversation.
    pub has_files: bool,
    /// The time zone that was kept for the run's calls ([`Store::keep_time_zone`]).
    pub time_zone: Option<String>,
}

/// More tools than a conversation can call at one time.
pub const MAX_CALLED: usize = 1_000;

/// Events for the log of a run. They are stored only if the lease still holds.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The executor's lease.
    pub lease: Lease,
    /// The run's state after these events.
    pub state: RunState,
    /// The events.
    pub batch: Batch,
}

/// The runs of one statement: more than an instance usually has, few enough for a statement of a few hundred KiB.
pub const MAX_LEASES: usize = 64;

/// `(VALUES ...)` with at least `count` rows of `width` parameters. There are only a few different lengths, so the database can keep all of them as
/// prepared statements. The caller fills the extra rows with nulls.
fn values(count: usize, row: impl Fn(usize) -> String, width: usize) -> (String, usize) {
    let count = count.next_power_of_two();
    let rows: Vec<String> = (0..count).map(|at| row(at * width + 1)).collect();
    (rows.join(", "), count * width)
}

/// Whether each of `leases` holds, from rows of a run's id, its current lease and whether it is to stop.
fn leaves(query: &'static str, leases: impl Iterator<Item = Lease>, rows: &[Row]) -> Result<Vec<Leave>, StorageError> {
    let mut held = Vec::with_capacity(rows.len());
    for row in rows {
        let mut columns = row.columns(query);
        held.push((Lease { run_id: columns.id()?, owner: columns.id()? }, columns.flag()?));
    }
    let leave = |lease: Lease| match held.iter().find(|(holds, _)| *holds == lease) {
        None => Leave::LeaseLost,
        Some((_, true)) => Leave::CancelRequested,
        Some((_, false)) => Leave::Granted,
    };
    Ok(leases.map(leave).collect())
}

/// The SQL of a table `held` with the leases, and its parameters.
fn held(leases: &[Lease]) -> (String, Vec<Value>) {
    let (values, width) = values(leases.len(), |at| format!("(?{at}, ?{})", at + 1), 2);
    let mut parameters: Vec<Value> =
        leases.iter().flat_map(|lease| [lease.run_id.into(), lease.owner.into()]).collect();
    parameters.resize(width, Value::Null);
    (format!("WITH held (run_id, owner) AS (VALUES {values})"), parameters)
}

impl<D: Database> Store<D> {
    /// Appends events of several runs, and learns whether each may go on, in one statement. Repeating it does no harm. At most [`MAX_LEASES`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn append_events(&self, entries: &[Entry]) -> Result<Vec<Leave>, StorageError> {
        const QUERY: &str = "append_events";
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let row = |at: usize| format!("(?{at}, ?{}, CAST(?{} AS bigint), ?{}, ?{})", at + 1, at + 2, at + 3, at + 4);
        let (values, width) = values(entries.len(), row, 5);
        let mut parameters = Vec::with_capacity(width);
        let keys = self.data_keys_of_runs(entries.iter().map(|entry| entry.lease.run_id)).await?;
        for Entry { lease, state, batch } in entries {
            // A run that is gone has no lease either: nothing is stored of it. Nor of one whose person's key cannot be used: it counts as lost, alone.
            let Some(Ok(key)) = keys.get(&lease.run_id) else { continue };
            parameters.extend([
                lease.run_id.into(),
                lease.owner.into(),
                batch.last_id.into(),
                stored(*state).as_str().into(),
                seal_batch(key, lease.run_id, batch)?,
            ]);
        }
        parameters.resize(width, Value::Null);
        let sql = format!(
            "WITH entry (run_id, owner, last_id, state, frames) AS (VALUES {values})
             INSERT INTO run_events (run_id, last_id, state, frames)
             SELECT runs.id, entry.last_id, entry.state, entry.frames
             FROM entry JOIN runs ON runs.id = entry.run_id AND runs.lease_owner = entry.owner
             WHERE 1 = 1 ON CONFLICT (run_id, last_id) DO UPDATE SET frames = excluded.frames
             RETURNING run_id, (SELECT lease_owner FROM runs WHERE runs.id = run_id),
                 (SELECT cancel_requested FROM runs WHERE runs.id = run_id)"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        leaves(QUERY, entries.iter().map(|entry| entry.lease), &rows)
    }

    /// Learns whether runs that have nothing to log may go on. At most [`MAX_LEASES`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn check_leases(&self, leases: &[Lease]) -> Result<Vec<Leave>, StorageError> {
        const QUERY: &str = "check_leases";
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let (held, parameters) = held(leases);
        let sql = format!(
            "{held} SELECT runs.id, lease_owner, cancel_requested
             FROM held JOIN runs ON runs.id = held.run_id AND lease_owner = held.owner"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        leaves(QUERY, leases.iter().copied(), &rows)
    }

    /// The owner of an executed run, whether a call was started before, and what the conversation has called and has attached. `None`: the lease does not
    /// hold.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn holder_of(&self, lease: Lease, call_id: &str) -> Result<Option<Holder>, StorageError> {
        const QUERY: &str = "holder_of";
        let sql = format!(
            "SELECT DISTINCT runs.user_id,
                 CASE WHEN EXISTS (SELECT 1 FROM tool_calls WHERE run_id = ?1 AND call_id = ?3) THEN 1 ELSE 0 END,
                 COALESCE(called.name, ''), runs.time_zone,
                 CASE WHEN EXISTS (SELECT 1 FROM message_files WHERE conversation_id =
                     (SELECT asked.conversation_id FROM runs AS asked WHERE asked.id = ?1)) THEN 1 ELSE 0 END
             FROM runs JOIN runs AS any_run ON any_run.conversation_id = runs.conversation_id
             LEFT JOIN tool_calls AS called ON called.run_id = any_run.id
             WHERE runs.id = ?1 AND runs.lease_owner = ?2 LIMIT {MAX_CALLED}"
        );
        let parameters = [lease.run_id.into(), lease.owner.into(), call_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut holder: Option<Holder> = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (user_id, begun, name) = (columns.id()?, columns.flag()?, columns.text()?);
            let time_zone = columns.optional_text()?.map(str::to_owned);
            let has_files = columns.flag()?;
            let holder = holder.get_or_insert(Holder { user_id, begun, called: Vec::new(), has_files, time_zone });
            if !name.is_empty() {
                holder.called.push(name.to_owned());
            }
        }
        Ok(holder)
    }

    /// Keeps the time zone of a run's calls, if the lease holds. The first that is kept stays: a call that is repeated or approved later, by a reader
    /// elsewhere, must mean the same times.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn keep_time_zone(&self, lease: Lease, time_zone: &str) -> Result<(), StorageError> {
        let sql = "UPDATE runs SET time_zone = ?3 WHERE id = ?1 AND lease_owner = ?2 AND time_zone IS NULL";
        let parameters = [lease.run_id.into(), lease.owner.into(), time_zone.into()];
        self.database.query(Statement::new("keep_time_zone", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Renews leases for another `lease_ms`. At most [`MAX_LEASES`].
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn renew_leases(&self, leases: &[Lease], lease_ms: i64) -> Result<Vec<Leave>, StorageError> {
        const QUERY: &str = "renew_leases";
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let (held, parameters) = held(leases);
        let sql = format!(
            "{held} UPDATE runs SET lease_expires_at = now_ms() + {lease_ms} FROM held
             WHERE runs.id = held.run_id AND lease_owner = held.owner RETURNING runs.id, lease_owner,
                 CASE WHEN {SUSPENDED} THEN 1 ELSE cancel_requested END"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        leaves(QUERY, leases.iter().copied(), &rows)
    }
}
