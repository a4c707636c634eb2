//! Approvals: questions to a person about a call, and their decisions. Nothing wakes a waiting run: its next reader finds that no question is open
//! (see [`crate::runs`]).

use domain::{Decision, Id, Timestamp};

use crate::{Database, Statement, StorageError, Store, runs, runs::Lease, tool_policies::MAX_POLICIES};

/// The result of [`Store::decide_approval`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided {
    /// The decision is stored.
    Decided,
    /// Already decided; this was the decision.
    AlreadyDecided(Decision),
    /// The question has expired, or the run has ended.
    Expired,
    /// The tool asks before every call, so it cannot be allowed always. The question is still open.
    AlwaysAsks,
    /// The question does not exist, or belongs to another person.
    NotFound,
}

/// A call that needs approval.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The model's id for the call.
    pub call_id: &'a str,
    /// The tool's server.
    pub server: &'a str,
    /// The tool's name on that server.
    pub tool: &'a str,
    /// Whether the tool asks before every call.
    pub always_asks: bool,
}

/// The SQL condition for a question of the person's run that can still be answered.
fn open() -> String {
    format!(
        "(run_id = ?1 AND call_id = ?2 AND user_id = ?3 AND decision IS NULL AND expires_at > now_ms()
            AND EXISTS (SELECT 1 FROM runs WHERE runs.id = ?1 AND runs.state IN {}))",
        runs::ACTIVE
    )
}

impl<D: Database> Store<D> {
    /// Asks the person about a call of their run. Returns when the question expires. A repeated question keeps the first expiry, but updates whether
    /// the tool always asks. `None`: the lease is lost, or the run belongs to another person.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn ask_approval(
        &self,
        lease: Lease,
        user_id: Id,
        question: Question<'_>,
        lifetime_ms: i64,
    ) -> Result<Option<Timestamp>, StorageError> {
        const QUERY: &str = "ask_approval";
        let sql = "INSERT INTO approvals (run_id, call_id, user_id, server, tool, created_at, expires_at, always_asks)
                   SELECT id, ?4, user_id, ?5, ?6, now_ms(), now_ms() + ?7, ?8
                   FROM runs WHERE id = ?1 AND lease_owner = ?2 AND user_id = ?3
                   ON CONFLICT (run_id, call_id) DO UPDATE SET always_asks = excluded.always_asks RETURNING expires_at";
        let parameters = [
            lease.run_id.into(),
            lease.owner.into(),
            user_id.into(),
            question.call_id.into(),
            question.server.into(),
            question.tool.into(),
            lifetime_ms.into(),
            question.always_asks.into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).repeatably()).await?;
        rows.first().map(|row| row.columns(QUERY).timestamp()).transpose()
    }

    /// Stores a person's decision about a call of their run, and its audit event. "Always" also stores a policy for this tool of this server, unless
    /// a policy of the person denies it, there are [`MAX_POLICIES`] already, or the tool's name could be read as a pattern. "Always" is refused for a
    /// tool that always asks.
    ///
    /// # Errors
    /// As [`Self::ask_approval`].
    pub async fn decide_approval(
        &self,
        user_id: Id,
        run_id: Id,
        call_id: &str,
        decision: Decision,
    ) -> Result<Decided, StorageError> {
        let sql = format!(
            "INSERT INTO approval_decisions (run_id, call_id, user_id, pattern, decision, may_add, audit_id, decided_at)
             SELECT run_id, call_id, user_id, server || ':' || tool, ?4,
                 CASE WHEN (SELECT COUNT(*) FROM tool_policies WHERE tool_policies.user_id = ?3) < {MAX_POLICIES} THEN 1 ELSE 0 END,
                 ?5, now_ms()
             FROM approvals WHERE {} AND NOT (?4 = '{}' AND COALESCE(always_asks, 0) = 1) RETURNING run_id",
            open(),
            Decision::AllowAlways.as_str()
        );
        let parameters = [run_id.into(), call_id.into(), user_id.into(), decision.as_str().into(), Id::new().into()];
        let statement = Statement::new("decide_approval", sql, parameters).durably().repeatably();
        if !self.database.query(statement).await?.is_empty() {
            return Ok(Decided::Decided);
        }
        self.why_not_decided(user_id, run_id, call_id).await
    }

    async fn why_not_decided(&self, user_id: Id, run_id: Id, call_id: &str) -> Result<Decided, StorageError> {
        const QUERY: &str = "why_not_decided";
        let sql = format!(
            "SELECT decision, CASE WHEN {} THEN 1 ELSE 0 END FROM approvals
             WHERE run_id = ?1 AND call_id = ?2 AND user_id = ?3",
            open()
        );
        let parameters = [run_id.into(), call_id.into(), user_id.into()];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let Some(row) = rows.first() else { return Ok(Decided::NotFound) };
        let mut columns = row.columns(QUERY);
        Ok(match (columns.optional_text()?.and_then(Decision::parse), columns.flag()?) {
            (Some(decision), _) => Decided::AlreadyDecided(decision),
            (None, true) => Decided::AlwaysAsks,
            (None, false) => Decided::Expired,
        })
    }
}
