//! Runs: their executors, their events and their ends.
//!
//! The executor of a run holds its lease: the executor's name, and an expiry by the database's clock. Every write of an executor contains its name.
//! So an executor that was believed dead can write nothing once another has taken over.

use std::sync::LazyLock;

use domain::{Cost, Id, Run, RunFailure, RunState, Usage, event::Progress};
use vault::Place;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    data_keys::PersonKey,
    database::Columns,
    messages::{FAILED_CALL, NewMessage, place},
    sealed_texts::{Opener, seal, seal_optional},
    tool_tasks::{HAS_QUESTION, HAS_TASK, can_go_on},
};

/// An executor of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The run's id.
    pub run_id: Id,
    /// The executor's name. Each claim makes a new one, so no executor is confused with an earlier one.
    pub owner: Id,
}

/// A part of a run's log, and its state, for a reader of its events.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The run's stored state.
    pub state: RunState,
    /// Whether the run can be claimed: nobody executes it.
    pub claimable: bool,
    /// The remaining time of the current lease in milliseconds.
    pub lease_left_ms: Option<i64>,
    /// It waits for tasks that go on at other servers.
    pub has_tasks: bool,
    /// Batches of frames, each with the id of its last event.
    pub batches: Vec<(u64, String)>,
}

/// The end of a run, or its progress when it begins to wait for the person.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Complete, error or cancelled; or awaiting approval or a task.
    pub state: RunState,
    /// For the state error.
    pub failure: Option<RunFailure>,
    /// The tokens used. `None`, if the model did not report them: the stored number stays.
    pub usage: Option<Usage>,
    /// The answer, possibly incomplete.
    pub message: Option<NewMessage>,
    /// The last batch of events.
    pub batch: Batch,
}

/// Events to append to a log.
#[derive(Clone, Default, Debug)]
pub struct Batch {
    /// The id of the last event.
    pub last_id: u64,
    /// The events as they are sent to readers.
    pub frames: String,
}

impl Batch {
    /// Appends later events.
    pub fn append(&mut self, later: Self) {
        if self.frames.is_empty() {
            *self = later;
        } else if !later.frames.is_empty() {
            self.last_id = later.last_id;
            self.frames.push_str(&later.frames);
        }
    }
}

/// The result of asking a run to stop.
#[derive(Clone, Debug)]
pub struct CancelRequest {
    /// The run after the request.
    pub run: Run,
    /// Nobody executes the run, so the caller must end it.
    pub claimable: bool,
    /// Calls of it go on at their servers, which were not told to stop.
    pub has_tasks: bool,
}

/// The batches read at once. A batch is about 4 KiB, so this is a few hundred KiB.
const TAIL_BATCHES: usize = 64;

/// The states of an active run. A conversation has at most one active run.
pub(crate) const ACTIVE: &str = "('queued', 'processing', 'awaiting_approval')";

/// The stored columns, in the order of [`read`].
pub(crate) const STORED_COLUMNS: &str = "id, conversation_id, message_id, state, model, created_at, updated_at,
    error_code, error_message, prompt_tokens, completion_tokens, provider, cost, currency";

/// The state as it is stored. A run that waits has one state, which earlier releases know too; `approvals` and `tool_tasks` say what it waits for.
pub(crate) const fn stored(state: RunState) -> RunState {
    match state {
        RunState::AwaitingTask => RunState::AwaitingApproval,
        other => other,
    }
}

/// The SQL condition for a run that can be claimed: nobody executes it. Nothing wakes a run that waits. It can be claimed once it can go on, or once
/// the person wants to stop it.
pub(crate) static CLAIMABLE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "(runs.state = 'queued' OR (runs.state = 'processing' AND runs.lease_expires_at < now_ms())
    OR (runs.state = 'awaiting_approval' AND (runs.cancel_requested = 1 OR {})))",
        can_go_on()
    )
});

macro_rules! never_claimed {
    () => {
        "(runs.state = 'queued' AND runs.updated_at + 86400000 <= now_ms())"
    };
}

