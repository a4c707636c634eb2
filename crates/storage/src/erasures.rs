//! The erasure of people: asked for, waiting, taken back, and done in batches by whichever host comes by. Killed at any point, the next host goes on:
//! every step deletes what is still there. What was there is counted before the first row goes. Must not ask whether the caller may.

use domain::{Id, Timestamp, User};

use crate::{
    Database, Row, Statement, StorageError, Store,
    audit_details::outliving,
    database::{Columns, after_page},
    files::is_to_sweep,
    search_indexing,
    users::ROLE,
    webhooks,
};

/// Rows deleted in one statement: it holds its locks for milliseconds, and others write in between.
const BATCH: i64 = 500;
/// Runs and conversations deleted in one statement, with everything in them: some thousand rows.
const WHOLES: i64 = 20;
/// How long a host has a turn for itself. It renews it with each batch; after it, another one goes on.
const TURN_MS: i64 = 60_000;

/// An account that is to be erased, or was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// The account.
    pub user_id: Id,
    /// Its address, as long as it is there.
    pub email: Option<String>,
    /// Who asked for it.
    pub requested_by: Id,
    /// When.
    pub requested_at: Timestamp,
    /// When it begins.
    pub due_at: Timestamp,
    /// When it was done.
    pub erased_at: Option<Timestamp>,
    /// The signed statement of what was erased.
    pub receipt: Option<String>,
}

/// What came of asking for an erasure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErasureRequested {
    /// It begins then.
    Due(Timestamp),
    /// The account has changed since it was read.
    Stale,
    /// No person would be left who is an administrator.
    LastAdministrator,
}

/// Work that nobody waits for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct BackgroundWork {
    /// An erasure is due: [`Store::take_erasure_turn`].
    pub erases: bool,
    /// An event waits for its place in the audit log's chain.
    pub seals: bool,
    /// Conversations may be over: [`Store::expire_next`].
    pub expires: bool,
    /// A message of a webhook is due: [`Store::take_webhook_turn`].
    pub sends: bool,
    /// Texts wait to be indexed for searching: [`Store::take_texts_to_index`].
    pub indexes: bool,
    /// Files were not attached in time, or their pieces are left: [`Store::take_file_removal`].
    pub sweeps: bool,
}

/// A host's turn to erase an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureTurn {
    /// The account.
    pub user_id: Id,
    /// Who asked for it.
    pub requested_by: Id,
    /// When.
    pub requested_at: Timestamp,
    /// The number of rows of each kind before the first was deleted, as a JSON object.
    pub inventory: String,
}

/// What is counted before the first row goes: a name for the receipt, and the rows of the person ?1.
const COUNTED: [(&str, &str); 17] = [
    ("conversations", "conversations WHERE conversations.user_id = erasures.user_id"),
    (
        "messages",
        "messages JOIN conversations ON conversations.id = messages.conversation_id WHERE conversations.user_id = erasures.user_id",
    ),
    ("runs", "runs WHERE runs.user_id = erasures.user_id"),
    ("tool_calls", "tool_calls JOIN runs ON runs.id = tool_calls.run_id WHERE runs.user_id = erasures.user_id"),
    ("approvals", "approvals JOIN runs ON runs.id = approvals.run_id WHERE runs.user_id = erasures.user_id"),
    ("assistants", "assistants WHERE assistants.user_id = erasures.user_id"),
    ("memories", "memories WHERE memories.user_id = erasures.user_id"),
    ("files", "files WHERE files.user_id = erasures.user_id"),
    ("sessions", "sessions WHERE sessions.user_id = erasures.user_id"),
    ("api_keys", "api_keys WHERE api_keys.user_id = erasures.user_id"),
    ("identities", "user_identities WHERE user_identities.user_id = erasures.user_id"),
    ("tool_policies", "tool_policies WHERE tool_policies.user_id = erasures.user_id"),
    ("tool_secrets", "tool_secrets WHERE tool_secrets.user_id = erasures.user_id"),
    ("tool_connections", "tool_connections WHERE tool_connections.user_id = erasures.user_id"),
    ("model_requests", "model_requests WHERE model_requests.user_id = erasures.user_id"),
    ("webhooks", "webhooks WHERE webhooks.user_id = erasures.user_id"),
    ("audit_details", "audit_details WHERE audit_details.user_id = erasures.user_id"),
];

