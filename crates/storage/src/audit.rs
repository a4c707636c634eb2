//! The audit log. It is only appended to: the database refuses changes.

use domain::Id;

use crate::{Database, Statement, StorageError, Store};

/// An action, done or refused.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    /// The account that acted, or for which the app acted.
    pub user_id: Id,
    /// The action, such as `tool.call`.
    pub action: &'a str,
    /// The object of the action, such as `server:tool`.
    pub subject: &'a str,
    /// The run of the action.
    pub run_id: Option<Id>,
    /// The model's id of the call.
    pub call_id: Option<&'a str>,
    /// A code for the result.
    pub outcome: &'a str,
    /// More detail for the administrator. It contains nothing that people or tools said.
    pub detail: Option<&'a str>,
}

impl<D: Database> Store<D> {
    /// Appends an event.
    ///
    /// # Errors
    /// Those of the database.
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
