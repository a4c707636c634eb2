//! Calls that go on at their servers as tasks, while the runs that made them wait. A task's server is asked about it by a reader of the run; of several
//! readers, the one that claims it asks.
//!
//! A row outlives its run. If the run has ended or is deleted, the task is to be stopped at its server, and the row is kept until the server was told.

use domain::{Id, Timestamp, ToolResult};
use vault::Place;

use crate::{
    Database, Statement, StorageError, Store, Value,
    database::Columns,
    runs::{ACTIVE, Lease},
    sealed_texts::{seal, seal_optional},
};

/// The SQL condition for a run with an open question: the person can still decide about a call.
pub(crate) const HAS_QUESTION: &str =
    "EXISTS (SELECT 1 FROM approvals WHERE approvals.run_id = runs.id AND approvals.decision IS NULL
    AND approvals.expires_at > now_ms())";

/// The SQL condition for a run with a call that goes on at its server.
pub(crate) const HAS_TASK: &str =
    "EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id AND tool_tasks.ended_at IS NULL)";

/// The SQL condition for a waiting run that an executor can bring further: a task has ended; or no question is open, and either no task goes on or a
/// question has an answer that nobody has acted on.
pub(crate) fn can_go_on() -> String {
    format!(
        "(EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id AND tool_tasks.ended_at IS NOT NULL)
    OR (NOT {HAS_QUESTION} AND (NOT {HAS_TASK} OR EXISTS (SELECT 1 FROM approvals
        WHERE approvals.run_id = runs.id AND approvals.unanswered = 1 AND NOT EXISTS (SELECT 1 FROM tool_tasks
            WHERE tool_tasks.run_id = approvals.run_id AND tool_tasks.call_id = approvals.call_id)))))"
    )
}

/// Tasks that are stopped at once. Each is a request to a server; the rest comes next.
const MAX_STOPPED: u32 = 16;

/// A call that has become a task.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// The model's id of the call.
    pub call_id: &'a str,
    /// The tool, by the name that the model has for it.
    pub name: &'a str,
    /// The tool's name for people.
    pub title: &'a str,
    /// Where it was made.
    pub server: &'a str,
    /// The tool there.
    pub tool: &'a str,
    /// The server's name for the task.
    pub task_id: &'a str,
    /// Where it was made there, if that has to be known to ask about it.
    pub session: Option<&'a str>,
    /// What the server says of it.
    pub said: Said<'a>,
}

/// What a server says of a task that goes on.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// In words, for people.
    pub message: Option<&'a str>,
    /// When to ask again.
    pub poll_ms: i64,
    /// For how long from its beginning it is kept.
    pub lifetime_ms: i64,
}

/// A task of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolTask {
    /// The model's id of the call.
    pub call_id: String,
    /// The tool, by the name that the model has for it.
    pub name: String,
    /// The tool's name for people.
    pub title: String,
    /// The server that has it.
    pub server: String,
    /// Since when.
    pub started_at: Timestamp,
    /// `None` while it goes on.
    pub ended: Option<Ended>,
}

impl ToolTask {
    /// The result of a task that has ended.
    #[must_use]
    pub fn result(&self) -> Option<(&str, ToolResult)> {
        let Ended { result, is_error, duration_ms } = self.ended.as_ref()?;
        let (call_id, title) = (self.call_id.clone(), Some(self.title.clone()));
        Some((result, ToolResult { call_id, is_error: *is_error, duration_ms: Some(*duration_ms), title }))
    }
}

/// The end of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// What it came to, for a model.
    pub result: String,
    /// Whether that is a failure.
    pub is_error: bool,
    /// How long it went on.
    pub duration_ms: u64,
}

/// A task as a reader of its run sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingTask {
    /// The model's id of the call.
    pub call_id: String,
    /// What the server last said of it.
    pub message: Option<String>,
    /// It is time to ask about it.
    pub is_due: bool,
}

