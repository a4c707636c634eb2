//! Webhooks: addresses to which is told what happened, and what waits to be sent to each (docs/adr/0050). Triggers queue what happened, in the statement that
//! stores it. Must not know how a message is signed, or send one.

use domain::{Id, Timestamp};
use zeroize::Zeroizing;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    access::{PersonRoles, read_roles, roles_of},
    master_sealed::WEBHOOKS,
};

/// The webhooks of one person, and those of the installation: each event is queued for every one that wants it, in the statement of what happened.
pub const MAX_WEBHOOKS: usize = 10;

/// For so long, a sender has the messages of a webhook for itself. It says so again with each attempt, which takes less.
const TURN_MS: i64 = 30_000;

/// Messages that are read in one turn: if one attempt fails, the others were read for nothing.
const BATCH: u32 = 10;

/// Whose events a webhook tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookOwner {
    /// One person's.
    Person(Id),
    /// Everybody's.
    Installation,
}

impl WebhookOwner {
    const fn user_id(self) -> Option<Id> {
        match self {
            Self::Person(user_id) => Some(user_id),
            Self::Installation => None,
        }
    }
}

impl From<WebhookOwner> for Value {
    fn from(owner: WebhookOwner) -> Self {
        owner.user_id().into()
    }
}

/// The SQL condition for the webhooks of the owner ?1.
const OWNED: &str = "webhooks.user_id IS NOT DISTINCT FROM ?1";

/// A webhook, as its owner sees it. Its address and its secret are sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Its id.
    pub id: Id,
    /// Scheme, host and port of the address.
    pub server: String,
    /// The types of events that it tells.
    pub events: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Attempts that failed, one after the other, until now.
    pub failures: i64,
    /// Messages that were given up.
    pub given_up: i64,
    /// Events that were not queued, because too many waited.
    pub dropped: i64,
    /// The last attempt.
    pub attempted_at: Option<Timestamp>,
    /// What it came to, in a word.
    pub answer: Option<String>,
    /// The last one that succeeded.
    pub delivered_at: Option<Timestamp>,
    /// The receiver said that it is gone, so nothing is sent any more.
    pub stopped_at: Option<Timestamp>,
    /// Messages that wait.
    pub waiting: i64,
}

/// A new webhook.
#[derive(Clone, Copy, Debug)]
pub struct NewWebhook<'a> {
    /// Its id.
    pub id: Id,
    /// As in [`Webhook`].
    pub server: &'a str,
    /// As in [`Webhook`].
    pub events: &'a [String],
    /// The address and the secret, sealed by [`Store::seal_webhook`].
    pub sealed: &'a str,
}

/// A turn to send the messages of a webhook.
#[derive(Clone, Debug)]
pub struct WebhookTurn {
    /// The webhook.
    pub id: Id,
    /// The turn: what a sender stores that has lost it counts for nothing.
    pub turn: Id,
    /// As in [`NewWebhook`].
    pub sealed: String,
    /// Attempts that failed, one after the other, until now.
    pub failures: i64,
    /// Whose events it tells, and what this person may do. `None`: everybody's.
    pub person: Option<PersonRoles>,
    /// What is to be sent, the longest due first.
    pub messages: Vec<WebhookMessage>,
}

/// A message that waits to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookMessage {
    /// The event's id.
    pub id: String,
    /// The event's type, such as `run.ended`.
    pub kind: String,
    /// What the event is about, as a JSON object.
    pub data: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Attempts so far.
    pub attempts: i64,
}

/// What an attempt to send a message came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebhookAttempt<'a> {
    /// The webhook.
    pub webhook_id: Id,
    /// The turn of the sender.
    pub turn: Id,
    /// The message.
    pub message: &'a WebhookMessage,
    /// In a word.
    pub answer: &'a str,
    /// What follows.
    pub outcome: WebhookOutcome,
}

/// What follows an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebhookOutcome {
    /// The receiver has it.
    Delivered {
        /// Whether the turn goes on. Otherwise it ends.
        goes_on: bool,
        /// Milliseconds until the next turn, if this one ends.
        pause_ms: i64,
    },
    /// It is sent again after a pause, and nothing is sent meanwhile for a shorter one.
    Retry {
        /// Milliseconds until this message.
        after_ms: i64,
        /// Milliseconds until any message.
        pause_ms: i64,
    },
    /// It is not sent again.
    GivenUp {
        /// Milliseconds until any other message.
        pause_ms: i64,
    },
    /// Nothing is sent there again.
    Gone,
}

