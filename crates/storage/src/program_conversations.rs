//! Conversations that programs bring along: temporary chats in which something was said elsewhere (docs/adr/0052). The message that is to be answered is sent
//! like any other.

use domain::{ConversationSettings, Id, MessageRole};

use crate::{
    Database, Statement, StorageError, Store, Value, conversation_settings::SettingsChanged, messages::place,
    sealed_texts::seal,
};

/// Messages of one statement: with three parameters each, far below what databases take.
const BATCH: usize = 500;

impl<D: Database> Store<D> {
    /// Begins a temporary chat with these settings, in which this was said, in order. `None`: it was deleted in this moment.
    ///
    /// # Errors
    /// Those of the database and of keys.
    pub async fn begin_program_conversation(
        &self,
        user_id: Id,
        settings: &ConversationSettings,
        said: &[(MessageRole, String)],
    ) -> Result<Option<Id>, StorageError> {
        let Some(conversation) = self.begin_temporary_conversation(user_id, None).await? else { return Ok(None) };
        match self.set_conversation_settings(user_id, conversation.id, None, settings, None).await? {
            SettingsChanged::Changed(_) => {}
            SettingsChanged::ChangedMeanwhile | SettingsChanged::NotFound => return Ok(None),
        }
        let key = self.data_key(user_id).await?;
        // No run has written them.
        let run_id = Id::new();
        for (batch, first) in said.chunks(BATCH).zip((1..).step_by(BATCH)) {
            let mut parameters: Vec<Value> = vec![conversation.id.into(), run_id.into()];
            let mut rows = Vec::with_capacity(batch.len());
            for ((role, content), position) in batch.iter().zip(first..) {
                let (id, at) = (Id::new(), parameters.len());
                parameters.extend([
                    id.into(),
                    seal(&key, place(&id.to_string(), "content"), content)?,
                    (content.len() as u64).into(),
                ]);
                let (role, [id, content, size]) = (role.as_str(), [at + 1, at + 2, at + 3]);
                rows.push(format!("(?{id}, ?1, ?2, {position}, '{role}', ?{content}, ?{size}, now_ms())"));
            }
            let sql = format!(
                "INSERT INTO messages (id, conversation_id, run_id, position, role, content, size, created_at) VALUES {}",
                rows.join(", ")
            );
            self.database.query(Statement::new("add_said", sql, parameters)).await?;
        }
        Ok(Some(conversation.id))
    }
}
