//! The record of who did what. Appended to, never changed: the database refuses.

use domain::Id;

use crate::{Database, Statement, StorageError, Store};

/// Something that was done, or refused.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    /// Who did it, or for whom it was done.
    pub user_id: Id,
    /// What, such as `tool.call`.
    pub action: &'a str,
    /// With what, such as `server:tool`.
    pub subject: &'a str,
    /// The run it was done in.
    pub run_id: Option<Id>,
    /// The model's id of the call.
    pub call_id: Option<&'a str>,
    /// A code for how it went.
    pub outcome: &'a str,
    /// More, for whoever looks into it; nothing that people or tools said.
    pub detail: Option<&'a str>,
}

impl<D: Database> Store<D> {
    /// Records something.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn append_audit(&self, event: &AuditEvent<'_>) -> Result<(), StorageError> {
        let sql = "INSERT INTO audit_events (id, at, user_id, action, subject, run_id, call_id, outcome, detail)
                   VALUES (?1, now_ms(), ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING";
        let parameters = [
            Id::new().into(),
            event.user_id.into(),
            event.action.into(),
            event.subject.into(),
            event.run_id.into(),
            event.call_id.into(),
            event.outcome.into(),
            event.detail.into(),
        ];
        self.database.query(Statement::new("append_audit", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }
}