impl<D: Database> Store<D> {
    /// An owner's webhooks, the oldest first; as many as there are.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn webhooks(&self, owner: WebhookOwner) -> Result<Vec<Webhook>, StorageError> {
        const QUERY: &str = "webhooks";
        let sql = format!(
            "SELECT id, server, events, created_at, failures, given_up, dropped, attempted_at, answer, delivered_at, stopped_at,
                 (SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_deliveries.webhook_id = webhooks.id)
             FROM webhooks WHERE {OWNED} ORDER BY id"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [owner.into()])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// Stores a webhook. `false`: the owner has [`MAX_WEBHOOKS`] already.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn add_webhook(&self, owner: WebhookOwner, new: NewWebhook<'_>) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO new_webhooks (id, user_id, server, events, sealed, created_at, most)
             SELECT ?2, CAST(?1 AS text), ?3, ?4, ?5, now_ms(), {MAX_WEBHOOKS}
             WHERE (SELECT COUNT(*) FROM webhooks WHERE {OWNED} AND id <> ?2) < {MAX_WEBHOOKS} RETURNING id"
        );
        let NewWebhook { id, server, events, sealed } = new;
        let parameters =
            [owner.into(), id.into(), server.into(), format!(" {} ", events.join(" ")).into(), sealed.into()];
        let statement = Statement::new("add_webhook", sql, parameters).durably().repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Removes an owner's webhook, and what waits to be sent to it. `false`: there is no such one.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn remove_webhook(&self, owner: WebhookOwner, id: Id) -> Result<bool, StorageError> {
        let sql = format!("DELETE FROM webhooks WHERE {OWNED} AND id = ?2 RETURNING id");
        let statement = Statement::new("remove_webhook", sql, [owner.into(), id.into()]).durably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Queues a message that tells nothing, to try an owner's webhook: it is due at once, also if the receiver is paused or was gone, and after the present
    /// turn if a sender has it. One that waits already is sent again, so nobody fills the queue. `false`: there is no such webhook.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn test_webhook(&self, owner: WebhookOwner, id: Id, kind: &str) -> Result<bool, StorageError> {
        let sql = format!(
            "UPDATE webhooks SET stopped_at = NULL, free_at = CASE WHEN turn IS NULL THEN 0 ELSE free_at END
             WHERE {OWNED} AND id = ?2 RETURNING id"
        );
        let statement = Statement::new("free_webhook", sql, [owner.into(), id.into()]).repeatably();
        if self.database.query(statement).await?.is_empty() {
            return Ok(false);
        }
        let sql = "INSERT INTO webhook_deliveries (webhook_id, id, type, data, occurred_at, attempts, due_at)
                   SELECT webhooks.id, COALESCE((SELECT waiting.id FROM webhook_deliveries AS waiting
                       WHERE waiting.webhook_id = webhooks.id AND waiting.type = ?3 LIMIT 1), 'evt_' || ?2), ?3, '{}', now_ms(), 0, 0
                   FROM webhooks WHERE webhooks.id = ?1
                   ON CONFLICT (webhook_id, id) DO UPDATE SET due_at = 0";
        let parameters = [id.into(), Id::new().into(), kind.into()];
        self.database.query(Statement::new("test_webhook", sql, parameters).repeatably()).await?;
        Ok(true)
    }

    /// Seals the address and the secret of a webhook.
    ///
    /// # Errors
    /// Those of the database and of keys; [`vault::VaultError::TooLong`] if it is longer than [`vault::MAX_TEXT_BYTES`].
    pub async fn seal_webhook(&self, id: Id, text: &str) -> Result<String, StorageError> {
        self.seal_with_master(WEBHOOKS, &id.to_string(), text).await
    }

    /// Opens them.
    ///
    /// # Errors
    /// Those of the database and of keys: the master key may be missing, or the text was changed outside.
    pub async fn open_webhook(&self, id: Id, sealed: &str) -> Result<Zeroizing<String>, StorageError> {
        self.open_with_master(WEBHOOKS, &id.to_string(), sealed).await
    }

    /// Takes a turn to send the messages of the webhook that waited longest of those for which something is due and that no other sender has. `None`: there
    /// is none.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn take_webhook_turn(&self) -> Result<Option<WebhookTurn>, StorageError> {
        const QUERY: &str = "take_webhook_turn";
        let sql = format!(
            "UPDATE webhooks SET free_at = now_ms() + {TURN_MS}, turn = ?1
             WHERE id = (SELECT id FROM webhooks WHERE {IS_DUE} ORDER BY free_at, id LIMIT 1) AND free_at <= now_ms()
             RETURNING id, user_id, sealed, failures"
        );
        let turn = Id::new();
        let rows = self.database.query(Statement::new(QUERY, sql, [turn.into()])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let (id, user_id) = (columns.id()?, columns.optional_id()?);
        let (sealed, failures) = (columns.text()?.to_owned(), columns.integer()?);
        let (person, messages) = self.due_messages(id, user_id).await?;
        let person = user_id.map(|_| person);
        Ok(Some(WebhookTurn { id, turn, sealed, failures, person, messages }))
    }

    /// Ends a turn in which nothing was sent.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn end_webhook_turn(&self, id: Id, turn: Id) -> Result<(), StorageError> {
        let sql = "UPDATE webhooks SET free_at = now_ms(), turn = NULL WHERE id = ?1 AND turn = ?2";
        let statement = Statement::new("end_webhook_turn", sql, [id.into(), turn.into()]);
        self.database.query(statement.repeatably()).await?;
        Ok(())
    }

    async fn due_messages(
        &self,
        id: Id,
        user_id: Option<Id>,
    ) -> Result<(PersonRoles, Vec<WebhookMessage>), StorageError> {
        const QUERY: &str = "due_webhook_messages";
        let sql = format!(
            "SELECT id, type, data, occurred_at, attempts, {} FROM webhook_deliveries
             WHERE webhook_id = ?1 AND due_at <= now_ms() ORDER BY due_at, id LIMIT {BATCH}",
            roles_of("CAST(?2 AS text)")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [id.into(), user_id.into()])).await?;
        let (mut roles, mut messages) = (PersonRoles::default(), Vec::new());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            messages.push(WebhookMessage {
                id: columns.text()?.to_owned(),
                kind: columns.text()?.to_owned(),
                data: columns.text()?.to_owned(),
                occurred_at: columns.timestamp()?,
                attempts: columns.integer()?,
            });
            roles = read_roles(&mut columns)?;
        }
        Ok((roles, messages))
    }

    /// Stores what an attempt came to. `false`: the webhook is gone, or another sender has it, and nothing was stored: this one stops.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn store_webhook_attempt(&self, attempt: &WebhookAttempt<'_>) -> Result<bool, StorageError> {
        let WebhookAttempt { webhook_id, turn, message, answer, outcome } = attempt;
        let (is_delivered, is_gone, retry_ms, pause_ms, goes_on) = match *outcome {
            WebhookOutcome::Delivered { goes_on: true, .. } => (true, false, None, TURN_MS, true),
            WebhookOutcome::Delivered { goes_on: false, pause_ms } => (true, false, None, pause_ms, false),
            WebhookOutcome::Retry { after_ms, pause_ms } => (false, false, Some(after_ms), pause_ms, false),
            WebhookOutcome::GivenUp { pause_ms } => (false, false, None, pause_ms, false),
            WebhookOutcome::Gone => (false, true, None, 0, false),
        };
        let sql = "INSERT INTO webhook_attempts
                       (webhook_id, turn, id, attempts, answer, is_delivered, is_gone, attempted_at, retry_at, free_at, next_turn)
                   SELECT webhooks.id, webhooks.turn, ?3, CAST(?4 AS bigint), ?5, CAST(?6 AS bigint), CAST(?7 AS bigint), now_ms(),
                       now_ms() + CAST(?8 AS bigint), now_ms() + CAST(?9 AS bigint), CAST(?10 AS text)
                   FROM webhooks WHERE webhooks.id = ?1 AND webhooks.turn = ?2 RETURNING id";
        let parameters = [
            (*webhook_id).into(),
            (*turn).into(),
            message.id.as_str().into(),
            message.attempts.saturating_add(1).into(),
            (*answer).into(),
            is_delivered.into(),
            is_gone.into(),
            retry_ms.into(),
            pause_ms.into(),
            goes_on.then_some(*turn).into(),
        ];
        Ok(!self.database.query(Statement::new("store_webhook_attempt", sql, parameters)).await?.is_empty())
    }

    /// In how many milliseconds the next message can be sent that waits; less than 0: some could be already. `None`: nothing waits.
    ///
    /// # Errors
    /// As [`Self::webhooks`].
    pub async fn next_webhook_message_ms(&self) -> Result<Option<i64>, StorageError> {
        const QUERY: &str = "next_webhook_message";
        let sql = "SELECT MIN(CASE WHEN free_at > due_at THEN free_at ELSE due_at END) - now_ms() FROM (
                       SELECT free_at, (SELECT MIN(due_at) FROM webhook_deliveries WHERE webhook_id = webhooks.id) AS due_at
                       FROM webhooks WHERE stopped_at IS NULL) AS next WHERE due_at IS NOT NULL";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.first().map_or(Ok(None), |row| row.columns(QUERY).optional_integer())
    }
}