/// The SQL condition for a run that nobody read within a day. Its person has gone, and no longer expects the answer. Every query shows such a run as
/// failed. It is ended by its next reader, or by the next message of its conversation. A run whose executor died is not abandoned while a server still
/// keeps a task of it.
pub(crate) const ABANDONED: &str = concat!(
    "(",
    never_claimed!(),
    " OR (runs.state = 'processing' AND runs.lease_expires_at + 86400000 <= now_ms()
        AND NOT EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id AND tool_tasks.lapses_at > now_ms())))"
);

/// [`ABANDONED`] for a run that was never claimed: no task of it can be anywhere.
pub(crate) const ABANDONED_NEW: &str = never_claimed!();

/// Whether the run's person is suspended: whoever claims such a run ends it as cancelled.
pub(crate) const SUSPENDED: &str =
    "EXISTS (SELECT 1 FROM users WHERE users.id = runs.user_id AND users.suspended_at IS NOT NULL)";

/// The code and message of an abandoned run. They are SQL literals, so they contain no apostrophe.
pub const ABANDONED_CODE: &str = "run_abandoned";
const ABANDONED_MESSAGE: &str = "Nobody came back for this answer within a day, so it was given up. Ask again.";

/// Between claim and end, the state is in the log, not in the row, which saves a statement at every step. A claimed run no longer waits, even if that
/// is its last logged state. A run that waits for the person and for a task is shown as waiting for the person.
static STATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "CASE WHEN runs.state = 'processing' THEN COALESCE((SELECT NULLIF(run_events.state, 'awaiting_approval')
    FROM run_events WHERE run_events.run_id = runs.id ORDER BY last_id DESC LIMIT 1), runs.state)
    WHEN runs.state = 'awaiting_approval' AND NOT {HAS_QUESTION}
        AND EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id) THEN 'awaiting_task' ELSE runs.state END"
    )
});

/// Where the words of a run's failure are: they may be a provider's, which quotes people.
const fn failure_of(id: &str) -> Place<'_> {
    Place { table: "runs", row: id, column: "error_message" }
}

/// Seals a batch of a run's log.
pub(crate) fn seal_batch(key: &PersonKey, run_id: Id, batch: &Batch) -> Result<Value, StorageError> {
    seal(key, batch_of(&format!("{run_id} {}", batch.last_id)), &batch.frames)
}

fn open_batch(opener: &Opener, run_id: Id, last_id: u64, stored: &str) -> Result<(u64, String), StorageError> {
    Ok((last_id, opener.open(batch_of(&format!("{run_id} {last_id}")), stored)?))
}

/// Where the frames of a batch are; its row is named by the run's id, a space, and the id of the last event.
pub(crate) const fn batch_of(row: &str) -> Place<'_> {
    Place { table: "run_events", row, column: "frames" }
}

pub(crate) fn read(query: &'static str, row: &Row, opener: &Opener) -> Result<Run, StorageError> {
    read_columns(&mut row.columns(query), opener)
}

pub(crate) fn read_columns(columns: &mut Columns<'_>, opener: &Opener) -> Result<Run, StorageError> {
    let tokens = |count: i64| u64::try_from(count).unwrap_or_default();
    let id = columns.id()?;
    Ok(Run {
        id,
        conversation_id: columns.id()?,
        message_id: columns.id()?,
        state: columns.read("a run's state", RunState::parse)?,
        model: columns.text()?.to_owned(),
        created_at: columns.timestamp()?,
        updated_at: columns.timestamp()?,
        failure: match (columns.optional_text()?, columns.optional_text()?) {
            (Some(code), Some(message)) => {
                let message = opener.open(failure_of(&id.to_string()), message)?;
                Some(RunFailure { code: code.to_owned(), message })
            }
            _ => None,
        },
        usage: match (columns.optional_integer()?, columns.optional_integer()?) {
            (Some(prompt), Some(completion)) => {
                let (prompt_tokens, completion_tokens) = (tokens(prompt), tokens(completion));
                Some(Usage { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens })
            }
            _ => None,
        },
        provider: columns.optional_text()?.map(str::to_owned),
        cost: match (columns.optional_integer()?, columns.optional_text()?) {
            (Some(millionths), Some(currency)) => {
                Some(Cost { millionths: tokens(millionths), currency: currency.to_owned() })
            }
            _ => None,
        },
    })
}

