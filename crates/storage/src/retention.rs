//! How long conversations are kept: the rules of administrators, lifetimes of single conversations, temporary chats, and the deletion of what is over, by
//! whichever host comes by. Must not delete what is in use: a message, an answer and a change each begin the time anew.

use domain::{Conversation, Id, Timestamp};
use serde_json::json;

use crate::{
    Database, Row, Statement, StorageError, Store, Value,
    database::Columns,
    limits::Subject,
    runs::{ABANDONED, ACTIVE},
    tool_tasks::HAS_QUESTION,
    users::ROLE,
};

/// A temporary chat goes this long after its last use. Whoever leaves it deletes it at once, so this is for tabs that vanish without a word: longer than
/// somebody reads an answer, and short enough to be called temporary.
pub const TEMPORARY_IDLE_MS: i64 = 30 * 60 * 1000;
/// What begins to delete something deletes nothing for a day: a new or shorter rule, a rule that is gone, other roles of a person. An administrator who meant
/// 300 days and not 3 has time to see it.
pub const RULE_DELAY_MS: i64 = DAY_MS;
/// The longest time that can be set, in days: ten years.
pub const MAX_DAYS: u32 = 3_650;
/// The rule for everybody whose roles have none.
const INSTALLATION: &str = "installation";
/// Conversations deleted in one statement, with everything in them: some thousand rows.
const BATCH: u32 = 20;
/// Lifetimes looked at in one statement.
const CHECKS: u32 = 50;
/// Accounts looked at in one statement.
const PEOPLE: u32 = 200;
/// Between two walks over everybody. Rules count in days.
const WALK_MS: i64 = 60 * 60 * 1000;
/// How long a host has the walk for itself: a step takes milliseconds.
const TURN_MS: i64 = 10_000;
/// When a conversation is looked at again that is over and in use.
const BUSY_MS: i64 = 10 * 60 * 1000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A rule about conversations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionRule {
    /// [`INSTALLATION`], or `role:` and a name.
    pub subject: String,
    /// After how many days without use a conversation goes. 0: it is kept.
    pub days: u32,
    /// Nothing goes because of it before then.
    pub counts_at: Timestamp,
}

/// The subject of the rule that counts for a person: of several roles with a rule, that of the shortest, and without any, [`INSTALLATION`], which may have no
/// row. `user` is the SQL of the person's id. A role that a provider gives counts whether or not the person is logged in there at the moment.
fn rule(user: &str) -> String {
    let role = "substr(retention_rules.subject, 6)";
    format!(
        "COALESCE((SELECT retention_rules.subject FROM retention_rules WHERE retention_rules.subject LIKE 'role:%' AND (
              EXISTS (SELECT 1 FROM users WHERE users.id = {user} AND {ROLE} = {role})
              OR EXISTS (SELECT 1 FROM user_group_members JOIN user_groups ON user_groups.id = user_group_members.group_id
                         WHERE user_group_members.user_id = {user} AND ' ' || user_groups.roles || ' ' LIKE '% ' || {role} || ' %')
              OR EXISTS (SELECT 1 FROM user_identities
                         WHERE user_identities.user_id = {user} AND ' ' || user_identities.roles || ' ' LIKE '% ' || {role} || ' %'))
          ORDER BY CASE retention_rules.days WHEN 0 THEN 1 ELSE 0 END, retention_rules.days, retention_rules.subject LIMIT 1), '{INSTALLATION}')"
    )
}

/// The condition for a conversation that is in no list and in no copy.
pub(crate) const TEMPORARY: &str = "EXISTS (SELECT 1 FROM conversation_lifetimes
    WHERE conversation_lifetimes.conversation_id = conversations.id AND conversation_lifetimes.is_temporary = 1)";

/// When the newest run of a conversation was last written: when its answer ended.
const LAST_RUN_AT: &str =
    "(SELECT runs.updated_at FROM runs WHERE runs.conversation_id = conversations.id ORDER BY runs.id DESC LIMIT 1)";

/// The newest run of a conversation, or ''.
const LAST_RUN: &str = "COALESCE((SELECT MAX(runs.id) FROM runs WHERE runs.conversation_id = conversations.id), '')";

