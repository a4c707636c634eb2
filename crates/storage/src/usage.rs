//! How much each person used, added up from their runs and the record of their tool calls.

use domain::{Id, Timestamp};

use crate::{Database, Row, Statement, StorageError, Store, database::after_page};

/// What somebody used in a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonUsage {
    /// Their account.
    pub user_id: Id,
    /// Its address.
    pub email: String,
    /// How many runs they started.
    pub runs: u64,
    /// Tokens that models read for them.
    pub prompt_tokens: u64,
    /// Tokens that models wrote for them.
    pub completion_tokens: u64,
    /// Tool calls that were recorded for them, also those that were refused.
    pub tool_calls: u64,
}

impl<D: Database> Store<D> {
    /// What each person used since a moment, the newest accounts first, before the one at which the page before ended. Reads the runs
    /// of the people on the page.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn usage(
        &self,
        since: Timestamp,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<PersonUsage>, StorageError> {
        const QUERY: &str = "usage";
        let mut parameters = vec![since.as_millis().into()];
        let place = after_page("id", before, &mut parameters);
        // A call has a row more when its person is asked, or when it begins without a run.
        let sql = format!(
            "SELECT page.id, page.email, COUNT(runs.id), CAST(COALESCE(SUM(runs.prompt_tokens), 0) AS bigint),
                 CAST(COALESCE(SUM(runs.completion_tokens), 0) AS bigint),
                 (SELECT COUNT(*) FROM audit_events WHERE audit_events.user_id = page.id AND audit_events.at >= ?1
                     AND audit_events.action = 'tool.call'
                     AND audit_events.outcome NOT IN ('approval_asked', 'begun'))
             FROM (SELECT id, email FROM users WHERE 1 = 1 {place} ORDER BY id DESC LIMIT {limit})
                 AS page
             LEFT JOIN runs ON runs.user_id = page.id AND runs.created_at >= ?1
             GROUP BY page.id, page.email ORDER BY page.id DESC"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }
}

fn read(query: &'static str, row: &Row) -> Result<PersonUsage, StorageError> {
    let mut columns = row.columns(query);
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    Ok(PersonUsage {
        user_id: columns.id()?,
        email: columns.text()?.to_owned(),
        runs: count(columns.integer()?),
        prompt_tokens: count(columns.integer()?),
        completion_tokens: count(columns.integer()?),
        tool_calls: count(columns.integer()?),
    })
}
