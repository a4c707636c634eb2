//! Tool calls: written down before they are made, so that none is made twice.

use domain::{Id, Run, RunState};

use crate::{
    Database, Outcome, Statement, StorageError, Store,
    messages::{self, NewMessage},
    runs::{self, Batch},
};

impl<D: Database> Store<D> {
    /// Writes down that a call is about to be made. `false`: it was before, or the lease is lost; do not make it.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn start_tool_call(
        &self,
        run_id: Id,
        owner: Id,
        call_id: &str,
        name: &str,
    ) -> Result<bool, StorageError> {
        let sql = "INSERT INTO tool_calls (run_id, call_id, name, started_at)
                   SELECT id, ?3, ?4, now_ms() FROM runs WHERE id = ?1 AND lease_owner = ?2
                   ON CONFLICT DO NOTHING RETURNING call_id";
        let parameters = [run_id.into(), owner.into(), call_id.into(), name.into()];
        Ok(!self.database.query(Statement::new("start_tool_call", sql, parameters)).await?.is_empty())
    }

    /// Stores a call's result as a message, with its event. `false`: the lease is lost and nothing was stored.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn finish_tool_call(
        &self,
        run: &Run,
        owner: Id,
        message: &NewMessage,
        is_error: bool,
        batch: &Batch,
    ) -> Result<bool, StorageError> {
        let sql = "UPDATE tool_calls SET finished_at = now_ms(), is_error = ?4
                   WHERE run_id = ?1 AND call_id = ?3
                   AND EXISTS (SELECT 1 FROM runs WHERE runs.id = ?1 AND lease_owner = ?2) RETURNING call_id";
        let parameters = [run.id.into(), owner.into(), message.tool_call_id.clone().into(), is_error.into()];
        let statements = vec![
            Statement::new("finish_tool_call", sql, parameters).must_return(),
            runs::insert_batch(run.id, RunState::ToolExecution, batch),
            messages::insert(run.conversation_id, run.id, message)?,
        ];
        Ok(matches!(self.database.transaction(statements).await?, Outcome::Committed(_)))
    }
}
