//! Runs: who executes one, what it has said so far, and how it ends.
//!
//! Whoever executes a run holds its lease: a name (the executor's) and a time by the database's clock. Everything an executor writes
//! names itself, so that one that was thought dead and was not can write nothing any more.

use domain::{Id, Run, RunFailure, RunState, Usage};

use crate::{
    Database, Outcome, Row, Statement, StorageError, Store,
    database::Columns,
    messages::{self, NewMessage},
};

/// A lease on a run.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The run.
    pub run: Run,
    /// How often the run has been claimed, this time included.
    pub attempt: u64,
    /// Somebody already asked to stop it.
    pub cancel_requested: bool,
}

/// Whether an executor may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// Go on.
    Granted,
    /// The person wants it stopped.
    CancelRequested,
    /// Somebody else has the run, or it is gone: write nothing more.
    LeaseLost,
}

/// What a reader of a run's events gets at once.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Where the run is.
    pub state: RunState,
    /// Nobody executes it.
    pub claimable: bool,
    /// Batches of frames, each with the id of its last event.
    pub batches: Vec<(u64, String)>,
}

/// How a run ends.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Complete, error or cancelled.
    pub state: RunState,
    /// With error.
    pub failure: Option<RunFailure>,
    /// If the model said.
    pub usage: Option<Usage>,
    /// The answer, as far as it came.
    pub message: Option<NewMessage>,
    /// The last batch of events.
    pub batch: Batch,
}

/// Events to be logged.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// The id of the last of them.
    pub last_id: u64,
    /// As they go over the wire.
    pub frames: String,
}

/// What came of asking a run to stop.
#[derive(Clone, Debug)]
pub struct CancelRequest {
    /// The run as it is now.
    pub run: Run,
    /// Nobody executes it, so whoever asked must end it.
    pub claimable: bool,
}

/// Batches read at once: a batch is about 4 KiB, so this is a few hundred.
const TAIL_BATCHES: i64 = 64;

/// Columns as stored, in the order of [`read`].
pub(crate) const STORED_COLUMNS: &str = "id, conversation_id, message_id, state, model, created_at, updated_at,
    error_code, error_message, prompt_tokens, completion_tokens";

const CLAIMABLE: &str = "(runs.state = 'queued' OR (runs.state = 'processing' AND runs.lease_expires_at < now_ms()))";

/// Between claim and end the log knows the state, the row does not: one statement less at every step.
const STATE: &str = "CASE WHEN runs.state = 'processing' THEN COALESCE((SELECT run_events.state FROM run_events
    WHERE run_events.run_id = runs.id ORDER BY last_id DESC LIMIT 1), runs.state) ELSE runs.state END";

pub(crate) fn read(query: &'static str, row: &Row) -> Result<Run, StorageError> {
    read_columns(&mut row.columns(query))
}

fn read_columns(columns: &mut Columns<'_>) -> Result<Run, StorageError> {
    let tokens = |count: i64| u64::try_from(count).unwrap_or_default();
    Ok(Run {
        id: columns.id()?,
        conversation_id: columns.id()?,
        message_id: columns.id()?,
        state: columns.read("a run's state", RunState::parse)?,
        model: columns.text()?.to_owned(),
        created_at: columns.timestamp()?,
        updated_at: columns.timestamp()?,
        failure: match (columns.optional_text()?, columns.optional_text()?) {
            (Some(code), Some(message)) => Some(RunFailure { code: code.to_owned(), message: message.to_owned() }),
            _ => None,
        },
        usage: match (columns.optional_integer()?, columns.optional_integer()?) {
            (Some(prompt), Some(completion)) => {
                let (prompt_tokens, completion_tokens) = (tokens(prompt), tokens(completion));
                Some(Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens })
            }
            _ => None,
        },
    })
}

fn selected_columns() -> String {
    format!(
        "runs.id, runs.conversation_id, runs.message_id, {STATE}, runs.model, runs.created_at, runs.updated_at,
         runs.error_code, runs.error_message, runs.prompt_tokens, runs.completion_tokens"
    )
}