/// A task that is to be asked about, or to be stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedTask {
    /// The model's id of the call.
    pub call_id: String,
    /// The tool, by the name that the model has for it.
    pub name: String,
    /// Where it was made.
    pub server: String,
    /// The tool there.
    pub tool: String,
    /// The server's name for the task.
    pub task_id: String,
    /// Where it was made there, if that has to be known to ask about it.
    pub session: Option<String>,
    /// The run of the call.
    pub run_id: Id,
    /// The person whose run it is.
    pub user_id: Id,
    /// Whether the time is over for which its server keeps it.
    pub has_lapsed: bool,
    /// The milliseconds since it was made.
    pub age_ms: i64,
    /// The milliseconds since its server was first asked in vain. `None`: the last question was answered.
    pub silent_ms: Option<i64>,
}

const CLAIMED: &str = "call_id, name, server, tool, task_id, session, run_id, user_id,
    CASE WHEN lapses_at <= now_ms() THEN 1 ELSE 0 END, now_ms() - started_at, now_ms() - silent_since";

fn claimed(columns: &mut Columns<'_>) -> Result<ClaimedTask, StorageError> {
    Ok(ClaimedTask {
        call_id: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        server: columns.text()?.to_owned(),
        tool: columns.text()?.to_owned(),
        task_id: columns.text()?.to_owned(),
        session: columns.optional_text()?.map(str::to_owned),
        run_id: columns.id()?,
        user_id: columns.id()?,
        has_lapsed: columns.flag()?,
        age_ms: columns.integer()?,
        silent_ms: columns.optional_integer()?,
    })
}

/// The name of a task's row.
fn row_of(run_id: Id, call_id: &str) -> String {
    format!("{run_id} {call_id}")
}

/// Where a column of a task is.
const fn place<'a>(row: &'a str, column: &'a str) -> Place<'a> {
    Place { table: "tool_tasks", row, column }
}

impl<D: Database> Store<D> {
    async fn sealed_of_task(
        &self,
        user_id: Id,
        run_id: Id,
        call_id: &str,
        column: &str,
        text: Option<&str>,
    ) -> Result<Value, StorageError> {
        let key = self.data_key(user_id).await?;
        seal_optional(&key, place(&row_of(run_id, call_id), column), text)
    }

