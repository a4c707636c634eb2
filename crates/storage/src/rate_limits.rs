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

/// What is left of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// How long to wait until one is available; 0: one was taken, or would have been if the other limits had not been reached.
    pub wait_us: u64,
    /// How many more can be taken now.
    pub remaining: u64,
    /// How long until all can be taken at once, if nobody takes any.
    pub full_in_us: u64,
}

/// Limits that a statement takes from.
pub(crate) struct Asked {
    /// The SQL of a table `asked` for `WITH`.
    pub(crate) table: String,
    /// Its parameters.
    pub(crate) parameters: Vec<Value>,
    /// The same limits for the trigger, which sees only the row; null if there are none.
    pub(crate) limits: Value,
}

/// The SQL for how long to wait, in microseconds, until all of `asked` are available; 0 or less if they are.
pub(crate) const RETRY_AFTER_US: &str = "COALESCE((SELECT MAX(interval_us - tolerance_us
    + CASE WHEN full_at > now_ms() * 1000 THEN full_at - now_ms() * 1000 ELSE 0 END)
    FROM asked LEFT JOIN rate_limits ON rate_limits.key = asked.key), 0)";

/// The SQL for how full each of `asked` is, as [`quotas`] reads it.
pub(crate) const STATES: &str = "(SELECT string_agg(place || ':' || CASE WHEN full_at > now_ms() * 1000
        THEN full_at - now_ms() * 1000 ELSE 0 END, ',')
    FROM asked LEFT JOIN rate_limits ON rate_limits.key = asked.key)";

/// The limits of a statement whose parameters up to `before` are others.
pub(crate) fn asked(limits: &[Bucket], before: usize) -> Asked {
    const COLUMNS: &str = "asked (place, key, interval_us, tolerance_us)";
    if limits.is_empty() {
        let table = format!("{COLUMNS} AS (SELECT 0, '', 0, 0 WHERE 1 = 0)");
        return Asked { table, parameters: Vec::new(), limits: Value::Null };
    }
    let (mut rows, mut parameters, mut json) = (Vec::new(), Vec::<Value>::new(), Vec::new());
    for (place, limit) in limits.iter().enumerate() {
        let at = before + parameters.len() + 1;
        rows.push(format!("({place}, ?{at}, CAST(?{} AS bigint), CAST(?{} AS bigint))", at + 1, at + 2));
        let (key, interval_us, tolerance_us) = (limit.key.as_str(), limit.interval_us, limit.tolerance_us());
        parameters.extend([key.into(), interval_us.into(), tolerance_us.into()]);
        json.push(json!({ "place": place, "key": key, "interval_us": interval_us, "tolerance_us": tolerance_us }));
    }
    let table = format!("{COLUMNS} AS (VALUES {})", rows.join(", "));
    Asked { table, parameters, limits: serde_json::Value::Array(json).to_string().into() }
}

/// For how long each of some limits is not full yet, in microseconds, from what [`STATES`] says.
fn ahead(limits: usize, states: &str) -> Vec<u64> {
    let mut ahead_us = vec![0_u64; limits];
    for (place, state) in states.split(',').filter_map(|state| state.split_once(':')) {
        let place = place.parse::<usize>().ok().and_then(|place| ahead_us.get_mut(place));
        if let (Some(place), Ok(state)) = (place, state.parse()) {
            *place = state;
        }
    }
    ahead_us
}

/// What is left of each limit, from how full each was when one of each was taken, or none at all.
pub(crate) fn quotas(limits: &[Bucket], states: &str) -> Vec<Quota> {
    let ahead_us = ahead(limits.len(), states);
    let mut quotas: Vec<Quota> =
        limits.iter().zip(ahead_us).map(|(limit, ahead_us)| limit.quota(ahead_us, 0)).collect();
    if quotas.iter().all(|quota| quota.wait_us == 0) {
        for (quota, limit) in quotas.iter_mut().zip(limits) {
            *quota = Quota { wait_us: 0, ..limit.quota(quota.full_in_us, limit.interval_us) };
        }
    }
    quotas
}

impl Bucket {
    /// A limit whose whole minute may be taken at once; 0 counts as 1.
    #[must_use]
    pub fn per_minute(key: String, per_minute: u32) -> Self {
        Self::from(&Limit::per_minute(key, per_minute))
    }

    fn tolerance_us(&self) -> u64 {
        self.interval_us.saturating_mul(u64::from(self.burst.max(1)))
    }

    /// What is left, if it was not full for `ahead_us` and `taken_us` more is taken.
    fn quota(&self, ahead_us: u64, taken_us: u64) -> Quota {
        let (interval_us, full_in_us) = (self.interval_us.max(1), ahead_us.saturating_add(taken_us));
        Quota {
            wait_us: ahead_us.saturating_add(interval_us).saturating_sub(self.tolerance_us()),
            remaining: self.tolerance_us().saturating_sub(full_in_us) / interval_us,
            full_in_us,
        }
    }
}

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
        let limits: Vec<Bucket> = limits.into_iter().map(Into::into).collect();
        let wait_us = self.take_quotas(&limits).await?.iter().map(|quota| quota.wait_us).max().unwrap_or_default();
        Ok(if wait_us > 0 { Err(RetryAfterMs(wait_us.div_ceil(1_000))) } else { Ok(()) })
    }

    /// As [`Self::take_rate`], and says what is left of each limit, in their order. If one says to wait, none was taken.
    ///
    /// # Errors
    /// As [`Self::take_rate`].
    pub async fn take_quotas(&self, limits: &[Bucket]) -> Result<Vec<Quota>, StorageError> {
        const QUERY: &str = "take_rate";
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let Asked { table, mut parameters, limits: asked } = asked(limits, 1);
        parameters.insert(0, asked);
        let sql = format!(
            "WITH {table} INSERT INTO quota_takes (limits, now_us, retry_after_us, states)
             SELECT ?1, now_ms() * 1000, {RETRY_AFTER_US}, {STATES} RETURNING states"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let states = rows.first().map(|row| row.columns(QUERY).optional_text().map(Option::unwrap_or_default));
        Ok(quotas(limits, states.transpose()?.unwrap_or_default()))
    }

    /// What is left of each limit, in their order, without taking any. One from which nothing can be taken now says how long to wait.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn quotas(&self, limits: &[Bucket]) -> Result<Vec<Quota>, StorageError> {
        const QUERY: &str = "quotas";
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let Asked { table, parameters, .. } = asked(limits, 0);
        let sql = format!("SELECT states FROM (WITH {table} SELECT {STATES} AS states) AS found");
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let states = rows.first().map(|row| row.columns(QUERY).optional_text().map(Option::unwrap_or_default));
        let ahead_us = ahead(limits.len(), states.transpose()?.unwrap_or_default());
        Ok(limits.iter().zip(ahead_us).map(|(limit, ahead_us)| limit.quota(ahead_us, 0)).collect())
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
