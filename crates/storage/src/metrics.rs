//! Metrics of the whole installation: what instances observed is added, what the database counts with its own rows is in triggers of `0032`, and both are read
//! as sums. What is there at this moment is counted when it is asked (docs/adr/0049).
//!
//! Nothing here is about a person.

use domain::Id;
use metrics::{MAX_LABELS, Sample, VALUE, table};
use serde_json::json;

use crate::{
    Database, Row, Statement, StorageError, Store,
    database::storable,
    runs::{ABANDONED, ACTIVE},
    tool_tasks::{HAS_QUESTION, HAS_TASK},
};

/// The values of a metric's first label that have series of their own, such as models or tools: more than an installation uses, few enough that the series
/// of all metrics stay some thousands.
const MAX_NAMES: i64 = 100;

/// A name that was not counted for so long makes room for another, where all places are taken: a month of billing is over by then.
const UNUSED_MS: i64 = 35 * 24 * 60 * 60 * 1000;
/// Changes in one statement, during which SQLite lets nobody else write: some ten milliseconds.
const MAX_CHANGES: i64 = 5_000;
/// Statements at once. What is left is for the next time.
const MAX_FOLDS: u32 = 40;
/// One of 256 additions makes the totals too.
const FOLDS_AT: &str = "00";

/// The most sessions that are counted: some ten milliseconds of the database, which reads a row for each.
const MAX_SESSIONS: u32 = 10_000;

/// A run that waits longer waits for its person to come back, not for an executor.
const MAX_QUEUE_AGE_MS: i64 = 10 * 60 * 1000;

/// The states of runs that have not ended, as the metric names them.
const RUN_STATES: [&str; 4] = ["queued", "running", "awaiting_approval", "awaiting_task"];

fn read(query: &'static str, row: &Row) -> Result<Sample, StorageError> {
    let mut columns = row.columns(query);
    let metric = columns.text()?.to_owned();
    let mut labels = [const { String::new() }; MAX_LABELS];
    for label in &mut labels {
        columns.text()?.clone_into(label);
    }
    Ok(Sample { metric, labels, bucket: columns.integer()?, value: columns.integer()? })
}

