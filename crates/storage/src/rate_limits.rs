//! How often something may be done: the generic cell rate algorithm (ITU-T I.371, annex A), a row for each limit, exact over all instances
//! because the database judges, by its own clock. A full limit needs no row: those that have been full for a minute are deleted, a few each
//! time something is taken, so that there are hardly more rows than limits in use.

use serde_json::json;

use crate::{Database, Statement, StorageError, Store, Value};

/// Microseconds in a minute.
const MINUTE_US: u64 = 60_000_000;

/// How often something may be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Who and what is limited. Each only once in a list.
    pub key: String,
    /// How often in the long run; 0 counts as 1.
    pub per_minute: u32,
    /// How often at once, after a time of rest; 0 counts as 1.
    pub burst: u32,
}

/// Come back in so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryAfterMs(pub u64);

impl<D: Database> Store<D> {
    /// Takes one of each limit, or none of any: then says how long to wait until there will be one of each if nobody else comes.
    ///
    /// # Errors
    /// Whatever the database says. When its answer was lost, nobody knows whether they were taken.
    pub async fn take_rate(&self, limits: &[Limit]) -> Result<Result<(), RetryAfterMs>, StorageError> {
        const QUERY: &str = "take_rate";
        if limits.is_empty() {
            return Ok(Ok(()));
        }
        let (mut rows, mut parameters, mut asked) = (Vec::new(), Vec::<Value>::new(), Vec::new());
        for Limit { key, per_minute, burst } in limits {
            let interval_us = MINUTE_US.div_ceil(u64::from((*per_minute).max(1)));
            let tolerance_us = interval_us * u64::from((*burst).max(1));
            let at = parameters.len() + 2;
            rows.push(format!("(?{at}, CAST(?{} AS bigint), CAST(?{} AS bigint))", at + 1, at + 2));
            parameters.extend([key.as_str().into(), interval_us.into(), tolerance_us.into()]);
            asked.push(json!({ "key": key, "interval_us": interval_us, "tolerance_us": tolerance_us }));
        }
        // For the trigger, which sees nothing of the statement but its row.
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
}