/// The SQL for the code and message of a run's failure. `abandoned` is [`ABANDONED`] or [`ABANDONED_NEW`].
pub(crate) fn failure(abandoned: &str) -> (String, String) {
    let or = |column: &str, said: &str| format!("CASE WHEN {abandoned} THEN '{said}' ELSE runs.{column} END");
    (or("error_code", ABANDONED_CODE), or("error_message", ABANDONED_MESSAGE))
}

fn selected_columns() -> String {
    let (code, message) = failure(ABANDONED);
    format!(
        "runs.id, runs.conversation_id, runs.message_id, CASE WHEN {ABANDONED} THEN 'error' ELSE {} END, runs.model,
         runs.created_at, runs.updated_at, {code}, {message}, runs.prompt_tokens, runs.completion_tokens, runs.provider, runs.cost, runs.currency",
        *STATE
    )
}

/// What an executor stores in one statement, if its lease still holds.
struct Step<'a> {
    state: RunState,
    batch: &'a Batch,
    message: Option<&'a NewMessage>,
    /// The tokens of the run so far. `None`, if the model did not report them: the stored number stays.
    usage: Option<Usage>,
    ending: Option<&'a Ending>,
}

fn step(key: &PersonKey, lease: Lease, step: &Step<'_>) -> Result<Statement, StorageError> {
    let sql = "INSERT INTO answer_records (run_id, lease_owner, state, last_id, frames, message_id, conversation_id, position, role,
                   content, tool_calls, tool_call_id, tool_error, finish_reason, size, final_state, error_code, error_message,
                   prompt_tokens, completion_tokens, reasoning, echo, duration_ms, title, provider, cost, currency, created_at)
               SELECT runs.id, runs.lease_owner, ?3, ?4, ?5, ?6, runs.conversation_id,
                   (SELECT COALESCE(MAX(position), 0) + 1 FROM messages WHERE messages.conversation_id = runs.conversation_id),
                   ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, COALESCE(?17, runs.prompt_tokens),
                   COALESCE(?18, runs.completion_tokens), ?19, ?20, ?21, ?22, COALESCE(CAST(?23 AS text), runs.provider),
                   COALESCE(CAST(?24 AS bigint), runs.cost), COALESCE(CAST(?25 AS text), runs.currency), now_ms()
               FROM runs WHERE runs.id = ?1 AND runs.lease_owner = ?2 RETURNING run_id";
    let message = step.message;
    let tool_calls = match message {
        Some(message) if !message.tool_calls.is_empty() => Some(serde_json::to_string(&message.tool_calls)?),
        _ => None,
    };
    let result = message.and_then(|message| message.tool_result.as_ref());
    let finish_reason = match result {
        Some(result) => result.is_error.then_some(FAILED_CALL),
        None => message.and_then(|message| message.finish_reason.as_deref()),
    };
    let echo = message.and_then(|message| message.echo.as_deref());
    let size = message.map_or(0, |message| message.content.len())
        + tool_calls.as_ref().map_or(0, String::len)
        + echo.map_or(0, str::len);
    let failure = step.ending.and_then(|ending| ending.failure.as_ref());
    let (run_id, message_id) = (lease.run_id.to_string(), message.map(|message| message.id.to_string()));
    let sealed = |column, text| seal_optional(key, place(message_id.as_deref().unwrap_or_default(), column), text);
    let author = message.and_then(|message| message.author.as_ref());
    let cost = author.and_then(|author| author.cost.as_ref());
    let parameters: [Value; 25] = [
        lease.run_id.into(),
        lease.owner.into(),
        stored(step.state).as_str().into(),
        step.batch.last_id.into(),
        seal_batch(key, lease.run_id, step.batch)?,
        message.map(|message| message.id).into(),
        message.map(|message| message.role.as_str()).into(),
        sealed("content", message.map(|message| message.content.as_str()))?,
        sealed("tool_calls", tool_calls.as_deref())?,
        result.map(|result| result.call_id.as_str()).into(),
        result.map(|result| i64::from(result.is_error)).into(),
        finish_reason.into(),
        (size as u64).into(),
        step.ending.map(|ending| stored(ending.state).as_str()).into(),
        failure.map(|failure| failure.code.as_str()).into(),
        seal_optional(key, failure_of(&run_id), failure.map(|failure| failure.message.as_str()))?,
        step.usage.map(|usage| usage.prompt_tokens).into(),
        step.usage.map(|usage| usage.completion_tokens).into(),
        sealed("reasoning", message.and_then(|message| message.reasoning.as_deref()))?,
        sealed("echo", echo)?,
        result.and_then(|result| result.duration_ms).into(),
        sealed("title", result.and_then(|result| result.title.as_deref()))?,
        author.map(|author| author.provider.as_str()).into(),
        cost.map(|cost| cost.millionths).into(),
        cost.map(|cost| cost.currency.as_str()).into(),
    ];
    Ok(Statement::new("run_step", sql, parameters).durably().repeatably())
}

