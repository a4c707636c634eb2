//! The chain over the audit log: which events wait for their place, batches of places with their seals, and what a check reads. Must not compute
//! hashes or sign: the crate `audit` and the caller do.

use audit::{
    chain::{Head, Link, SealClaims},
    event::StoredEvent,
    verification::{Detail, Entry, StoredDetail},
};
use domain::{Id, Timestamp};

use crate::{Database, Row, Statement, StorageError, Store, Value, database::Columns};

/// Events that wait for their place, and where the chain ends.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// The time by the database's clock.
    pub now: Timestamp,
    /// The end of the chain.
    pub head: Head,
    /// The events with the times of their arrival, in their order.
    pub events: Vec<(StoredEvent, i64)>,
}

/// A stored seal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSeal {
    /// The first position that it is about.
    pub first_position: i64,
    /// The last one.
    pub last_position: i64,
    /// The hash there.
    pub hash: String,
    /// When it was made.
    pub sealed_at: Timestamp,
    /// The key that signed it.
    pub key_id: String,
    /// The signed statement.
    pub signature: String,
}

/// How far the chain is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainState {
    /// The newest seal.
    pub seal: Option<StoredSeal>,
    /// How many events wait for their place; of those from before the chain, at most [`MAX_COUNTED`] are counted.
    pub waiting: i64,
    /// How long the first of them has waited, in milliseconds; of those that were there before the chain, since then. 0 if none waits.
    pub waiting_ms: i64,
}

/// Events from before the chain that are counted: more are read for nobody who only looks how far the chain is.
pub const MAX_COUNTED: u32 = 10_000;

/// Columns of an event, in the order of [`read_event`].
const EVENT: &str = "audit_events.id, audit_events.at, audit_events.user_id, audit_events.action, audit_events.subject,
    audit_events.run_id, audit_events.call_id, audit_events.outcome, audit_events.detail, audit_events.detail_digest";

/// Columns of a seal, in the order of [`read_seal`].
const SEAL: &str = "first_position, last_position, hash, sealed_at, key_id, signature";

fn read_event(columns: &mut Columns<'_>) -> Result<StoredEvent, StorageError> {
    let optional = |columns: &mut Columns<'_>| Ok::<_, StorageError>(columns.optional_text()?.map(str::to_owned));
    Ok(StoredEvent {
        id: columns.text()?.to_owned(),
        at: columns.integer()?,
        user_id: columns.text()?.to_owned(),
        action: columns.text()?.to_owned(),
        subject: columns.text()?.to_owned(),
        run_id: optional(columns)?,
        call_id: optional(columns)?,
        outcome: columns.text()?.to_owned(),
        detail: optional(columns)?,
        detail_digest: optional(columns)?,
    })
}

fn read_seal(columns: &mut Columns<'_>) -> Result<StoredSeal, StorageError> {
    Ok(StoredSeal {
        first_position: columns.integer()?,
        last_position: columns.integer()?,
        hash: columns.text()?.to_owned(),
        sealed_at: columns.timestamp()?,
        key_id: columns.text()?.to_owned(),
        signature: columns.text()?.to_owned(),
    })
}

impl<D: Database> Store<D> {
    /// Lets the next events that were recorded before there was a chain wait for their places, at most `limit`. `false`: there are no more of them.
    ///
    /// # Errors
    /// Those of the database, as everywhere in this crate.
    pub async fn take_audit_backlog(&self, limit: u32) -> Result<bool, StorageError> {
        let sql = format!(
            "INSERT INTO audit_backlog_steps (last_id, after_id, up_to)
             SELECT backlog.last_id, backlog.after_id, COALESCE((SELECT MAX(next.id) FROM (SELECT id FROM audit_events
                 WHERE id > backlog.after_id AND id <= backlog.last_id ORDER BY id LIMIT {limit}) AS next), backlog.last_id)
             FROM (SELECT last_id, after_id FROM audit_backlog ORDER BY last_id LIMIT 1) AS backlog WHERE 1 = 1 RETURNING last_id"
        );
        let statement = Statement::new("take_audit_backlog", sql, []).repeatably();
        Ok(!self.database.query(statement).await?.is_empty())
    }