/// The first statement of everything an executor writes in a transaction.
fn fence(run_id: Id, owner: Id) -> Statement {
    let sql = "UPDATE runs SET updated_at = now_ms() WHERE id = ?1 AND lease_owner = ?2 RETURNING id";
    Statement::new("fence", sql, [run_id.into(), owner.into()]).must_return()
}

pub(crate) fn insert_batch(run_id: Id, state: RunState, batch: &Batch) -> Statement {
    let sql = "INSERT INTO run_events (run_id, last_id, state, frames) VALUES (?1, ?2, ?3, ?4)";
    let parameters = [run_id.into(), batch.last_id.into(), state.as_str().into(), batch.frames.as_str().into()];
    Statement::new("insert_batch", sql, parameters)
}

fn leave(query: &'static str, rows: &[Row]) -> Result<Leave, StorageError> {
    match rows.first() {
        None => Ok(Leave::LeaseLost),
        Some(row) if row.columns(query).flag()? => Ok(Leave::CancelRequested),
        Some(_) => Ok(Leave::Granted),
    }
}

impl<D: Database> Store<D> {
    /// The owner's run.
    ///
    /// # Errors
    /// Whatever the database says, as everywhere in this crate.
    pub async fn run(&self, user_id: Id, id: Id) -> Result<Option<Run>, StorageError> {
        const QUERY: &str = "run";
        let sql = format!("SELECT {} FROM runs WHERE id = ?1 AND user_id = ?2", selected_columns());
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        rows.first().map(|row| read(QUERY, row)).transpose()
    }

