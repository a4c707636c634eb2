//! How models' servers want their requests, as far as that was learned from what they refused. What the text means is not known here.

use crate::{Database, Statement, StorageError, Store};

/// What is known for the model of a run and the server `?4`, read with the run: no statement of its own on the way of a turn. It is believed
/// for a day: by then the server may have been replaced by a better one, or something else have been wrong, and learning costs one refused
/// request.
pub(crate) const OF_RUN: &str =
    "(SELECT dialect FROM model_dialects WHERE server = ?4 AND model_dialects.model = runs.model
    AND learned_at > now_ms() - 86400000)";

impl<D: Database> Store<D> {
    /// Keeps what was learned of how a server wants requests for a model, instead of what was known before.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn save_model_dialect(&self, server: &str, model: &str, dialect: &str) -> Result<(), StorageError> {
        let sql = "INSERT INTO model_dialects (server, model, dialect, learned_at) VALUES (?1, ?2, ?3, now_ms())
                   ON CONFLICT (server, model) DO UPDATE SET dialect = excluded.dialect, learned_at = excluded.learned_at";
        let parameters = [server.into(), model.into(), dialect.into()];
        self.database.query(Statement::new("save_model_dialect", sql, parameters).repeatably()).await?;
        Ok(())
    }
}