/// The SQL condition for a webhook with a message that can be sent now. It begins at the webhooks, which are few: of receivers that are away, thousands of
/// messages may be due.
const IS_DUE: &str = "free_at <= now_ms() AND stopped_at IS NULL
    AND EXISTS (SELECT 1 FROM webhook_deliveries AS due WHERE due.webhook_id = webhooks.id AND due.due_at <= now_ms())";

/// Whether a message can be sent now, as a column of a statement about work that nobody waits for.
pub(crate) fn is_due() -> String {
    format!("CASE WHEN EXISTS (SELECT 1 FROM webhooks WHERE {IS_DUE}) THEN 1 ELSE 0 END")
}

fn read(query: &'static str, row: &Row) -> Result<Webhook, StorageError> {
    let mut columns = row.columns(query);
    Ok(Webhook {
        id: columns.id()?,
        server: columns.text()?.to_owned(),
        events: columns.text()?.split_whitespace().map(str::to_owned).collect(),
        created_at: columns.timestamp()?,
        failures: columns.integer()?,
        given_up: columns.integer()?,
        dropped: columns.integer()?,
        attempted_at: columns.optional_integer()?.map(Timestamp::from_millis),
        answer: columns.optional_text()?.map(str::to_owned),
        delivered_at: columns.optional_integer()?.map(Timestamp::from_millis),
        stopped_at: columns.optional_integer()?.map(Timestamp::from_millis),
        waiting: columns.integer()?,
    })
}