    /// Whether there are events that were recorded before there was a chain and do not wait for their places yet.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn has_audit_backlog(&self) -> Result<bool, StorageError> {
        let sql = "SELECT 1 FROM audit_backlog LIMIT 1";
        Ok(!self.database.query(Statement::new("has_audit_backlog", sql, [])).await?.is_empty())
    }

    /// The newest seal, which ends the chain.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn newest_audit_seal(&self) -> Result<Option<StoredSeal>, StorageError> {
        const QUERY: &str = "newest_audit_seal";
        let sql = format!("SELECT {SEAL} FROM audit_seals ORDER BY first_position DESC LIMIT 1");
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.first().map(|row| read_seal(&mut row.columns(QUERY))).transpose()
    }

    /// The events that wait longest for their place, at most `limit`. `None`: none waits. While some that were recorded before there was a chain do not
    /// wait yet, only such are told: they have the first places.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_arrivals(&self, limit: u32) -> Result<Option<Arrivals>, StorageError> {
        const QUERY: &str = "audit_arrivals";
        let sql = format!(
            "SELECT now_ms(), COALESCE(head.last_position, 0), COALESCE(head.hash, ''), arrivals.arrived_at, {EVENT}
             FROM audit_arrivals AS arrivals
             JOIN audit_events ON audit_events.id = arrivals.event_id
             LEFT JOIN (SELECT last_position, hash FROM audit_seals ORDER BY first_position DESC LIMIT 1) AS head ON 1 = 1
             -- Nobody can hold up the others by an arrival that has its place already, or no event.
             WHERE NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_chain.event_id = arrivals.event_id)
                 AND (arrivals.arrived_at = 0 OR NOT EXISTS (SELECT 1 FROM audit_backlog))
             ORDER BY arrivals.arrived_at, arrivals.event_id LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut arrivals: Option<Arrivals> = None;
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let (now, position) = (columns.timestamp()?, columns.integer()?);
            let hash = columns.text()?.to_owned();
            let arrived_at = columns.integer()?;
            let event = read_event(&mut columns)?;
            let head = Head { position, hash };
            let found = arrivals.get_or_insert_with(|| Arrivals { now, head, events: Vec::with_capacity(rows.len()) });
            found.events.push((event, arrived_at));
        }
        Ok(arrivals)
    }

    /// Stores a batch of places with its signed seal, if nobody else has stored one that begins there. `false`: somebody has. Killed or refused, it
    /// changes nothing: the events wait for the next.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn seal_audit(
        &self,
        links: &[Link],
        claims: &SealClaims,
        (key_id, signature): (&str, &str),
    ) -> Result<bool, StorageError> {
        let sql = "INSERT INTO audit_batches (links, first_position, last_position, hash, sealed_at, key_id, signature)
                   SELECT ?1, CAST(?2 AS bigint), CAST(?3 AS bigint), ?4, CAST(?5 AS bigint), ?6, ?7
                   WHERE NOT EXISTS (SELECT 1 FROM audit_seals WHERE last_position >= CAST(?2 AS bigint)) RETURNING first_position";
        let parameters = [
            serde_json::to_string(links)?.into(),
            claims.first.into(),
            claims.last.into(),
            claims.hash.as_str().into(),
            claims.sealed_at.into(),
            key_id.into(),
            signature.into(),
        ];
        Ok(!self.database.query(Statement::new("seal_audit", sql, parameters).durably()).await?.is_empty())
    }

    /// How far the chain is.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_chain_state(&self) -> Result<ChainState, StorageError> {
        const QUERY: &str = "audit_chain_state";
        let sql = format!(
            "SELECT waiting.number, waiting.since, {SEAL} FROM (
                 SELECT COUNT(*) + (SELECT COUNT(*) FROM (SELECT 1 FROM audit_events JOIN audit_backlog ON id > after_id AND id <= last_id
                     LIMIT {MAX_COUNTED}) AS backlog) AS number, now_ms() - COALESCE(MIN(CASE WHEN arrived_at = 0 THEN NULL ELSE arrived_at END), now_ms()) AS since
                 FROM audit_arrivals) AS waiting
             LEFT JOIN (SELECT {SEAL} FROM audit_seals ORDER BY first_position DESC LIMIT 1) AS head ON 1 = 1"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(ChainState { seal: None, waiting: 0, waiting_ms: 0 }) };
        let mut columns = row.columns(QUERY);
        let (waiting, waiting_ms) = (columns.integer()?, columns.integer()?);
        // The outer join has no seal before the first.
        let seal = if row.0.get(2) == Some(&Value::Null) { None } else { Some(read_seal(&mut columns)?) };
        Ok(ChainState { seal, waiting, waiting_ms })
    }

    /// The places after a position with what is stored for them now, at most `limit`, for a check.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_links(&self, after: i64, limit: u32) -> Result<Vec<Entry>, StorageError> {
        const QUERY: &str = "audit_links";
        let sql = format!(
            "SELECT chain.position, chain.event_id, chain.arrived_at, chain.digest, chain.hash,
                 CASE WHEN EXISTS (SELECT 1 FROM erasures
                     WHERE erasures.user_id = audit_events.user_id AND erasures.inventory IS NOT NULL) THEN 0 ELSE 1 END,
                 audit_details.salt, audit_details.detail, {EVENT}
             FROM (SELECT * FROM audit_chain WHERE position > ?1 ORDER BY position LIMIT {limit}) AS chain
             LEFT JOIN audit_events ON audit_events.id = chain.event_id
             LEFT JOIN audit_details ON audit_details.event_id = chain.event_id ORDER BY chain.position"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [after.into()])).await?;
        let mut entries = rows
            .iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                let link = Link {
                    position: columns.integer()?,
                    event_id: columns.text()?.to_owned(),
                    arrived_at: columns.integer()?,
                    digest: columns.text()?.to_owned(),
                    hash: columns.text()?.to_owned(),
                };
                let has_account = columns.flag()?;
                let salt = columns.optional_text()?.map(str::to_owned);
                let detail = columns.optional_text()?.map(str::to_owned);
                // The outer join has no event where it is gone.
                let event = if row.0.get(8) == Some(&Value::Null) { None } else { Some(read_event(&mut columns)?) };
                Ok((Entry { link, event, detail: None, has_account }, salt.zip(detail)))
            })
            .collect::<Result<Vec<_>, StorageError>>()?;
        let person = |entry: &Entry| entry.event.as_ref().and_then(|event| event.user_id.parse().ok());
        let details = entries.iter().filter_map(|(entry, stored)| Some((person(entry)?, stored.as_ref()?.1.as_str())));
        let opener = self.detail_opener(details).await?;
        for (entry, stored) in &mut entries {
            let Some((salt, stored)) = stored.take() else { continue };
            let detail = match person(entry) {
                Some(user_id) => {
                    let action = entry.event.as_ref().map_or("", |event| event.action.as_str());
                    opener.checked((user_id, entry.has_account), (&entry.link.event_id, action), &stored)
                }
                None => Detail::Read(stored),
            };
            entry.detail = Some(StoredDetail { salt, detail });
        }
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
    }

    /// The seals that begin after a position, up to another one.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_seals(&self, after: i64, up_to: i64, limit: u32) -> Result<Vec<StoredSeal>, StorageError> {
        const QUERY: &str = "audit_seals";
        let sql = format!(
            "SELECT {SEAL} FROM audit_seals WHERE first_position > ?1 AND first_position <= ?2 ORDER BY first_position LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [after.into(), up_to.into()])).await?;
        rows.iter().map(|row| read_seal(&mut row.columns(QUERY))).collect()
    }

    /// Events that have no place and wait for none, after an id, at most `limit`. There are none unless somebody went past the triggers.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_outside_chain(&self, after: &str, limit: u32) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "audit_outside_chain";
        let sql = format!(
            "SELECT id FROM audit_events WHERE id > ?1
                 AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE audit_chain.event_id = audit_events.id)
                 AND NOT EXISTS (SELECT 1 FROM audit_arrivals WHERE audit_arrivals.event_id = audit_events.id)
                 AND NOT EXISTS (SELECT 1 FROM audit_backlog WHERE audit_events.id > after_id AND audit_events.id <= last_id)
             ORDER BY id LIMIT {limit}"
        );
        self.texts(QUERY, sql, after).await
    }

    /// Events that wait for their place and are gone, after an id, at most `limit`.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_arrivals_without_event(&self, after: &str, limit: u32) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "audit_arrivals_without_event";
        let sql = format!(
            "SELECT event_id FROM audit_arrivals WHERE event_id > ?1
                 AND NOT EXISTS (SELECT 1 FROM audit_events WHERE audit_events.id = audit_arrivals.event_id)
             ORDER BY event_id LIMIT {limit}"
        );
        self.texts(QUERY, sql, after).await
    }

    async fn texts(&self, query: &'static str, sql: String, after: &str) -> Result<Vec<String>, StorageError> {
        let rows = self.database.query(Statement::new(query, sql, [after.into()])).await?;
        rows.iter().map(|row| Ok(row.columns(query).text()?.to_owned())).collect()
    }

    /// All public keys that ever signed here as `(kid, JWK)`, also retired ones: what they signed stays.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn all_public_keys(&self) -> Result<Vec<(String, String)>, StorageError> {
        const QUERY: &str = "all_public_keys";
        let sql = "SELECT id, public_key FROM signing_keys ORDER BY created_at, id";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok((columns.text()?.to_owned(), columns.text()?.to_owned()))
            })
            .collect()
    }

    /// The keys that were retired or revoked, and when, in milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn retired_signing_keys(&self) -> Result<Vec<(String, i64)>, StorageError> {
        const QUERY: &str = "retired_signing_keys";
        let sql = "SELECT id, retired_at FROM signing_keys WHERE retired_at IS NOT NULL ORDER BY id";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter()
            .map(|row| {
                let mut columns = row.columns(QUERY);
                Ok((columns.text()?.to_owned(), columns.integer()?))
            })
            .collect()
    }

    /// Events with their details and their positions, the oldest first, after the one at which the page before ended: of one person, or of all.
    ///
    /// # Errors
    /// As [`Self::take_audit_backlog`].
    pub async fn audit_export(
        &self,
        user_id: Option<Id>,
        after: Option<&StoredEvent>,
        limit: u32,
    ) -> Result<Vec<(StoredEvent, Option<i64>)>, StorageError> {
        const QUERY: &str = "audit_export";
        let mut parameters: Vec<Value> = user_id.map(Value::from).into_iter().collect();
        // Each order has an index.
        let (condition, order) = match (user_id, after) {
            (Some(_), Some(last)) => {
                parameters.extend([last.at.into(), last.id.as_str().into()]);
                ("audit_events.user_id = ?1 AND (at, id) > (?2, ?3)", "at, id")
            }
            (Some(_), None) => ("audit_events.user_id = ?1", "at, id"),
            (None, Some(last)) => {
                parameters.push(last.id.as_str().into());
                ("id > ?1", "id")
            }
            (None, None) => ("1 = 1", "id"),
        };
        let sql = format!(
            "SELECT audit_chain.position, audit_details.detail, {EVENT} FROM audit_events
             LEFT JOIN audit_chain ON audit_chain.event_id = audit_events.id
             LEFT JOIN audit_details ON audit_details.event_id = audit_events.id
             WHERE {condition} ORDER BY {order} LIMIT {limit}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let read = |row: &Row| {
            let mut columns = row.columns(QUERY);
            let position = columns.optional_integer()?;
            let detail = columns.optional_text()?.map(str::to_owned);
            Ok((read_event(&mut columns)?, detail, position))
        };
        let mut events = rows.iter().map(read).collect::<Result<Vec<_>, StorageError>>()?;
        let person = |event: &StoredEvent| event.user_id.parse::<Id>().ok();
        let details = events.iter().filter_map(|(event, detail, _)| Some((person(event)?, detail.as_deref()?)));
        let opener = self.detail_opener(details).await?;
        for (event, stored, _) in &mut events {
            let Some(stored) = stored.take() else { continue };
            event.detail = Some(match person(event) {
                Some(user_id) => opener.shown(user_id, &event.id, &stored),
                None => stored,
            });
        }
        Ok(events.into_iter().map(|(event, _, position)| (event, position)).collect())
    }
}
