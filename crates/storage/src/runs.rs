//! Runs: who executes one, what it has said so far, and how it ends.
//!
//! Whoever executes a run holds its lease: a name (the executor's) and a time by the database's clock. Everything an executor writes
//! names itself, so that one that was thought dead and was not can write nothing any more.

use domain::{Id, Run, RunFailure, RunState, Usage, event::Progress};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::Columns,
    messages::{FAILED_CALL, NewMessage},
    model_dialects,
};

/// Who executes which run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The run.
    pub run_id: Id,
    /// Made up anew at each claim, so that nobody is taken for an earlier executor.
    pub owner: Id,
}

/// A lease on a run that has just been taken.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The run.
    pub run: Run,
    /// How often the run has been claimed, this time included.
    pub attempt: u64,
    /// Somebody already asked to stop it.
    pub cancel_requested: bool,
    /// What was learned of how the server wants requests for the run's model, as whoever stored it wrote it.
    pub dialect: Option<String>,
}

/// What a reader of a run's events gets at once.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Where the run is.
    pub state: RunState,
    /// Nobody executes it.
    pub claimable: bool,
    /// How long the lease of whoever executes it still holds, in milliseconds.
    pub lease_left_ms: Option<i64>,
    /// Batches of frames, each with the id of its last event.
    pub batches: Vec<(u64, String)>,
}

/// How a run ends, or how far it has come when it begins to wait for the person.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Complete, error or cancelled; or awaiting approval.
    pub state: RunState,
    /// With error.
    pub failure: Option<RunFailure>,
    /// If the model said; else what was stored before stays.
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

impl Batch {
    /// Puts later events behind these.
    pub fn append(&mut self, later: Self) {
        if self.frames.is_empty() {
            *self = later;
        } else if !later.frames.is_empty() {
            self.last_id = later.last_id;
            self.frames.push_str(&later.frames);
        }
    }
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
const TAIL_BATCHES: usize = 64;

/// The states in which a run stands in the way of the next.
pub(crate) const ACTIVE: &str = "('queued', 'processing', 'awaiting_approval')";

/// Columns as stored, in the order of [`read`].
pub(crate) const STORED_COLUMNS: &str = "id, conversation_id, message_id, state, model, created_at, updated_at,
    error_code, error_message, prompt_tokens, completion_tokens";

/// Nobody executes it, and somebody may. A run that waits for approval needs nobody to wake it: it may go on as soon as none of its
/// questions is open, be it answered or too old, and it may be ended whenever the person wants it stopped.
const CLAIMABLE: &str = "(runs.state = 'queued' OR (runs.state = 'processing' AND runs.lease_expires_at < now_ms())
    OR (runs.state = 'awaiting_approval' AND (runs.cancel_requested = 1 OR NOT EXISTS (SELECT 1 FROM approvals
        WHERE approvals.run_id = runs.id AND approvals.decision IS NULL AND approvals.expires_at > now_ms()))))";

/// Nobody came for it within a day: whoever asked has gone, and does not want to find an answer to what they asked then. Such a run counts as
/// failed wherever it is looked at, and is ended by whoever needs it to be: its reader, or the next message of its conversation.
pub(crate) const ABANDONED: &str = "((runs.state = 'queued' AND runs.updated_at + 86400000 <= now_ms())
    OR (runs.state = 'processing' AND runs.lease_expires_at + 86400000 <= now_ms()))";

/// Its person is suspended: nobody executes it.
const SUSPENDED: &str = "EXISTS (SELECT 1 FROM users WHERE users.id = runs.user_id AND users.suspended_at IS NOT NULL)";

/// What is said of it. Literals of SQL, so no apostrophe.
pub const ABANDONED_CODE: &str = "run_abandoned";
const ABANDONED_MESSAGE: &str = "Nobody came back for this answer within a day, so it was given up. Ask again.";

/// Between claim and end the log knows the state, the row does not: one statement less at every step. A run that has been taken up again
/// does not wait any more, though that was the last that it logged.
const STATE: &str =
    "CASE WHEN runs.state = 'processing' THEN COALESCE((SELECT NULLIF(run_events.state, 'awaiting_approval')
    FROM run_events WHERE run_events.run_id = runs.id ORDER BY last_id DESC LIMIT 1), runs.state) ELSE runs.state END";

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

/// What a run failed with.
fn failure() -> (String, String) {
    let or = |column: &str, said: &str| format!("CASE WHEN {ABANDONED} THEN '{said}' ELSE runs.{column} END");
    (or("error_code", ABANDONED_CODE), or("error_message", ABANDONED_MESSAGE))
}

