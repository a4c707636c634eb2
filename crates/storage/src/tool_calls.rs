//! Tool calls: each is recorded before it is made, so that none is made twice.

use domain::Id;

use crate::{Database, Statement, StorageError, Store, messages::place, runs::Lease};

/// Whether a call may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// The call was never started before.
    First,
    /// The call was started before, and it is unknown whether it took effect.
    Again,
    /// Another executor has the run, or it belongs to another person. The call must not be made.
    LeaseLost,
}

/// How many messages of a person are searched for the contents of a call: more than a model's context holds.
const MAX_WRITTEN: usize = 100;
/// The part of each message that is searched: a page of text.
const MAX_WRITTEN_CHARS: usize = 20_000;
/// The bytes of messages that are opened for it, so that a few long messages cannot take long: [`MAX_WRITTEN`] pages.
const MAX_WRITTEN_BYTES: usize = MAX_WRITTEN * MAX_WRITTEN_CHARS;

impl<D: Database> Store<D> {
    /// The person's messages in the conversation of their run, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn written_by_person(&self, run_id: Id, user_id: Id) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "written_by_person";
        let sql = format!(
            "SELECT id, content FROM (
                 SELECT id, content, position, size, SUM(size) OVER (ORDER BY position DESC) AS running FROM messages
                 WHERE conversation_id = (SELECT conversation_id FROM runs WHERE id = ?1 AND user_id = ?2) AND role = 'user'
                 ORDER BY position DESC LIMIT {MAX_WRITTEN}
             ) AS written WHERE running - size < {MAX_WRITTEN_BYTES} ORDER BY position DESC"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [run_id.into(), user_id.into()])).await?;
        let opener = self.opener(user_id, &rows).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let (id, stored) = (columns.text()?, columns.text()?);
                let mut content = opener.open(place(id, "content"), stored)?;
                if let Some((end, _)) = content.char_indices().nth(MAX_WRITTEN_CHARS) {
                    content.truncate(end);
                }
                Ok(content)
            })
            .collect()
    }

    /// Records that a call of the person's run is about to be made.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn start_tool_call(
        &self,
        lease: Lease,
        user_id: Id,
        call_id: &str,
        name: &str,
    ) -> Result<Started, StorageError> {
        let sql = "INSERT INTO tool_calls (run_id, call_id, name, started_at)
                   SELECT id, ?4, ?5, now_ms() FROM runs
                   WHERE id = ?1 AND lease_owner = ?2 AND user_id = ?3 AND cancel_requested = 0
                   ON CONFLICT DO NOTHING RETURNING call_id";
        let parameters = [lease.run_id.into(), lease.owner.into(), user_id.into(), call_id.into(), name.into()];
        let started = self.database.query(Statement::new("start_tool_call", sql, parameters).durably()).await?;
        if !started.is_empty() {
            return Ok(Started::First);
        }
        let sql = "SELECT 1 FROM tool_calls JOIN runs ON runs.id = tool_calls.run_id
                   WHERE runs.id = ?1 AND runs.lease_owner = ?2 AND runs.user_id = ?3 AND tool_calls.call_id = ?4";
        let parameters = [lease.run_id.into(), lease.owner.into(), user_id.into(), call_id.into()];
        let begun = self.database.query(Statement::new("begun_tool_call", sql, parameters)).await?;
        Ok(if begun.is_empty() { Started::LeaseLost } else { Started::Again })
    }
}