    /// Keeps a task that a call of the person's run has become, before the run waits for it. Since when it is one. `None`: the lease is lost, or
    /// the person has stopped the run, so that nobody will wait for it.
    ///
    /// # Errors
    /// Whatever the database says, as everywhere in this crate.
    pub async fn keep_tool_task(
        &self,
        lease: Lease,
        user_id: Id,
        task: NewTask<'_>,
    ) -> Result<Option<Timestamp>, StorageError> {
        const QUERY: &str = "keep_tool_task";
        let sql = "INSERT INTO tool_tasks (run_id, call_id, user_id, name, server, tool, task_id, message, started_at, ask_at, poll_ms,
                       lapses_at, session, title)
                   SELECT id, ?4, user_id, ?5, ?6, ?7, ?8, ?9, now_ms(), now_ms() + ?10, ?10, now_ms() + ?11, ?12, ?13
                   FROM runs WHERE id = ?1 AND lease_owner = ?2 AND user_id = ?3 AND cancel_requested = 0
                   ON CONFLICT (run_id, call_id) DO UPDATE SET message = excluded.message RETURNING started_at";
        let (key, row) = (self.data_key(user_id).await?, row_of(lease.run_id, task.call_id));
        let parameters = [
            lease.run_id.into(),
            lease.owner.into(),
            user_id.into(),
            task.call_id.into(),
            task.name.into(),
            task.server.into(),
            task.tool.into(),
            task.task_id.into(),
            seal_optional(&key, place(&row, "message"), task.said.message)?,
            task.said.poll_ms.into(),
            task.said.lifetime_ms.into(),
            task.session.into(),
            seal(&key, place(&row, "title"), task.title)?,
        ];
        let statement = Statement::new(QUERY, sql, parameters).durably().repeatably();
        let rows = self.database.query(statement).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let started_at = row.columns(QUERY).timestamp()?;
        // Whoever stops the run looks for tasks after the wish is stored, so one of the two sees the other.
        let sql = "SELECT 1 FROM runs WHERE id = ?1 AND cancel_requested = 0";
        let wanted = self.database.query(Statement::new("is_wanted", sql, [lease.run_id.into()])).await?;
        Ok((!wanted.is_empty()).then_some(started_at))
    }

    /// The tasks of a run whose results are not stored as messages yet, for whoever executes or ends the run.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn tool_tasks(&self, run_id: Id) -> Result<Vec<ToolTask>, StorageError> {
        const QUERY: &str = "tool_tasks";
        let sql = "SELECT call_id, name, title, server, started_at, result, COALESCE(is_error, 0), COALESCE(ended_at, started_at) - started_at
                   FROM tool_tasks WHERE run_id = ?1 ORDER BY started_at, call_id";
        let rows = self.database.query(Statement::new(QUERY, sql, [run_id.into()])).await?;
        let opener = self.opener_of_run(run_id, &rows).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let (call_id, name) = (columns.text()?.to_owned(), columns.text()?.to_owned());
                let row = row_of(run_id, &call_id);
                let title = opener.open(place(&row, "title"), columns.text()?)?;
                let (server, started_at) = (columns.text()?.to_owned(), columns.timestamp()?);
                let result = opener.open_optional(place(&row, "result"), columns.optional_text()?)?;
                let is_error = columns.flag()?;
                let duration_ms = u64::try_from(columns.integer()?).unwrap_or_default();
                let ended = result.map(|result| Ended { result, is_error, duration_ms });
                Ok(ToolTask { call_id, name, title, server, started_at, ended })
            })
            .collect()
    }

    /// Whether a conversation of the person has tasks that were not stopped.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn has_tool_tasks(&self, user_id: Id, conversation_id: Id) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM runs JOIN tool_tasks ON tool_tasks.run_id = runs.id
                   WHERE runs.conversation_id = ?1 AND runs.user_id = ?2 LIMIT 1";
        let statement = Statement::new("has_tool_tasks", sql, [conversation_id.into(), user_id.into()]);
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// The tasks that the person's run waits for.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn waiting_tool_tasks(&self, user_id: Id, run_id: Id) -> Result<Vec<WaitingTask>, StorageError> {
        const QUERY: &str = "waiting_tool_tasks";
        let sql = "SELECT call_id, message, CASE WHEN ask_at <= now_ms() THEN 1 ELSE 0 END FROM tool_tasks
                   WHERE run_id = ?1 AND user_id = ?2 AND ended_at IS NULL ORDER BY started_at, call_id";
        let rows = self.database.query(Statement::new(QUERY, sql, [run_id.into(), user_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let call_id = columns.text()?.to_owned();
                let row = row_of(run_id, &call_id);
                let message = opener.open_optional(place(&row, "message"), columns.optional_text()?)?;
                Ok(WaitingTask { call_id, message, is_due: columns.flag()? })
            })
            .collect()
    }

    /// Takes tasks of the person's run that it is time to ask about, those that have waited longest: for `asking_ms` nobody else asks about them.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn claim_due_tool_tasks(
        &self,
        user_id: Id,
        run_id: Id,
        asking_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedTask>, StorageError> {
        const QUERY: &str = "claim_due_tool_tasks";
        // The condition stands twice: of two readers that choose the same rows, the second one finds them changed.
        let is_due = "run_id = ?1 AND user_id = ?2 AND ended_at IS NULL AND ask_at <= now_ms()";
        let sql = format!(
            "UPDATE tool_tasks SET ask_at = now_ms() + ?3
             WHERE {is_due} AND call_id IN (
                 SELECT call_id FROM tool_tasks WHERE {is_due} ORDER BY ask_at, call_id LIMIT ?4)
             RETURNING {CLAIMED}"
        );
        let parameters = [run_id.into(), user_id.into(), asking_ms.into(), u64::from(limit).into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| claimed(&mut row.columns(QUERY))).collect()
    }

    /// Takes tasks that are to be stopped at their servers, because their runs were stopped, have ended or are deleted: those of `run_id`, and of all
    /// others some that nobody has taken within `again_ms`. Each is kept until it is forgotten ([`Self::forget_tool_task`]). All tasks that go on are
    /// looked through, so it is nothing for every request.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn take_stopped_tool_tasks(
        &self,
        run_id: Option<Id>,
        again_ms: i64,
    ) -> Result<Vec<ClaimedTask>, StorageError> {
        const QUERY: &str = "take_stopped_tool_tasks";
        let sql = format!(
            "UPDATE tool_tasks SET stop_at = now_ms() + ?2
             WHERE (run_id, call_id) IN (SELECT stopped.run_id, stopped.call_id FROM tool_tasks AS stopped
                 WHERE (stopped.run_id = ?1 OR stopped.stop_at <= now_ms()) AND stopped.ended_at IS NULL
                   AND NOT EXISTS (SELECT 1 FROM runs
                     WHERE runs.id = stopped.run_id AND runs.state IN {ACTIVE} AND runs.cancel_requested = 0)
                 ORDER BY CASE WHEN stopped.run_id = ?1 THEN 0 ELSE 1 END LIMIT {MAX_STOPPED})
             RETURNING {CLAIMED}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [run_id.into(), again_ms.into()])).await?;
        rows.iter().map(|row| claimed(&mut row.columns(QUERY))).collect()
    }

    /// Forgets a task that was stopped.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn forget_tool_task(&self, run_id: Id, call_id: &str) -> Result<(), StorageError> {
        let sql = "DELETE FROM tool_tasks WHERE run_id = ?1 AND call_id = ?2";
        let parameters = [run_id.into(), call_id.into()];
        self.database.query(Statement::new("forget_tool_task", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Forgets the tasks that have ended and whose results nobody waits for any more, because their runs have ended or are deleted.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn forget_ended_tool_tasks(&self) -> Result<(), StorageError> {
        let sql = format!(
            "DELETE FROM tool_tasks WHERE ended_at IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = tool_tasks.run_id AND runs.state IN {ACTIVE})"
        );
        self.database.query(Statement::new("forget_ended_tool_tasks", sql, []).repeatably()).await?;
        Ok(())
    }

    /// Notes what a server says of a task that goes on.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn note_tool_task(
        &self,
        user_id: Id,
        run_id: Id,
        call_id: &str,
        said: Said<'_>,
    ) -> Result<(), StorageError> {
        let sql =
            "UPDATE tool_tasks SET message = ?4, poll_ms = ?5, ask_at = now_ms() + ?5, lapses_at = started_at + ?6, silent_since = NULL
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND ended_at IS NULL";
        let parameters = [
            run_id.into(),
            call_id.into(),
            user_id.into(),
            self.sealed_of_task(user_id, run_id, call_id, "message", said.message).await?,
            said.poll_ms.into(),
            said.lifetime_ms.into(),
        ];
        self.database.query(Statement::new("note_tool_task", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Notes that a task could not be asked about, in words; it is asked again as it would have been.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn note_silent_tool_task(
        &self,
        user_id: Id,
        run_id: Id,
        call_id: &str,
        words: &str,
    ) -> Result<(), StorageError> {
        let sql = "UPDATE tool_tasks SET message = ?4, ask_at = now_ms() + poll_ms, silent_since = COALESCE(silent_since, now_ms())
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND ended_at IS NULL";
        let words = self.sealed_of_task(user_id, run_id, call_id, "message", Some(words)).await?;
        let parameters = [run_id.into(), call_id.into(), user_id.into(), words];
        self.database.query(Statement::new("note_silent_tool_task", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Keeps what a task has come to, for whoever goes on with its run. `false`: that is known already, or nobody waits for it any more.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn end_tool_task(
        &self,
        user_id: Id,
        run_id: Id,
        call_id: &str,
        result: &str,
        is_error: bool,
    ) -> Result<bool, StorageError> {
        let sql = "UPDATE tool_tasks SET ended_at = now_ms(), result = ?4, is_error = ?5
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND ended_at IS NULL RETURNING call_id";
        let result = self.sealed_of_task(user_id, run_id, call_id, "result", Some(result)).await?;
        let parameters = [run_id.into(), call_id.into(), user_id.into(), result, is_error.into()];
        Ok(!self.database.query(Statement::new("end_tool_task", sql, parameters).durably()).await?.is_empty())
    }
}
