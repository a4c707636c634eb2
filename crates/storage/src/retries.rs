//! A failed or stopped run is tried again: a new run for the same message.

use domain::{Id, Run, RunState};

use crate::{
    Database, Statement, StorageError, Store,
    budgets::{self, Budget},
    runs,
};

/// The result of a retry.
#[derive(Clone, Debug)]
pub enum Retried {
    /// The new run.
    Queued(Run),
    /// The conversation has an active run.
    RunActive,
    /// This budget is used up.
    OverBudget(Budget),
    /// The run did not fail, or the conversation has newer messages.
    NotRetryable,
    /// The run does not exist or belongs to another person.
    NotFound,
}

impl<D: Database> Store<D> {
    /// Why a run cannot be tried again, as far as that can be read: what makes no work needs to take from no limit. `None`: [`Self::retry_run`] decides.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn refused_retry(&self, user_id: Id, run_id: Id) -> Result<Option<Retried>, StorageError> {
        let Some(failed) = self.run(user_id, run_id).await? else { return Ok(Some(Retried::NotFound)) };
        if !matches!(failed.state, RunState::Error | RunState::Cancelled) {
            return Ok(Some(Retried::NotRetryable));
        }
        let conversation = self.conversation(user_id, failed.conversation_id).await?;
        let is_active = conversation.is_some_and(|conversation| conversation.active_run_id.is_some());
        Ok(is_active.then_some(Retried::RunActive))
    }

    /// Queues a new run for the message of a failed or stopped run, with its settings, if no message came after it. `api_key_id`: the API key that wants it.
    ///
    /// # Errors
    /// As [`Self::refused_retry`].
    pub async fn retry_run(&self, user_id: Id, run_id: Id, api_key_id: Option<Id>) -> Result<Retried, StorageError> {
        let Some(failed) = self.run(user_id, run_id).await? else { return Ok(Retried::NotFound) };
        if !matches!(failed.state, RunState::Error | RunState::Cancelled) {
            return Ok(Retried::NotRetryable);
        }
        if failed.failure.as_ref().is_some_and(|failure| failure.code == runs::ABANDONED_CODE) {
            self.end_abandoned(user_id, failed.conversation_id).await?;
        }
        if let Some(retried) = self.try_retry(user_id, &failed, api_key_id).await? {
            return Ok(retried);
        }
        Ok(self.try_retry(user_id, &failed, api_key_id).await?.unwrap_or(Retried::NotRetryable))
    }

    /// `None`: it is not retryable, or what refused it was gone when it was looked for, as with a message that is sent.
    async fn try_retry(
        &self,
        user_id: Id,
        failed: &Run,
        api_key_id: Option<Id>,
    ) -> Result<Option<Retried>, StorageError> {
        const QUERY: &str = "retry_run";
        let sql = format!(
            "INSERT INTO runs (id, conversation_id, user_id, message_id, model, state, attempt, lease_expires_at,
                 cancel_requested, created_at, updated_at, api_key_id, settings_id)
             SELECT ?1, failed.conversation_id, failed.user_id, failed.message_id, COALESCE(conversations.model, failed.model),
                 'queued', 0, 0, 0, now_ms(), now_ms(), CAST(?4 AS text), failed.settings_id
             FROM runs AS failed JOIN conversations ON conversations.id = failed.conversation_id
             WHERE failed.id = ?2 AND failed.user_id = ?3
               AND NOT EXISTS (SELECT 1 FROM runs AS answered
                               WHERE answered.conversation_id = failed.conversation_id AND answered.message_id = failed.message_id AND answered.state = 'complete')
               AND NOT EXISTS (SELECT 1 FROM messages AS later
                               WHERE later.conversation_id = failed.conversation_id AND later.role = 'user'
                               AND later.position > (SELECT position FROM messages WHERE id = failed.message_id))
               AND NOT EXISTS (SELECT 1 FROM budgets WHERE taken >= amount AND {})
             ON CONFLICT DO NOTHING RETURNING {}",
            budgets::counts("?3", "?4"),
            runs::STORED_COLUMNS
        );
        let parameters = [Id::new().into(), failed.id.into(), user_id.into(), api_key_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        if let Some(row) = rows.first() {
            let opener = self.opener(user_id, &rows).await?;
            return Ok(Some(Retried::Queued(runs::read(QUERY, row, &opener)?)));
        }
        match self.conversation(user_id, failed.conversation_id).await? {
            Some(conversation) if conversation.active_run_id.is_some() => Ok(Some(Retried::RunActive)),
            _ => Ok(self.used_up_budget(user_id, api_key_id).await?.map(Retried::OverBudget)),
        }
    }
}