impl<D: Database> Store<D> {
    /// One run of the owner.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn run(&self, user_id: Id, id: Id) -> Result<Option<Run>, StorageError> {
        const QUERY: &str = "run";
        let sql = format!("SELECT {} FROM runs WHERE id = ?1 AND user_id = ?2", selected_columns());
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.first().map(|row| read(QUERY, row, &opener)).transpose()
    }

    /// The state of the owner's run and the next batches of its log after `last_seen`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn tail(&self, user_id: Id, id: Id, last_seen: u64) -> Result<Option<Tail>, StorageError> {
        const QUERY: &str = "tail";
        let sql = format!(
            "SELECT runs.state, CASE WHEN {} THEN 1 ELSE 0 END,
                 CASE WHEN runs.state = 'processing' THEN runs.lease_expires_at - now_ms() END,
                 CASE WHEN runs.state = 'awaiting_approval' AND {HAS_TASK} THEN 1 ELSE 0 END,
                 run_events.last_id, run_events.frames
             FROM runs LEFT JOIN run_events ON run_events.run_id = runs.id AND run_events.last_id > ?3
             WHERE runs.id = ?1 AND runs.user_id = ?2 ORDER BY run_events.last_id LIMIT {TAIL_BATCHES}",
            *CLAIMABLE
        );
        let parameters = [id.into(), user_id.into(), last_seen.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let opener = self.opener(user_id, &rows).await?;
        let mut tail: Option<Tail> = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let state = columns.read("a run's state", RunState::parse)?;
            let (claimable, lease_left_ms, has_tasks) = (columns.flag()?, columns.optional_integer()?, columns.flag()?);
            let tail = tail.get_or_insert(Tail { state, claimable, lease_left_ms, has_tasks, batches: Vec::new() });
            if let (Some(last_id), Some(frames)) = (columns.optional_integer()?, columns.optional_text()?) {
                tail.batches.push(open_batch(&opener, id, u64::try_from(last_id).unwrap_or_default(), frames)?);
            }
        }
        Ok(tail)
    }

    /// Ends the abandoned run of the owner's conversation. Returns whether there was one.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn end_abandoned(&self, user_id: Id, conversation_id: Id) -> Result<bool, StorageError> {
        let sql = format!(
            "UPDATE runs SET state = 'error', error_code = '{ABANDONED_CODE}', error_message = '{ABANDONED_MESSAGE}',
                 lease_owner = NULL, updated_at = now_ms()
             WHERE conversation_id = ?1 AND user_id = ?2 AND {ABANDONED} RETURNING id"
        );
        let parameters = [conversation_id.into(), user_id.into()];
        let ended = self.database.query(Statement::new("end_abandoned", sql, parameters).repeatably()).await?;
        Ok(!ended.is_empty())
    }

    /// What a run has said and done according to its log, for the executor that takes it over or ends it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn progress(&self, id: Id) -> Result<Progress, StorageError> {
        let mut progress = Progress::default();
        let mut after = 0;
        loop {
            let page = self.log(id, after).await?;
            for (last_id, frames) in &page {
                progress.read(frames);
                after = *last_id;
            }
            if page.len() < TAIL_BATCHES {
                return Ok(progress);
            }
        }
    }

    /// The next batches of a run's log after an event, each with the id of its last event.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn log(&self, id: Id, after: u64) -> Result<Vec<(u64, String)>, StorageError> {
        const QUERY: &str = "log";
        let sql = format!(
            "SELECT last_id, frames FROM run_events WHERE run_id = ?1 AND last_id > ?2 ORDER BY last_id LIMIT {TAIL_BATCHES}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), after.into()])).await?;
        let opener = self.opener_of_run(id, &rows).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                open_batch(&opener, id, u64::try_from(columns.integer()?).unwrap_or_default(), columns.text()?)
            })
            .collect()
    }

    /// Stores a finished step: a message, its events, and the tokens used by the run so far. `false`: the lease is lost, and nothing was stored.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_step(
        &self,
        lease: Lease,
        state: RunState,
        message: &NewMessage,
        usage: Option<Usage>,
        batch: &Batch,
    ) -> Result<bool, StorageError> {
        self.take(lease, &Step { state, batch, message: Some(message), usage, ending: None }).await
    }

    /// Stores the result of a call as a message, with its event. `false`: the lease is lost, and nothing was stored.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_tool_call(
        &self,
        lease: Lease,
        message: &NewMessage,
        batch: &Batch,
    ) -> Result<bool, StorageError> {
        let state = RunState::ToolExecution;
        self.take(lease, &Step { state, batch, message: Some(message), usage: None, ending: None }).await
    }

    /// Ends a run, or lets it wait for the person. Stores its answer, usage, last events and state, and releases the lease, all or nothing. `false`:
    /// the lease is lost.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_run(&self, lease: Lease, ending: &Ending) -> Result<bool, StorageError> {
        let (state, batch, message) = (ending.state, &ending.batch, ending.message.as_ref());
        self.take(lease, &Step { state, batch, message, usage: ending.usage, ending: Some(ending) }).await
    }

    async fn take(&self, lease: Lease, taken: &Step<'_>) -> Result<bool, StorageError> {
        // A run that is gone has no lease either.
        let Some(key) = self.data_keys_of_runs([lease.run_id]).await?.remove(&lease.run_id) else { return Ok(false) };
        let key = key?;
        Ok(!self.database.query(step(&key, lease, taken)?).await?.is_empty())
    }

    /// Asks the owner's run to stop. `None`: the run does not exist or belongs to another person. A run that has ended is not changed. A run that
    /// waits stops waiting. `at_once`: nobody waits for the executor. It loses its lease, so it can write nothing more, and the run is claimable.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn request_cancel(
        &self,
        user_id: Id,
        id: Id,
        at_once: bool,
    ) -> Result<Option<CancelRequest>, StorageError> {
        const QUERY: &str = "request_cancel";
        const QUERY_AFTER: &str = "run_to_cancel";
        let sql = format!(
            "UPDATE runs SET cancel_requested = 1, lease_owner = CASE WHEN CAST(?3 AS bigint) = 1 THEN NULL ELSE lease_owner END,
                 lease_expires_at = CASE WHEN CAST(?3 AS bigint) = 1 THEN 0 ELSE lease_expires_at END
             WHERE id = ?1 AND user_id = ?2 AND state IN {ACTIVE}
             RETURNING CASE WHEN {} THEN 1 ELSE 0 END",
            *CLAIMABLE
        );
        let rows = self
            .database
            .query(Statement::new(QUERY, sql, [id.into(), user_id.into(), at_once.into()]).repeatably())
            .await?;
        let claimable = rows.first().map(|row| row.columns(QUERY).flag()).transpose()?.unwrap_or_default();
        // After the wish is stored: a task that is kept later sees it. Also of a run that has ended, so that the request can be repeated.
        let sql = format!(
            "SELECT {}, CASE WHEN EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id) THEN 1 ELSE 0 END
             FROM runs WHERE id = ?1 AND user_id = ?2",
            selected_columns()
        );
        let rows = self.database.query(Statement::new(QUERY_AFTER, sql, [id.into(), user_id.into()])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let opener = self.opener(user_id, &rows).await?;
        let mut columns = row.columns(QUERY_AFTER);
        Ok(Some(CancelRequest { run: read_columns(&mut columns, &opener)?, claimable, has_tasks: columns.flag()? }))
    }
}