impl<D: Database> Store<D> {
    /// Adds what an instance has observed. It waits for nobody who does the same. If the answer is lost, nobody knows whether it was added; then it is lost
    /// rather than counted twice.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_metrics(&self, samples: &[Sample]) -> Result<(), StorageError> {
        let samples: Vec<_> = samples
            .iter()
            .map(|Sample { metric, labels, bucket, value }| {
                let labels = labels.clone().map(storable);
                json!({ "metric": metric, "labels": labels, "bucket": bucket, "value": value })
            })
            .collect();
        let sql = "INSERT INTO metric_additions (samples) VALUES (?1)";
        let parameters = [serde_json::to_string(&samples)?.into()];
        self.database.query(Statement::new("add_metrics", sql, parameters)).await?;
        // So that they do not pile up where nobody reads them, nor asks `auth` for anything. An id's end is random. If it fails, whoever comes next does it:
        // what was to be added is there.
        if Id::new().to_string().ends_with(FOLDS_AT) {
            let _ = self.fold_metrics().await;
        }
        Ok(())
    }

    /// Adds what was counted to the totals, up to some hundred thousand changes. It may be done by anybody, at any time, also by several at once.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fold_metrics(&self) -> Result<(), StorageError> {
        const QUERY: &str = "fold_metrics";
        let sql = format!(
            "INSERT INTO metric_folds (max_names, max_changes, unused_since, folded_at, waiting)
             SELECT {MAX_NAMES}, {MAX_CHANGES}, now_ms() - {UNUSED_MS}, now_ms(),
                 (SELECT count(*) FROM (SELECT 1 AS one FROM metric_changes LIMIT {MAX_CHANGES} + 1) AS found)
             RETURNING waiting"
        );
        for _ in 0..MAX_FOLDS {
            let rows = self.database.query(Statement::new(QUERY, sql.as_str(), []).repeatably()).await?;
            let waiting = rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())?;
            if waiting <= MAX_CHANGES {
                break;
            }
        }
        Ok(())
    }

    /// The totals, with everything that was counted up to now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn metric_totals(&self) -> Result<Vec<Sample>, StorageError> {
        const QUERY: &str = "metric_totals";
        self.fold_metrics().await?;
        let sql = "SELECT metric, label_1, label_2, label_3, label_4, bucket, value FROM metric_totals";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.iter().map(|row| read(QUERY, row)).collect()
    }

    /// What is there at this moment: sessions, runs, questions, and how far budgets are used.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn metric_gauges(&self) -> Result<Vec<Sample>, StorageError> {
        const QUERY: &str = "metric_gauges";
        let [active_runs, queue_age] = [table::ACTIVE_RUNS.name, table::QUEUE_AGE.name];
        let [approvals, sessions] = [table::APPROVALS_WAITING.name, table::ACTIVE_SESSIONS.name];
        let budgets = table::BUDGET_USED.name;
        let [queued, running, awaiting_approval, awaiting_task] = RUN_STATES;
        let none = format!("'', '', {VALUE}");
        let active = format!("state IN {ACTIVE} AND NOT {ABANDONED}");
        let sql = format!(
            "SELECT '{active_runs}', active.state, '', {none}, count(*) FROM (
                 SELECT CASE WHEN state = 'queued' THEN '{queued}' WHEN state = 'processing' THEN '{running}'
                     WHEN {HAS_TASK} AND NOT {HAS_QUESTION} THEN '{awaiting_task}' ELSE '{awaiting_approval}' END AS state
                 FROM runs WHERE {active}
             ) AS active GROUP BY active.state
             UNION ALL SELECT '{queue_age}', '', '', {none}, CAST(COALESCE((now_ms() - MIN(created_at)) * 1000, 0) AS bigint)
             FROM runs WHERE {active} AND state = 'queued' AND created_at > now_ms() - {MAX_QUEUE_AGE_MS}
             UNION ALL SELECT '{approvals}', '', '', {none}, count(*) FROM runs JOIN approvals ON approvals.run_id = runs.id
             WHERE {active} AND state = 'awaiting_approval' AND approvals.decision IS NULL AND approvals.expires_at > now_ms()
             UNION ALL SELECT '{sessions}', '', '', {none}, count(*) FROM (
                 SELECT 1 AS one FROM sessions WHERE revoked_at IS NULL AND expires_at > now_ms() LIMIT {MAX_SESSIONS}
             ) AS open_sessions
             UNION ALL SELECT '{budgets}', used.subject, used.kind, {none}, CAST(MAX(used.share) AS bigint) FROM (
                 SELECT CASE WHEN subject LIKE 'user:%' THEN 'user' WHEN subject LIKE 'group:%' THEN 'group'
                         WHEN subject LIKE 'key:%' THEN 'key' ELSE 'installation' END AS subject,
                     kind, CASE WHEN amount > 0 THEN taken * 1000 / amount * 1000 ELSE 1000000 END AS share
                 FROM budgets
             ) AS used GROUP BY used.subject, used.kind"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let mut samples = rows.iter().map(|row| read(QUERY, row)).collect::<Result<Vec<_>, _>>()?;
        let is_there = |samples: &[Sample], state| {
            samples.iter().any(|Sample { metric, labels: [label, ..], .. }| metric == active_runs && label == state)
        };
        for state in RUN_STATES {
            if !is_there(&samples, state) {
                let labels = [state.to_owned(), String::new(), String::new(), String::new()];
                samples.push(Sample { metric: active_runs.to_owned(), labels, bucket: VALUE, value: 0 });
            }
        }
        Ok(samples)
    }
}
