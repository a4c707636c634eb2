//! The request dialects of models' servers, learned from their refusals. This crate does not interpret their text.

use crate::{Database, Statement, StorageError, Store, tool_listings::BETWEEN_ENTRIES};

/// The dialects for a run's model at these servers (placeholders), each behind its server and a space, read together with the run, so a turn needs no
/// extra statement. They expire after a day: the server may have been updated, or the lesson may have been wrong, and to learn it again costs one refused
/// request.
pub(crate) fn of_run(servers: &str) -> String {
    format!(
        "(SELECT string_agg(server || ' ' || dialect, '{BETWEEN_ENTRIES}') FROM model_dialects
          WHERE (server IN ({servers}) OR server IN (SELECT server FROM model_providers)) AND model_dialects.model = runs.model AND learned_at > now_ms() - 86400000)"
    )
}

/// Reads [`of_run`]: servers and their dialects. An address has no spaces.
pub(crate) fn read(dialects: Option<&str>) -> Vec<(String, String)> {
    let entries = dialects.unwrap_or_default().split(BETWEEN_ENTRIES).filter_map(|entry| entry.split_once(' '));
    entries.map(|(server, dialect)| (server.to_owned(), dialect.to_owned())).collect()
}

impl<D: Database> Store<D> {
    /// Stores the dialect of a server for a model, instead of the previous one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_model_dialect(&self, server: &str, model: &str, dialect: &str) -> Result<(), StorageError> {
        let sql = "INSERT INTO model_dialects (server, model, dialect, learned_at) VALUES (?1, ?2, ?3, now_ms())
                   ON CONFLICT (server, model) DO UPDATE SET dialect = excluded.dialect, learned_at = excluded.learned_at";
        let parameters = [server.into(), model.into(), dialect.into()];
        self.database.query(Statement::new("save_model_dialect", sql, parameters).repeatably()).await?;
        Ok(())
    }
}