/// What is deleted, in this order, each in batches of a size: ?2. Whatever refers to a row goes with it. The account goes last, so that what is left can
/// always be found by it. Details about what an administrator did to others stay: they name roles and ids, and nobody gets rid of them by being erased.
const STEPS: [(&str, i64, &str); 14] = [
    (
        "erase_assistants",
        BATCH,
        "DELETE FROM assistants WHERE id IN (SELECT id FROM assistants WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_memories",
        BATCH,
        "DELETE FROM memories WHERE id IN (SELECT id FROM memories WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    // What a search knows of their texts, some hundred rows each at most.
    (
        "erase_search_documents",
        BATCH / 10,
        "DELETE FROM search_documents WHERE number IN (SELECT number FROM search_documents WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    // Their pieces are removed by whoever sweeps, and cannot be read any more.
    ("erase_files", BATCH, "DELETE FROM files WHERE id IN (SELECT id FROM files WHERE user_id = ?1 LIMIT ?2) RETURNING 1"),
    ("erase_runs", WHOLES, "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE user_id = ?1 LIMIT ?2) RETURNING 1"),
    (
        "erase_conversations",
        WHOLES,
        "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_search_backlog",
        BATCH,
        "DELETE FROM search_backlog WHERE user_id = ?1 AND source_id IN (SELECT source_id FROM search_backlog WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_tool_tasks",
        BATCH,
        "DELETE FROM tool_tasks WHERE (run_id, call_id) IN (SELECT run_id, call_id FROM tool_tasks WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_model_requests",
        BATCH,
        "DELETE FROM model_requests WHERE user_id = ?1 AND id IN (SELECT id FROM model_requests WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_tool_policies",
        BATCH,
        "DELETE FROM tool_policies WHERE user_id = ?1 AND pattern IN (SELECT pattern FROM tool_policies WHERE user_id = ?1 LIMIT ?2) RETURNING 1",
    ),
    // With what waits to be sent, a thousand messages each at most.
    ("erase_webhooks", 1, "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks WHERE user_id = ?1 LIMIT ?2) RETURNING 1"),
    (
        "erase_audit_details",
        BATCH,
        "DELETE FROM audit_details WHERE event_id IN (
             SELECT audit_details.event_id FROM audit_details JOIN audit_events ON audit_events.id = audit_details.event_id
             WHERE audit_details.user_id = ?1 AND NOT {outliving} LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_invitations",
        BATCH,
        "DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE created_by = ?1 OR accepted_by = ?1 LIMIT ?2) RETURNING 1",
    ),
    (
        "erase_rate_limits",
        BATCH,
        "DELETE FROM rate_limits WHERE key IN (SELECT key FROM rate_limits WHERE key LIKE '%' || ?1 || '%' LIMIT ?2) RETURNING 1",
    ),
];

/// Columns of [`Erasure`].
const COLUMNS: &str =
    "user_id, (SELECT users.email FROM users WHERE users.id = erasures.user_id), requested_by, requested_at, due_at,
    erased_at, receipt";

fn read(columns: &mut Columns<'_>) -> Result<Erasure, StorageError> {
    Ok(Erasure {
        user_id: columns.id()?,
        email: columns.optional_text()?.map(str::to_owned),
        requested_by: columns.id()?,
        requested_at: columns.timestamp()?,
        due_at: columns.timestamp()?,
        erased_at: columns.optional_integer()?.map(Timestamp::from_millis),
        receipt: columns.optional_text()?.map(str::to_owned),
    })
}

impl<D: Database> Store<D> {
    /// Asks for the erasure of an account that was read as `user`, after `grace_ms`. From now on it is suspended. Who asks again can only make it earlier.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn request_erasure(
        &self,
        user: &User,
        requested_by: Id,
        grace_ms: i64,
        receipt_hash: Option<&str>,
    ) -> Result<ErasureRequested, StorageError> {
        const QUERY: &str = "request_erasure";
        let sql = format!(
            "INSERT INTO erasure_requests (user_id, requested_by, requested_at, due_at, receipt_hash, audit_id)
             SELECT users.id, ?2, now_ms(), now_ms() + CAST(?3 AS bigint), CAST(?4 AS text), ?6 FROM users
             WHERE users.id = ?1 AND COALESCE(access_version, 0) = ?5
               AND ({ROLE} <> 'admin' OR suspended_at IS NOT NULL OR EXISTS (
                   SELECT 1 FROM users AS other WHERE other.id <> ?1 AND other.role = 'admin' AND other.suspended_at IS NULL
                       AND other.kind IS NULL))
             RETURNING due_at"
        );
        let parameters = [
            user.id.into(),
            requested_by.into(),
            grace_ms.into(),
            receipt_hash.into(),
            user.access_version.into(),
            Id::new().into(),
        ];
        let rows = self.database.query(Statement::new(QUERY, sql, parameters).durably()).await?;
        if let Some(row) = rows.first() {
            return Ok(ErasureRequested::Due(row.columns(QUERY).timestamp()?));
        }
        let now = self.user(user.id).await?;
        let unchanged = now.is_some_and(|now| now.access_version == user.access_version);
        Ok(if unchanged { ErasureRequested::LastAdministrator } else { ErasureRequested::Stale })
    }

    /// Takes back an erasure that has not begun, on record: the account is what it was, without its sessions. The person can take back what they asked for
    /// themselves and nothing else. `false`: there is none, or it has begun.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn take_back_erasure(&self, user_id: Id, by: Id) -> Result<bool, StorageError> {
        let sql = "INSERT INTO erasure_withdrawals (user_id, withdrawn_by, withdrawn_at, audit_id)
                   SELECT user_id, ?2, now_ms(), ?3 FROM erasures
                   WHERE user_id = ?1 AND inventory IS NULL AND (user_id <> ?2 OR requested_by = user_id AND was_suspended = 0)
                   RETURNING user_id";
        let parameters = [user_id.into(), by.into(), Id::new().into()];
        let statement = Statement::new("take_back_erasure", sql, parameters).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Whether there is work that nobody waits for.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn background_work(&self) -> Result<BackgroundWork, StorageError> {
        const QUERY: &str = "background_work";
        let sql = format!(
            "SELECT
                 CASE WHEN EXISTS (SELECT 1 FROM erasures WHERE erased_at IS NULL AND due_at <= now_ms() AND leased_until < now_ms())
                     THEN 1 ELSE 0 END,
                 CASE WHEN EXISTS (SELECT 1 FROM audit_arrivals) OR EXISTS (SELECT 1 FROM audit_backlog) THEN 1 ELSE 0 END,
                 CASE WHEN EXISTS (SELECT 1 FROM conversation_lifetimes WHERE check_at <= now_ms())
                     OR NOT EXISTS (SELECT 1 FROM retention_walk WHERE due_at > now_ms())
                        AND EXISTS (SELECT 1 FROM retention_rules WHERE days > 0 AND counts_at <= now_ms())
                     THEN 1 ELSE 0 END,
                 {}, {},
                 CASE WHEN {} THEN 1 ELSE 0 END",
            webhooks::is_due(),
            search_indexing::is_due(),
            is_to_sweep()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(BackgroundWork::default()) };
        let mut columns = row.columns(QUERY);
        Ok(BackgroundWork {
            erases: columns.flag()?,
            seals: columns.flag()?,
            expires: columns.flag()?,
            sends: columns.flag()?,
            indexes: columns.flag()?,
            sweeps: columns.flag()?,
        })
    }

    /// The erasure of an account.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn erasure(&self, user_id: Id) -> Result<Option<Erasure>, StorageError> {
        self.one_erasure("user_id = ?1", user_id.into()).await
    }

    /// The erasure whose receipt belongs to whoever knows this secret, by its hash.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn erasure_of_receipt(&self, receipt_hash: &str) -> Result<Option<Erasure>, StorageError> {
        self.one_erasure("receipt_hash = ?1", receipt_hash.into()).await
    }

    async fn one_erasure(&self, condition: &str, value: crate::Value) -> Result<Option<Erasure>, StorageError> {
        const QUERY: &str = "erasure";
        let sql = format!("SELECT {COLUMNS} FROM erasures WHERE {condition}");
        let rows = self.database.query(Statement::new(QUERY, sql, [value])).await?;
        rows.first().map(|row: &Row| read(&mut row.columns(QUERY))).transpose()
    }

    /// All erasures, or those that are not done, by the ids of their accounts, the newest accounts first, before the one at which the page before ended.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn erasures(
        &self,
        only_pending: bool,
        before: Option<Id>,
        limit: u32,
    ) -> Result<Vec<Erasure>, StorageError> {
        const QUERY: &str = "erasures";
        let mut parameters = Vec::new();
        let place = after_page("user_id", before, &mut parameters);
        // Those that are not done are few, and have an index of their own.
        let condition = if only_pending { "erased_at IS NULL" } else { "1 = 1" };
        let sql =
            format!("SELECT {COLUMNS} FROM erasures WHERE {condition} {place} ORDER BY user_id DESC LIMIT {limit}");
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.iter().map(|row| read(&mut row.columns(QUERY))).collect()
    }

    /// Takes a turn at an erasure that is due and that no other host has. From now on it cannot be taken back.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn take_erasure_turn(&self) -> Result<Option<ErasureTurn>, StorageError> {
        const QUERY: &str = "take_erasure_turn";
        let counts = COUNTED.map(|(name, rows)| format!("'\"{name}\":' || (SELECT COUNT(*) FROM {rows})"));
        let sql = format!(
            "UPDATE erasures SET leased_until = now_ms() + {TURN_MS},
                 inventory = COALESCE(inventory, '{{' || {} || '}}')
             WHERE user_id = (SELECT user_id FROM erasures
                     WHERE erased_at IS NULL AND due_at <= now_ms() AND leased_until < now_ms() ORDER BY due_at LIMIT 1)
                 AND leased_until < now_ms() AND erased_at IS NULL
                 AND (inventory IS NOT NULL
                     OR EXISTS (SELECT 1 FROM users WHERE users.id = erasures.user_id AND suspended_at IS NOT NULL))
             RETURNING user_id, requested_by, requested_at, inventory",
            counts.join(" || ',' || ")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, []).durably()).await?;
        rows.first()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok(ErasureTurn {
                    user_id: columns.id()?,
                    requested_by: columns.id()?,
                    requested_at: columns.timestamp()?,
                    inventory: columns.text()?.to_owned(),
                })
            })
            .transpose()
    }

    /// Deletes the next rows of an account whose turn this host has, and renews the turn. `step` is where the deletion is; it begins at 0. `false`: nothing
    /// is left, the account is gone.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn erase_next(&self, user_id: Id, step: &mut usize) -> Result<bool, StorageError> {
        while let Some((name, batch, sql)) = STEPS.get(*step) {
            let rows = self
                .database
                .query(Statement::new(
                    name,
                    sql.replace("{outliving}", &outliving()),
                    [user_id.into(), (*batch).into()],
                ))
                .await?;
            if !rows.is_empty() {
                self.lease_erasure(user_id, TURN_MS).await?;
                return Ok(true);
            }
            *step = step.saturating_add(1);
        }
        let sql = "DELETE FROM users WHERE id = ?1";
        self.database.query(Statement::new("erase_account", sql, [user_id.into()]).durably().repeatably()).await?;
        Ok(false)
    }

    /// Gives back a turn before its end, so that the next visit goes on at once.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn give_back_erasure_turn(&self, user_id: Id) -> Result<(), StorageError> {
        self.lease_erasure(user_id, -1).await
    }

    async fn lease_erasure(&self, user_id: Id, for_ms: i64) -> Result<(), StorageError> {
        let sql =
            "UPDATE erasures SET leased_until = now_ms() + CAST(?2 AS bigint) WHERE user_id = ?1 AND erased_at IS NULL";
        let statement = Statement::new("lease_erasure", sql, [user_id.into(), for_ms.into()]);
        self.database.query(statement.repeatably()).await?;
        Ok(())
    }

    /// Keeps an account closed if its erasure is taken back: an administrator suspends it by itself.
    pub(crate) async fn keep_suspended(&self, user_id: Id) -> Result<(), StorageError> {
        let sql = "UPDATE erasures SET was_suspended = 1 WHERE user_id = ?1 AND inventory IS NULL";
        self.database.query(Statement::new("keep_suspended", sql, [user_id.into()]).durably().repeatably()).await?;
        Ok(())
    }

    /// Ends an erasure at this time with its signed receipt. If another host was first, its receipt stays.
    ///
    /// # Errors
    /// As [`Self::request_erasure`].
    pub async fn end_erasure(&self, user_id: Id, receipt: &str, erased_at: Timestamp) -> Result<(), StorageError> {
        let sql = "INSERT INTO erasure_ends (user_id, requested_by, receipt, erased_at, audit_id)
                   SELECT user_id, requested_by, ?2, CAST(?3 AS bigint), ?4 FROM erasures WHERE user_id = ?1 AND erased_at IS NULL";
        let parameters = [user_id.into(), receipt.into(), erased_at.as_millis().into(), Id::new().into()];
        self.database.query(Statement::new("end_erasure", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }
}