/// What [`read_lifetime`] reads. The rule and the conversation's own time are a text each, because each is looked for once. Without an owner no
/// rule is looked for.
pub(crate) fn lifetime_columns(owner: Option<&str>) -> String {
    let by_rule = owner.map(|owner| {
        format!(
            "{LAST_RUN_AT},
             (SELECT CAST(rule.days AS text) || ' ' || CAST(rule.counts_at AS text) || ' ' || CAST(COALESCE(person.access_changed_at, 0) AS text)
              FROM retention_rules AS rule JOIN users AS person ON person.id = {owner} WHERE rule.days > 0 AND rule.subject = {})",
            rule(owner)
        )
    });
    format!(
        "(SELECT CAST(conversation_lifetimes.idle_ms AS text) || ' ' || CAST(conversation_lifetimes.is_temporary AS text) || ' '
             || CAST(COALESCE({LAST_RUN_AT}, 0) AS text)
          FROM conversation_lifetimes WHERE conversation_lifetimes.conversation_id = conversations.id), {}",
        by_rule.as_deref().unwrap_or("CAST(NULL AS bigint), CAST(NULL AS text)")
    )
}

/// The three numbers of one of these texts.
fn numbers(text: &str) -> Option<(i64, i64, i64)> {
    let mut numbers = text.split(' ').map(|number| number.parse::<i64>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// Reads how long a conversation lives, whose other fields are known.
pub(crate) fn read_lifetime(columns: &mut Columns<'_>, conversation: &mut Conversation) -> Result<(), StorageError> {
    let own = columns.optional_text()?.and_then(numbers);
    let last_run_at = columns.optional_integer()?.unwrap_or_default();
    let rule = columns.optional_text()?.and_then(numbers);
    let changed_at = conversation.updated_at.as_millis();
    let by_own = own.map(|(idle_ms, _, last_run_at)| changed_at.max(last_run_at).saturating_add(idle_ms));
    let by_rule = rule.map(|(days, counts_at, access_changed_at)| {
        let ends_at = changed_at.max(last_run_at).saturating_add(days.saturating_mul(DAY_MS));
        // Whoever has other roles since then may have another rule since then.
        ends_at.max(counts_at).max(access_changed_at.saturating_add(RULE_DELAY_MS))
    });
    conversation.is_temporary = own.is_some_and(|(_, is_temporary, _)| is_temporary != 0);
    conversation.retention_days =
        own.filter(|_| !conversation.is_temporary).and_then(|(idle_ms, ..)| u32::try_from(idle_ms / DAY_MS).ok());
    conversation.expires_at = by_own.into_iter().chain(by_rule).min().map(Timestamp::from_millis);
    Ok(())
}

/// A run that somebody has a lease of, because then its conversation cannot be deleted in any case; or one that is to be answered or waits for something
/// that can still come: a question that has not expired, an answer to one that its person gave within a day and that nobody has acted on yet, or a task.
fn in_use() -> String {
    format!(
        "(runs.lease_expires_at > now_ms() OR runs.state IN {ACTIVE} AND NOT {ABANDONED} AND (runs.state <> 'awaiting_approval' OR {HAS_QUESTION}
             OR EXISTS (SELECT 1 FROM approvals WHERE approvals.run_id = runs.id AND approvals.decided_at > now_ms() - {DAY_MS})
             OR EXISTS (SELECT 1 FROM tool_tasks WHERE tool_tasks.run_id = runs.id AND tool_tasks.lapses_at > now_ms())))"
    )
}

/// The same in a temporary chat, where a question waits only as long as its person is there: they ask about a task that goes on.
const IN_USE_FOR_NOW: &str = "(runs.lease_expires_at > now_ms() OR EXISTS (SELECT 1 FROM tool_tasks
    WHERE tool_tasks.run_id = runs.id AND tool_tasks.ask_at > now_ms() - 600000))";

/// A conversation whose time is over, as it was read.
struct Expired {
    id: Id,
    updated_at: i64,
    run_id: String,
    run_updated_at: i64,
}

impl Expired {
    fn read(columns: &mut Columns<'_>) -> Result<Self, StorageError> {
        Ok(Self {
            id: columns.id()?,
            updated_at: columns.integer()?,
            run_id: columns.text()?.to_owned(),
            run_updated_at: columns.optional_integer()?.unwrap_or_default(),
        })
    }
}

