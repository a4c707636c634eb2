//! Calls that go on at their servers as tasks, while the runs that made them wait. A run can go on when all of its tasks have ended (see
//! [`crate::runs`]); who asks about them is whoever reads the run, and of several the one that claims it.

use domain::{Id, Timestamp};

use crate::{Database, Statement, StorageError, Store, database::Columns, runs::Lease};

/// A call that has become a task.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// The model's id of the call.
    pub call_id: &'a str,
    /// The tool, by the name that the model has for it.
    pub name: &'a str,
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

/// A task that its run waits for, or has waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolTask {
    /// The server that has it.
    pub server: String,
    /// Since when.
    pub started_at: Timestamp,
    /// `None` while it goes on.
    pub ended: Option<Ended>,
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
    /// How long its server keeps it is over: if it cannot be asked now, it is given up.
    pub has_lapsed: bool,
}

const CLAIMED: &str =
    "call_id, name, server, tool, task_id, session, CASE WHEN lapses_at <= now_ms() THEN 1 ELSE 0 END";

fn claimed(columns: &mut Columns<'_>) -> Result<ClaimedTask, StorageError> {
    Ok(ClaimedTask {
        call_id: columns.text()?.to_owned(),
        name: columns.text()?.to_owned(),
        server: columns.text()?.to_owned(),
        tool: columns.text()?.to_owned(),
        task_id: columns.text()?.to_owned(),
        session: columns.optional_text()?.map(str::to_owned),
        has_lapsed: columns.flag()?,
    })
}

impl<D: Database> Store<D> {
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
                       lapses_at, session)
                   SELECT id, ?4, user_id, ?5, ?6, ?7, ?8, ?9, now_ms(), now_ms() + ?10, ?10, now_ms() + ?11, ?12
                   FROM runs WHERE id = ?1 AND lease_owner = ?2 AND user_id = ?3 AND cancel_requested = 0
                   ON CONFLICT (run_id, call_id) DO UPDATE SET message = excluded.message RETURNING started_at";
        let parameters = [
            lease.run_id.into(),
            lease.owner.into(),
            user_id.into(),
            task.call_id.into(),
            task.name.into(),
            task.server.into(),
            task.tool.into(),
            task.task_id.into(),
            task.said.message.into(),
            task.said.poll_ms.into(),
            task.said.lifetime_ms.into(),
            task.session.into(),
        ];
        let statement = Statement::new(QUERY, sql, parameters).durably().repeatably();
        let rows = self.database.query(statement).await?;
        rows.first().map(|row| row.columns(QUERY).timestamp()).transpose()
    }

    /// The task that a call of the person's run has become, if it has.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn tool_task(&self, user_id: Id, run_id: Id, call_id: &str) -> Result<Option<ToolTask>, StorageError> {
        const QUERY: &str = "tool_task";
        let sql = "SELECT server, started_at, result, COALESCE(is_error, 0), COALESCE(ended_at, started_at) - started_at FROM tool_tasks
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3";
        let parameters = [run_id.into(), call_id.into(), user_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let (server, started_at) = (columns.text()?.to_owned(), columns.timestamp()?);
        let (result, is_error) = (columns.optional_text()?.map(str::to_owned), columns.flag()?);
        let duration_ms = u64::try_from(columns.integer()?).unwrap_or_default();
        Ok(Some(ToolTask { server, started_at, ended: result.map(|result| Ended { result, is_error, duration_ms }) }))
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
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(WaitingTask {
                    call_id: columns.text()?.to_owned(),
                    message: columns.optional_text()?.map(str::to_owned),
                    is_due: columns.flag()?,
                })
            })
            .collect()
    }

    /// Takes the tasks of the person's run that it is time to ask about: for `asking_ms` nobody else does.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn claim_due_tool_tasks(
        &self,
        user_id: Id,
        run_id: Id,
        asking_ms: i64,
    ) -> Result<Vec<ClaimedTask>, StorageError> {
        const QUERY: &str = "claim_due_tool_tasks";
        let sql = format!(
            "UPDATE tool_tasks SET ask_at = now_ms() + ?3
             WHERE run_id = ?1 AND user_id = ?2 AND ended_at IS NULL AND ask_at <= now_ms() RETURNING {CLAIMED}"
        );
        let parameters = [run_id.into(), user_id.into(), asking_ms.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| claimed(&mut row.columns(QUERY))).collect()
    }

    /// Forgets the tasks of the person's run that they have stopped. Those that had not ended are to be stopped where they are.
    ///
    /// # Errors
    /// As [`Self::keep_tool_task`].
    pub async fn forget_stopped_tool_tasks(&self, user_id: Id, run_id: Id) -> Result<Vec<ClaimedTask>, StorageError> {
        const QUERY: &str = "forget_stopped_tool_tasks";
        let sql = format!(
            "DELETE FROM tool_tasks WHERE run_id = ?1 AND user_id = ?2 AND ended_at IS NULL
                 AND EXISTS (SELECT 1 FROM runs WHERE runs.id = ?1 AND runs.cancel_requested = 1) RETURNING {CLAIMED}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [run_id.into(), user_id.into()]).durably()).await?;
        rows.iter().map(|row| claimed(&mut row.columns(QUERY))).collect()
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
            "UPDATE tool_tasks SET message = ?4, poll_ms = ?5, ask_at = now_ms() + ?5, lapses_at = started_at + ?6
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND ended_at IS NULL";
        let parameters = [
            run_id.into(),
            call_id.into(),
            user_id.into(),
            said.message.into(),
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
        let sql = "UPDATE tool_tasks SET message = ?4, ask_at = now_ms() + poll_ms
                   WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND ended_at IS NULL";
        let parameters = [run_id.into(), call_id.into(), user_id.into(), words.into()];
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
        let parameters = [run_id.into(), call_id.into(), user_id.into(), result.into(), is_error.into()];
        Ok(!self.database.query(Statement::new("end_tool_task", sql, parameters).durably()).await?.is_empty())
    }
}