    /// The owner's run as a reader of its events sees it: what was logged after `last_seen`, some at a time.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn tail(&self, user_id: Id, id: Id, last_seen: u64) -> Result<Option<Tail>, StorageError> {
        const QUERY: &str = "tail";
        let sql = format!(
            "SELECT runs.state, CASE WHEN {CLAIMABLE} THEN 1 ELSE 0 END, run_events.last_id, run_events.frames
             FROM runs LEFT JOIN run_events ON run_events.run_id = runs.id AND run_events.last_id > ?3
             WHERE runs.id = ?1 AND runs.user_id = ?2 ORDER BY run_events.last_id LIMIT {TAIL_BATCHES}"
        );
        let parameters = [id.into(), user_id.into(), last_seen.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut tail: Option<Tail> = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let state = columns.read("a run's state", RunState::parse)?;
            let claimable = columns.flag()?;
            let tail = tail.get_or_insert(Tail { state, claimable, batches: Vec::new() });
            if let (Some(last_id), Some(frames)) = (columns.optional_integer()?, columns.optional_text()?) {
                tail.batches.push((u64::try_from(last_id).unwrap_or_default(), frames.to_owned()));
            }
        }
        Ok(tail)
    }

    /// Takes a run that nobody executes, for `lease_ms`. `None`: somebody does, or it has ended.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim(&self, id: Id, owner: Id, lease_ms: i64) -> Result<Option<Claim>, StorageError> {
        const QUERY: &str = "claim";
        let sql = format!(
            "UPDATE runs SET state = 'processing', lease_owner = ?2, lease_expires_at = now_ms() + ?3,
                 attempt = attempt + 1, updated_at = now_ms()
             WHERE id = ?1 AND {CLAIMABLE} RETURNING {STORED_COLUMNS}, attempt, cancel_requested"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), owner.into(), lease_ms.into()])).await?;
        rows.first()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let run = read_columns(&mut columns)?;
                let attempt = u64::try_from(columns.integer()?).unwrap_or_default();
                Ok(Claim { run, attempt, cancel_requested: columns.flag()? })
            })
            .transpose()
    }

    /// Logs events and hears whether to go on, in one statement.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn append_events(
        &self,
        id: Id,
        owner: Id,
        state: RunState,
        batch: &Batch,
    ) -> Result<Leave, StorageError> {
        const QUERY: &str = "append_events";
        let sql = "INSERT INTO run_events (run_id, last_id, state, frames)
                   SELECT id, ?3, ?4, ?5 FROM runs WHERE id = ?1 AND lease_owner = ?2
                   RETURNING (SELECT cancel_requested FROM runs WHERE runs.id = run_id)";
        let parameters =
            [id.into(), owner.into(), batch.last_id.into(), state.as_str().into(), batch.frames.as_str().into()];
        leave(QUERY, &self.database.query(Statement::new(QUERY, sql, parameters)).await?)
    }

    /// Hears whether to go on, when there is nothing to log.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn check_lease(&self, id: Id, owner: Id) -> Result<Leave, StorageError> {
        const QUERY: &str = "check_lease";
        let sql = "SELECT cancel_requested FROM runs WHERE id = ?1 AND lease_owner = ?2";
        leave(QUERY, &self.database.query(Statement::new(QUERY, sql, [id.into(), owner.into()])).await?)
    }

    /// Keeps the lease for another `lease_ms`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn renew_lease(&self, id: Id, owner: Id, lease_ms: i64) -> Result<Leave, StorageError> {
        const QUERY: &str = "renew_lease";
        let sql = "UPDATE runs SET lease_expires_at = now_ms() + ?3 WHERE id = ?1 AND lease_owner = ?2
                   RETURNING cancel_requested";
        let parameters = [id.into(), owner.into(), lease_ms.into()];
        leave(QUERY, &self.database.query(Statement::new(QUERY, sql, parameters)).await?)
    }

    /// All that a run has logged, for whoever takes it over.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn log(&self, id: Id) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "log";
        let sql = "SELECT frames FROM run_events WHERE run_id = ?1 ORDER BY last_id";
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into()])).await?;
        rows.iter().map(|row| Ok(row.columns(QUERY).text()?.to_owned())).collect()
    }

    /// Stores messages and events together: a finished step. `false`: the lease is lost and nothing was stored.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_step(
        &self,
        run: &Run,
        owner: Id,
        state: RunState,
        messages: &[NewMessage],
        batch: &Batch,
    ) -> Result<bool, StorageError> {
        let mut statements = vec![fence(run.id, owner), insert_batch(run.id, state, batch)];
        for message in messages {
            statements.push(messages::insert(run.conversation_id, run.id, message)?);
        }
        Ok(matches!(self.database.transaction(statements).await?, Outcome::Committed(_)))
    }

    /// Ends a run: its answer, its usage, its last events and its state, all or nothing. `false`: the lease is lost.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_run(&self, run: &Run, owner: Id, ending: &Ending) -> Result<bool, StorageError> {
        let (code, message) = match &ending.failure {
            Some(failure) => (Some(failure.code.as_str()), Some(failure.message.as_str())),
            None => (None, None),
        };
        let sql = "UPDATE runs SET state = ?3, error_code = ?4, error_message = ?5, prompt_tokens = ?6,
                       completion_tokens = ?7, lease_owner = NULL, updated_at = now_ms()
                   WHERE id = ?1 AND lease_owner = ?2 RETURNING id";
        let parameters = [
            run.id.into(),
            owner.into(),
            ending.state.as_str().into(),
            code.into(),
            message.into(),
            ending.usage.map(|usage| usage.prompt_tokens).into(),
            ending.usage.map(|usage| usage.completion_tokens).into(),
        ];
        let mut statements = vec![
            Statement::new("finish_run", sql, parameters).must_return(),
            insert_batch(run.id, ending.state, &ending.batch),
        ];
        if let Some(message) = &ending.message {
            statements.push(messages::insert(run.conversation_id, run.id, message)?);
        }
        Ok(matches!(self.database.transaction(statements).await?, Outcome::Committed(_)))
    }

    /// Asks the owner's run to stop. `None`: not the owner's. A run that has ended stays as it is.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn request_cancel(&self, user_id: Id, id: Id) -> Result<Option<CancelRequest>, StorageError> {
        const QUERY: &str = "request_cancel";
        let sql = format!(
            "UPDATE runs SET cancel_requested = 1,
                 state = CASE WHEN state = 'awaiting_approval' THEN 'queued' ELSE state END
             WHERE id = ?1 AND user_id = ?2 AND state IN ('queued', 'processing', 'awaiting_approval')
             RETURNING CASE WHEN {CLAIMABLE} THEN 1 ELSE 0 END"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        let claimable = match rows.first() {
            Some(row) => row.columns(QUERY).flag()?,
            None => false,
        };
        Ok(self.run(user_id, id).await?.map(|run| CancelRequest { run, claimable }))
    }
}
