//! The files that a run can reach: those of its conversation. Must not read another person's, whoever asks for which run.

use domain::Id;

use crate::{
    Database, Statement, StorageError, Store, file_readings,
    files::{COLUMNS, StoredFile, WITH_READINGS, read},
};

/// A column of a statement about `runs`: whether something is attached in the run's conversation.
pub(crate) const IN_RUN: &str = "CASE WHEN EXISTS (SELECT 1 FROM message_files WHERE message_files.conversation_id = runs.conversation_id) THEN 1 ELSE 0 END";

impl<D: Database> Store<D> {
    /// The files that are attached in the conversation of the owner's run, the newest first, each once.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub async fn files_of_run(&self, user_id: Id, run_id: Id, limit: u32) -> Result<Vec<StoredFile>, StorageError> {
        const QUERY: &str = "files_of_run";
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM {WITH_READINGS}
             WHERE files.user_id = ?1 AND files.id IN (SELECT message_files.file_id FROM runs
                 JOIN conversations ON conversations.id = runs.conversation_id AND conversations.user_id = ?1
                 JOIN message_files ON message_files.conversation_id = conversations.id WHERE runs.id = ?2)
             ORDER BY files.id DESC LIMIT {limit}",
            file_readings::COLUMNS
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [user_id.into(), run_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.iter().map(|row| read(&mut row.columns(QUERY), &opener)).collect()
    }
}
