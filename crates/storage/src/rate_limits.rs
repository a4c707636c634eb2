//! Rate limits, by the generic cell rate algorithm (ITU-T I.371, annex A). There is one row for each limit. It is exact over all instances, because
//! the database decides, by its own clock. A full limit needs no row: each take deletes a few rows that have been full for a minute. So there are
//! hardly more rows than limits in use.

use serde_json::json;

use crate::{Database, Dialect, Statement, StorageError, Store, Value};

/// Microseconds in a minute.
const MINUTE_US: u64 = 60_000_000;

/// A rate limit of some a minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Who and what is limited. A list must not contain a key twice.
    pub key: String,
    /// The long-term rate; 0 counts as 1.
    pub per_minute: u32,
    /// How many may be taken at once after a pause; 0 counts as 1.
    pub burst: u32,
}

impl Limit {
    /// A limit whose whole minute may be taken at once.
    #[must_use]
    pub const fn per_minute(key: String, per_minute: u32) -> Self {
        Self { key, per_minute, burst: per_minute }
    }
}

/// A rate limit of any rate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Who and what is limited. A list must not contain a key twice.
    pub key: String,
    /// The long-term rate is one in this time.
    pub interval_us: u64,
    /// How many may be taken at once after a pause; 0 counts as 1.
    pub burst: u32,
}

impl From<&Limit> for Bucket {
    fn from(limit: &Limit) -> Self {
        let interval_us = MINUTE_US.div_ceil(u64::from(limit.per_minute.max(1)));
        Self { key: limit.key.clone(), interval_us, burst: limit.burst }
    }
}

/// The limit is reached. It will not be after this many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryAfterMs(pub u64);

impl<D: Database> Store<D> {
    /// Takes one of each limit, or none at all if a limit is reached. The error says how long to wait until one of each is available, if nobody else
    /// takes any.
    ///
    /// # Errors
    /// Those of the database. If its answer was lost, it is unknown whether any were taken.
    pub async fn take_rate(
        &self,
        limits: impl IntoIterator<Item = impl Into<Bucket>>,
    ) -> Result<Result<(), RetryAfterMs>, StorageError> {
        const QUERY: &str = "take_rate";
        let limits: Vec<Bucket> = limits.into_iter().map(Into::into).collect();
        if limits.is_empty() {
            return Ok(Ok(()));
        }
        let (mut rows, mut parameters, mut asked) = (Vec::new(), Vec::<Value>::new(), Vec::new());
        for Bucket { key, interval_us, burst } in &limits {
            let tolerance_us = interval_us.saturating_mul(u64::from((*burst).max(1)));
            let at = parameters.len() + 2;
            rows.push(format!("(?{at}, CAST(?{} AS bigint), CAST(?{} AS bigint))", at + 1, at + 2));
            parameters.extend([key.as_str().into(), (*interval_us).into(), tolerance_us.into()]);
            asked.push(json!({ "key": key, "interval_us": interval_us, "tolerance_us": tolerance_us }));
        }
        // The trigger sees only the row, so the row contains the limits.
        parameters.insert(0, Value::from(serde_json::Value::Array(asked).to_string()));
        let sql = format!(
            "WITH asked (key, interval_us, tolerance_us) AS (VALUES {})
             INSERT INTO rate_takes (limits, now_us, retry_after_us)
             SELECT ?1, now_ms() * 1000, MAX(interval_us - tolerance_us
                 + CASE WHEN full_at > now_ms() * 1000 THEN full_at - now_ms() * 1000 ELSE 0 END)
             FROM asked LEFT JOIN rate_limits ON rate_limits.key = asked.key WHERE 1 = 1 RETURNING retry_after_us",
            rows.join(", ")
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let retry_after_us = rows.first().map(|row| row.columns(QUERY).integer()).transpose()?.unwrap_or_default();
        Ok(match u64::try_from(retry_after_us) {
            Ok(wait_us) if wait_us > 0 => Err(RetryAfterMs(wait_us.div_ceil(1_000))),
            _ => Ok(()),
        })
    }

    /// Gives back one of each limit, as if it had not been taken.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn give_back_rate(&self, limits: &[Bucket]) -> Result<(), StorageError> {
        if limits.is_empty() {
            return Ok(());
        }
        let (mut rows, mut parameters) = (Vec::new(), Vec::<Value>::new());
        for Bucket { key, interval_us, .. } in limits {
            let at = parameters.len() + 1;
            rows.push(format!("(?{at}, CAST(?{} AS bigint))", at + 1));
            parameters.extend([key.as_str().into(), (*interval_us).into()]);
        }
        // In the order in which the trigger of a take locks them. SQLite has one writer at a time anyway.
        let waiting = if self.database.dialect() == Dialect::Postgres {
            "ORDER BY rate_limits.key COLLATE \"C\" FOR UPDATE"
        } else {
            ""
        };
        let sql = format!(
            "WITH given (key, interval_us) AS (VALUES {})
             UPDATE rate_limits SET full_at = full_at - (SELECT interval_us FROM given WHERE given.key = rate_limits.key)
             WHERE key IN (SELECT rate_limits.key FROM rate_limits WHERE rate_limits.key IN (SELECT given.key FROM given) {waiting})",
            rows.join(", ")
        );
        self.database.query(Statement::new("give_back_rate", sql, parameters)).await?;
        Ok(())
    }
}