fn selected_columns() -> String {
    let (code, message) = failure();
    format!(
        "runs.id, runs.conversation_id, runs.message_id, CASE WHEN {ABANDONED} THEN 'error' ELSE {STATE} END, runs.model,
         runs.created_at, runs.updated_at, {code}, {message}, runs.prompt_tokens, runs.completion_tokens"
    )
}

/// What an executor stores at once, if its lease still holds.
struct Step<'a> {
    state: RunState,
    batch: &'a Batch,
    message: Option<&'a NewMessage>,
    /// Of the run so far. What was stored before stays if the model did not say.
    usage: Option<Usage>,
    ending: Option<&'a Ending>,
}

fn step(lease: Lease, step: &Step<'_>) -> Result<Statement, StorageError> {
    let sql = "INSERT INTO step_records (run_id, lease_owner, state, last_id, frames, message_id, conversation_id, position, role,
                   content, tool_calls, tool_call_id, tool_error, finish_reason, size, final_state, error_code, error_message,
                   prompt_tokens, completion_tokens, reasoning, echo, duration_ms, title, created_at)
               SELECT runs.id, runs.lease_owner, ?3, ?4, ?5, ?6, runs.conversation_id,
                   (SELECT COALESCE(MAX(position), 0) + 1 FROM messages WHERE messages.conversation_id = runs.conversation_id),
                   ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, COALESCE(?17, runs.prompt_tokens),
                   COALESCE(?18, runs.completion_tokens), ?19, ?20, ?21, ?22, now_ms()
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
    let parameters: [Value; 22] = [
        lease.run_id.into(),
        lease.owner.into(),
        step.state.as_str().into(),
        step.batch.last_id.into(),
        step.batch.frames.as_str().into(),
        message.map(|message| message.id).into(),
        message.map(|message| message.role.as_str()).into(),
        message.map(|message| message.content.as_str()).into(),
        tool_calls.into(),
        result.map(|result| result.call_id.as_str()).into(),
        result.map(|result| i64::from(result.is_error)).into(),
        finish_reason.into(),
        (size as u64).into(),
        step.ending.map(|ending| ending.state.as_str()).into(),
        failure.map(|failure| failure.code.as_str()).into(),
        failure.map(|failure| failure.message.as_str()).into(),
        step.usage.map(|usage| usage.prompt_tokens).into(),
        step.usage.map(|usage| usage.completion_tokens).into(),
        message.and_then(|message| message.reasoning.as_deref()).into(),
        echo.into(),
        result.and_then(|result| result.duration_ms).into(),
        result.and_then(|result| result.title.as_deref()).into(),
    ];
    Ok(Statement::new("run_step", sql, parameters).durably().repeatably())
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
            "SELECT runs.state, CASE WHEN {CLAIMABLE} THEN 1 ELSE 0 END,
                 CASE WHEN runs.state = 'processing' THEN runs.lease_expires_at - now_ms() END,
                 run_events.last_id, run_events.frames
             FROM runs LEFT JOIN run_events ON run_events.run_id = runs.id AND run_events.last_id > ?3
             WHERE runs.id = ?1 AND runs.user_id = ?2 ORDER BY run_events.last_id LIMIT {TAIL_BATCHES}"
        );
        let parameters = [id.into(), user_id.into(), last_seen.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let mut tail: Option<Tail> = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let state = columns.read("a run's state", RunState::parse)?;
            let (claimable, lease_left_ms) = (columns.flag()?, columns.optional_integer()?);
            let tail = tail.get_or_insert(Tail { state, claimable, lease_left_ms, batches: Vec::new() });
            if let (Some(last_id), Some(frames)) = (columns.optional_integer()?, columns.optional_text()?) {
                tail.batches.push((u64::try_from(last_id).unwrap_or_default(), frames.to_owned()));
            }
        }
        Ok(tail)
    }

    /// Takes a run that nobody executes, for `lease_ms`; whoever does asks the model at `server`. `None`: somebody does, or it has ended. One that
    /// nobody came for in time has a failure already: it is to be ended, not executed.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim(&self, lease: Lease, lease_ms: i64, server: &str) -> Result<Option<Claim>, StorageError> {
        self.claim_early(lease, lease_ms, 0, server).await
    }

    /// As [`Self::claim`], and takes it too from an executor whose lease holds for less than `left_ms`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim_early(
        &self,
        lease: Lease,
        lease_ms: i64,
        left_ms: i64,
        server: &str,
    ) -> Result<Option<Claim>, StorageError> {
        let silent = format!("runs.state = 'processing' AND runs.lease_expires_at < now_ms() + {left_ms}");
        let condition = format!("({CLAIMABLE} OR {silent} OR lease_owner = ?2)");
        self.claim_if("claim", &condition, lease, lease_ms, server, None).await
    }

    /// Takes the owner's run if nobody ever has: it has no log yet, so there is nothing to read before executing it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn claim_new(
        &self,
        user_id: Id,
        lease: Lease,
        lease_ms: i64,
        server: &str,
    ) -> Result<Option<Claim>, StorageError> {
        self.claim_if(
            "claim_new",
            "(state = 'queued' AND attempt = 0 OR lease_owner = ?2) AND user_id = ?5",
            lease,
            lease_ms,
            server,
            Some(user_id),
        )
        .await
    }

    async fn claim_if(
        &self,
        query: &'static str,
        condition: &str,
        lease: Lease,
        lease_ms: i64,
        server: &str,
        user_id: Option<Id>,
    ) -> Result<Option<Claim>, StorageError> {
        let (code, message) = failure();
        let sql = format!(
            "UPDATE runs SET state = 'processing', error_code = {code}, error_message = {message}, lease_owner = ?2, lease_expires_at = now_ms() + ?3,
                 attempt = attempt + 1, updated_at = now_ms()
             WHERE id = ?1 AND {condition} AND NOT {SUSPENDED} RETURNING {STORED_COLUMNS}, attempt, cancel_requested, {}",
            model_dialects::OF_RUN
        );
        let mut parameters: Vec<Value> = vec![lease.run_id.into(), lease.owner.into(), lease_ms.into(), server.into()];
        parameters.extend(user_id.map(Value::from));
        let rows = self.database.query(Statement::new(query, sql, parameters).repeatably()).await?;
        rows.first()
            .map(|row| {
                let mut columns = row.columns(query);
                let run = read_columns(&mut columns)?;
                let attempt = u64::try_from(columns.integer()?).unwrap_or_default();
                let cancel_requested = columns.flag()?;
                let dialect = columns.optional_text()?.map(str::to_owned);
                Ok(Claim { run, attempt, cancel_requested, dialect })
            })
            .transpose()
    }

    /// Ends what nobody came for in a conversation of the owner's. Whether there was any.
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

    /// What a run has said and done according to its log, for whoever takes it over or ends it.
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

    /// What a run has logged after an event: batches with the id of their last event, some at a time.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn log(&self, id: Id, after: u64) -> Result<Vec<(u64, String)>, StorageError> {
        const QUERY: &str = "log";
        let sql = format!(
            "SELECT last_id, frames FROM run_events WHERE run_id = ?1 AND last_id > ?2 ORDER BY last_id LIMIT {TAIL_BATCHES}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), after.into()])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok((u64::try_from(columns.integer()?).unwrap_or_default(), columns.text()?.to_owned()))
            })
            .collect()
    }

    /// Stores a message and events together: a finished step, after which the run has used `usage`. `false`: the lease is lost and nothing
    /// was stored.
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

    /// Stores a call's result as a message, with its event. `false`: the lease is lost and nothing was stored.
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

    /// Ends a run, or lets it wait: its answer, its usage, its last events and its state, all or nothing; the lease is given back. `false`:
    /// it is lost.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn finish_run(&self, lease: Lease, ending: &Ending) -> Result<bool, StorageError> {
        let (state, batch, message) = (ending.state, &ending.batch, ending.message.as_ref());
        self.take(lease, &Step { state, batch, message, usage: ending.usage, ending: Some(ending) }).await
    }

    async fn take(&self, lease: Lease, taken: &Step<'_>) -> Result<bool, StorageError> {
        Ok(!self.database.query(step(lease, taken)?).await?.is_empty())
    }

    /// Asks the owner's run to stop. `None`: not the owner's. A run that has ended stays as it is; one that waits for approval waits no more.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn request_cancel(&self, user_id: Id, id: Id) -> Result<Option<CancelRequest>, StorageError> {
        const QUERY: &str = "request_cancel";
        let sql = format!(
            "UPDATE runs SET cancel_requested = 1 WHERE id = ?1 AND user_id = ?2 AND state IN {ACTIVE}
             RETURNING CASE WHEN {CLAIMABLE} THEN 1 ELSE 0 END"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()]).repeatably()).await?;
        let claimable = match rows.first() {
            Some(row) => row.columns(QUERY).flag()?,
            None => false,
        };
        Ok(self.run(user_id, id).await?.map(|run| CancelRequest { run, claimable }))
    }
}