impl<D: Database> Store<D> {
    /// All rules, the installation's first. There are as many as roles at most.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn retention_rules(&self) -> Result<Vec<RetentionRule>, StorageError> {
        const QUERY: &str = "retention_rules";
        let sql = "SELECT subject, days, counts_at FROM retention_rules ORDER BY subject";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            Ok(RetentionRule {
                subject: columns.text()?.to_owned(),
                days: u32::try_from(columns.integer()?).unwrap_or_default(),
                counts_at: columns.timestamp()?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Sets a rule, or removes it. What deletes more than before counts a day later: a shorter rule, and the others when one goes that kept something from
    /// them. The same rule again changes nothing.
    ///
    /// # Errors
    /// As [`Self::retention_rules`].
    pub async fn set_retention_rule(&self, subject: &Subject, days: Option<u32>) -> Result<(), StorageError> {
        let sql = format!(
            "INSERT INTO retention_changes (subject, days, counts_at) SELECT ?1, CAST(?2 AS bigint), now_ms() + {RULE_DELAY_MS}"
        );
        let parameters = [subject.to_string().into(), days.map(i64::from).into()];
        self.database.query(Statement::new("set_retention_rule", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }

    /// Says after how many days without use a conversation of the owner goes; `None`: as the rules say. So that it counts from now, the caller changes the
    /// conversation before ([`Store::update_conversation`]). A temporary chat stays one.
    ///
    /// # Errors
    /// As [`Self::retention_rules`].
    pub async fn set_own_retention(&self, user_id: Id, id: Id, days: Option<u32>) -> Result<(), StorageError> {
        let owned = "SELECT id FROM conversations WHERE id = ?1 AND user_id = ?2";
        let mut parameters: Vec<Value> = vec![id.into(), user_id.into()];
        let statement = match days {
            Some(days) => {
                parameters.push(i64::from(days).saturating_mul(DAY_MS).into());
                let sql = "INSERT INTO conversation_lifetimes (conversation_id, idle_ms, is_temporary, check_at)
                     SELECT id, CAST(?3 AS bigint), 0, now_ms() + CAST(?3 AS bigint) FROM conversations WHERE id = ?1 AND user_id = ?2
                     ON CONFLICT (conversation_id) DO UPDATE SET idle_ms = excluded.idle_ms, check_at = excluded.check_at
                     WHERE conversation_lifetimes.is_temporary = 0";
                Statement::new("set_own_retention", sql, parameters)
            }
            None => {
                let sql = format!(
                    "DELETE FROM conversation_lifetimes WHERE is_temporary = 0 AND conversation_id IN ({owned})"
                );
                Statement::new("remove_own_retention", sql, parameters)
            }
        };
        self.database.query(statement.durably().repeatably()).await?;
        Ok(())
    }

    /// Deletes the next conversations whose time is over, or looks further for them. `false`: there is nothing more to do at present. Killed at any point,
    /// the next caller goes on; of two callers, one deletes and records each conversation.
    ///
    /// # Errors
    /// As [`Self::retention_rules`].
    pub async fn expire_next(&self) -> Result<bool, StorageError> {
        Ok(self.check_lifetimes().await? || self.walk().await?)
    }

    /// Looks at the lifetimes that are due.
    async fn check_lifetimes(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "due_lifetimes";
        let sql = format!(
            "SELECT conversations.id, conversations.updated_at, {LAST_RUN}, {LAST_RUN_AT}, conversation_lifetimes.idle_ms,
                 conversation_lifetimes.is_temporary, conversation_lifetimes.check_at, now_ms(),
                 CASE WHEN EXISTS (SELECT 1 FROM runs WHERE runs.conversation_id = conversations.id
                     AND (conversation_lifetimes.is_temporary = 0 AND {} OR conversation_lifetimes.is_temporary = 1 AND {IN_USE_FOR_NOW}))
                 THEN 1 ELSE 0 END
             FROM conversation_lifetimes JOIN conversations ON conversations.id = conversation_lifetimes.conversation_id
             WHERE conversation_lifetimes.check_at <= now_ms()
                 AND NOT EXISTS (SELECT 1 FROM erasures WHERE erasures.user_id = conversations.user_id AND erasures.due_at <= now_ms())
             ORDER BY conversation_lifetimes.check_at LIMIT {CHECKS}",
            in_use()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let (mut temporary, mut others, mut later) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let expired = Expired::read(&mut columns)?;
            let (idle_ms, is_temporary, check_at) = (columns.integer()?, columns.flag()?, columns.integer()?);
            let used_at = expired.run_updated_at.max(expired.updated_at);
            let (now, is_in_use) = (columns.integer()?, columns.flag()?);
            let over_at = used_at.saturating_add(idle_ms);
            match (over_at <= now, is_in_use) {
                (true, false) if is_temporary => temporary.push(expired),
                (true, false) => others.push(expired),
                (true, true) => later.push((expired.id, check_at, now.saturating_add(BUSY_MS))),
                (false, _) => later.push((expired.id, check_at, over_at)),
            }
        }
        self.check_later(later).await?;
        for (reason, expired) in [("temporary", temporary), ("own", others)] {
            for batch in expired.chunks(BATCH as usize) {
                self.expire(reason, batch).await?;
            }
        }
        Ok(!rows.is_empty())
    }

    /// Looks at conversations again later, unless their lifetimes were changed since. Each has the time that was read, and the next.
    async fn check_later(&self, later: Vec<(Id, i64, i64)>) -> Result<(), StorageError> {
        if later.is_empty() {
            return Ok(());
        }
        let row = |at: usize| {
            let first = at.saturating_mul(3).saturating_add(1);
            let (second, third) = (first.saturating_add(1), first.saturating_add(2));
            format!("(CAST(?{first} AS text), CAST(?{second} AS bigint), CAST(?{third} AS bigint))")
        };
        let rows: Vec<String> = (0..later.len()).map(row).collect();
        let sql = format!(
            "WITH later (id, seen, next) AS (VALUES {})
             UPDATE conversation_lifetimes SET check_at = (SELECT later.next FROM later WHERE later.id = conversation_id)
             WHERE (conversation_id, check_at) IN (SELECT later.id, later.seen FROM later)",
            rows.join(", ")
        );
        let parameters: Vec<Value> =
            later.into_iter().flat_map(|(id, seen, next)| [id.into(), seen.into(), next.into()]).collect();
        self.database.query(Statement::new("check_lifetimes_later", sql, parameters).repeatably()).await?;
        Ok(())
    }

    /// Goes on with the walk over everybody: deletes what is over by the rules, and goes to the next people when nothing is left of these. A host that looks
    /// has the walk for itself meanwhile: others would look for the same.
    async fn walk(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "retention_walk";
        let sql = format!(
            "INSERT INTO retention_walk (id, passed, due_at)
             SELECT 1, '', now_ms() + {TURN_MS} WHERE EXISTS (SELECT 1 FROM retention_rules WHERE days > 0 AND counts_at <= now_ms())
             ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at WHERE retention_walk.due_at <= now_ms() RETURNING passed"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let passed = row.columns(QUERY).text()?.to_owned();
        let expired = self.expired_by_rules(&passed).await?;
        let sql = if expired.is_empty() {
            format!(
                "UPDATE retention_walk SET passed = COALESCE(({0}), ''),
                     due_at = CASE WHEN ({0}) IS NULL THEN now_ms() + {WALK_MS} ELSE now_ms() END
                 WHERE passed = ?1",
                format_args!(
                    "SELECT MAX(people.id) FROM (SELECT id FROM users WHERE id > ?1 ORDER BY id LIMIT {PEOPLE}) AS people"
                )
            )
        } else {
            self.expire("rule", &expired).await?;
            "UPDATE retention_walk SET due_at = now_ms() WHERE passed = ?1".to_owned()
        };
        self.database.query(Statement::new("walk_on", sql, [Value::from(passed)]).repeatably()).await?;
        Ok(true)
    }

    async fn expired_by_rules(&self, passed: &str) -> Result<Vec<Expired>, StorageError> {
        const QUERY: &str = "expired_by_rules";
        let sql = format!(
            "SELECT conversations.id, conversations.updated_at, {LAST_RUN}, {LAST_RUN_AT}
             FROM (SELECT person.id, person.access_changed_at, {} AS rule FROM users AS person
                   WHERE person.id > ?1 ORDER BY person.id LIMIT {PEOPLE}) AS people
             JOIN retention_rules ON retention_rules.subject = people.rule AND retention_rules.days > 0 AND retention_rules.counts_at <= now_ms()
             JOIN conversations ON conversations.user_id = people.id AND conversations.updated_at <= now_ms() - retention_rules.days * {DAY_MS}
             WHERE COALESCE(people.access_changed_at, 0) <= now_ms() - {RULE_DELAY_MS}
                 AND NOT EXISTS (SELECT 1 FROM erasures WHERE erasures.user_id = people.id AND erasures.due_at <= now_ms())
                 AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.conversation_id = conversations.id
                 AND (runs.updated_at > now_ms() - retention_rules.days * {DAY_MS} OR {}))
             LIMIT {BATCH}",
            rule("person.id"),
            in_use()
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [Value::from(passed)])).await?;
        rows.iter().map(|row| Expired::read(&mut row.columns(QUERY))).collect()
    }

    /// Deletes these conversations, on record, unless they were used since they were read.
    async fn expire(&self, reason: &str, expired: &[Expired]) -> Result<(), StorageError> {
        let seen: Vec<_> = expired
            .iter()
            .map(|expired| {
                json!({
                    "id": expired.id,
                    "updated_at": expired.updated_at,
                    "run_id": expired.run_id,
                    "run_updated_at": expired.run_updated_at,
                })
            })
            .collect();
        let sql = "INSERT INTO conversation_expiries (conversations, reason, audit_id, expired_at) VALUES (?1, ?2, ?3, now_ms())";
        let parameters = [Value::from(json!(seen).to_string()), reason.into(), Id::new().into()];
        // A second time finds nothing to delete.
        self.database.query(Statement::new("expire_conversations", sql, parameters).durably().repeatably()).await?;
        Ok(())
    }
}
