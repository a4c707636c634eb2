//! The audit log. It is only appended to: the database refuses changes. `audit_chain` beside it makes changes visible that go past the database's
//! refusal, `audit_details` seals what an event says more.

use audit::event::detail_digest;
use domain::{Id, Timestamp};

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    audit_details::NOT_KEPT,
    database::{after_page, storable},
};

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

impl<'a> AuditEvent<'a> {
    /// An action that succeeded, of this account, with this object.
    #[must_use]
    pub const fn new(user_id: Id, action: &'a str, subject: &'a str) -> Self {
        Self { user_id, action, subject, run_id: None, call_id: None, outcome: "ok", detail: None }
    }
}

/// What was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    /// Its id.
    pub id: Id,
    /// When it was done.
    pub at: Timestamp,
    /// As in [`AuditEvent`], like the rest.
    pub user_id: Id,
    /// What.
    pub action: String,
    /// With what.
    pub subject: String,
    /// In which run.
    pub run_id: Option<Id>,
    /// How it went.
    pub outcome: String,
    /// More.
    pub detail: Option<String>,
}

impl<D: Database> Store<D> {
    /// Appends an event.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn append_audit(&self, event: &AuditEvent<'_>) -> Result<(), StorageError> {
        let id = Id::new();
        let salt = event.detail.map(|_| audit::event::salt()).transpose();
        let salt = salt.map_err(|error| StorageError::Random(error.to_string()))?;
        let mut detail = event.detail.map(|detail| storable(detail.to_owned()));
        let stored = match &detail {
            None => Value::Null,
            Some(text) => match self.sealed_detail(id, (event.user_id, event.action), text).await? {
                Some(sealed) => sealed,
                // What was done is recorded all the same.
                None => detail.insert(NOT_KEPT.to_owned()).as_str().into(),
            },
        };
        let digest = salt.as_deref().zip(detail.as_deref()).map(|(salt, detail)| detail_digest(salt, detail));
        let sql = "INSERT INTO audit_entries
                       (id, at, user_id, action, subject, run_id, call_id, outcome, detail, salt, detail_digest)
                   VALUES (?1, now_ms(), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let parameters = [
            id.into(),
            event.user_id.into(),
            event.action.into(),
            event.subject.into(),
            event.run_id.into(),
            event.call_id.into(),
            event.outcome.into(),
            stored,
            salt.into(),
            digest.into(),
        ];
        self.database.query(Statement::new("append_audit", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }

    /// What was recorded, the newest first, before the one at which the page before ended: of one person, or of all.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn audit_records(
        &self,
        user_id: Option<Id>,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StorageError> {
        const QUERY: &str = "audit_records";
        let mut parameters: Vec<Value> = Vec::new();
        // Each order has an index.
        let (condition, order) = if let Some(user_id) = user_id {
            parameters.push(user_id.into());
            let place = before.map(|before| {
                parameters.push(before.into());
                "AND (at, id) < (SELECT last.at, last.id FROM audit_events AS last WHERE last.id = ?2)"
            });
            (format!("audit_events.user_id = ?1 {}", place.unwrap_or_default()), "at DESC, id DESC")
        } else {
            (format!("1 = 1 {}", after_page("id", before, &mut parameters)), "id DESC")
        };
        let sql = format!(
            "SELECT id, at, audit_events.user_id, action, subject, run_id, outcome, audit_details.detail, audit_events.detail
             FROM audit_events LEFT JOIN audit_details ON audit_details.event_id = audit_events.id
             WHERE {condition} ORDER BY {order} LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            let record = AuditRecord {
                id: columns.id()?,
                at: columns.timestamp()?,
                user_id: columns.id()?,
                action: columns.text()?.to_owned(),
                subject: columns.text()?.to_owned(),
                run_id: columns.optional_id()?,
                outcome: columns.text()?.to_owned(),
                detail: columns.optional_text()?.map(str::to_owned),
            };
            Ok((record, columns.optional_text()?.map(str::to_owned)))
        };
        let mut records = rows.iter().map(read).collect::<Result<Vec<_>, StorageError>>()?;
        let details = records.iter().filter_map(|(record, _)| Some((record.user_id, record.detail.as_deref()?)));
        let opener = self.detail_opener(details).await?;
        for (record, in_event) in &mut records {
            let apart = record.detail.take();
            let apart = apart.map(|stored| opener.shown(record.user_id, &record.id.to_string(), &stored));
            record.detail = apart.or_else(|| in_event.take());
        }
        Ok(records.into_iter().map(|(record, _)| record).collect())
    }
}
