//! Brings what is stored to the newest keys, in the background: seals the rows of earlier releases, and wraps data keys again after a rotation.
//!
//! Both go on in small steps, and a host that dies in the middle of one leaves nothing half done: a row is changed only if it is as it was read. How far
//! the rows are is kept in `sealing_progress`; of all hosts, one at a time takes a step. Reading works all the time (see [`crate::data_keys`]).

use std::collections::BTreeSet;

use domain::Id;
use vault::{Place, VaultError, WrappedKey, looks_sealed};

use crate::{
    Database, DatabaseError, Row, Statement, StorageError, Store, Value, audit_details,
    database::places,
    installation_secrets::OWN_SECRETS,
    master_keys::IS_MASTER,
    sealing_targets::{Kind, ROWS, TARGETS, Target, secret_name},
};

/// The SQL condition for a table whose rows are to be looked at now.
const DUE: &str = "finished_at IS NULL AND due_at <= now_ms()";
/// How long a step may take before another host takes it, too.
const CLAIM_MS: i64 = 10_000;
/// When the second pass begins, after the migration: an hour after the first one. By then, nothing that was begun in clear goes on.
const SECOND_PASS_AFTER_MS: i64 = 2 * 60 * 60 * 1000;
/// When a table is looked through again of which rows were skipped: somebody has to do something about their keys first.
const AGAIN_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// A step that this host has taken.
struct Step {
    target: &'static Target,
    pass: i64,
    /// The key of the last row that was looked at.
    passed: String,
    began_at: i64,
}

/// How far the rows of earlier releases are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealingProgress {
    /// The rows that were looked at.
    pub seen: i64,
    /// All rows that there were when it began.
    pub total: i64,
}

/// What became of a row that was looked at.
enum Looked {
    /// There was nothing to seal, or nobody to seal it for.
    Done,
    /// Its new values, after its key.
    Changed(Vec<Value>),
    /// Its person's key cannot be used now, or the installation's.
    Skipped(Option<Id>),
}

/// The name of a row: its key's columns, with a space between.
fn row_name(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first} {second}") }
}

impl<D: Database> Store<D> {
    /// Whether there is anything for [`Self::seal_next_rows`] or about keys that were replaced: one read, since there seldom is.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn has_encryption_work(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "has_encryption_work";
        let sql = format!(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM sealing_progress WHERE {DUE})
                 OR EXISTS (SELECT 1 FROM data_keys WHERE former_id IS NOT NULL) THEN 1 ELSE 0 END,
                 (SELECT COUNT(*) FROM generated_keys WHERE {IS_MASTER})"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let mut columns = row.columns(QUERY);
        let (waits, made) = (columns.flag()?, usize::try_from(columns.integer()?).unwrap_or_default());
        let configured = self.keyring.master().with_generated(&[])?.map_or(0, |keys| keys.ids().count());
        Ok(waits || configured.saturating_add(made) > 1)
    }

    /// Seals the next rows of earlier releases, if there are any and no other host does. `false`: there is nothing to do now.
    ///
    /// # Errors
    /// Those of the database, and those of keys. The step is taken again later.
    pub async fn seal_next_rows(&self) -> Result<bool, StorageError> {
        let Some(step) = self.take_sealing_step().await? else { return Ok(false) };
        const QUERY: &str = "rows_to_seal";
        let statement = Statement::new(QUERY, step.target.read_sql(), step.target.after(&step.passed));
        let rows = self.database.query(statement).await?;
        self.keys_of_rows(QUERY, &rows).await?;
        let (mut passed, mut changed, mut skipped) = (String::new(), Vec::new(), Vec::new());
        for row in &rows {
            let (name, looked) = self.seal_row(step.target, QUERY, row).await?;
            passed = name;
            match looked {
                Looked::Done => {}
                Looked::Changed(values) => changed.push(values),
                Looked::Skipped(user_id) => skipped.push(user_id),
            }
        }
        if !changed.is_empty() {
            let count = changed.len();
            let statement = Statement::new(
                "seal_rows",
                step.target.write_sql(count),
                changed.into_iter().flatten().collect::<Vec<_>>(),
            );
            self.database.query(statement.repeatably()).await?;
        }
        self.note_skipped(&skipped).await?;
        self.end_sealing_step(&step, &passed, rows.len(), skipped.len()).await?;
        Ok(true)
    }

    /// Reads the keys of the people of a step at once.
    async fn keys_of_rows(&self, query: &'static str, rows: &[Row]) -> Result<(), StorageError> {
        let mut people = BTreeSet::new();
        for row in rows {
            let mut columns = row.columns(query);
            let (_, _, user_id) = (columns.text()?, columns.text()?, columns.optional_id()?);
            people.extend(user_id);
        }
        self.existing_data_keys(people).await.map(drop)
    }

    /// Notes whose rows were skipped: a former key of theirs stays until they were not.
    async fn note_skipped(&self, people: &[Option<Id>]) -> Result<(), StorageError> {
        let people: Vec<Value> = people.iter().flatten().map(|user_id| (*user_id).into()).collect();
        if people.is_empty() {
            return Ok(());
        }
        let places = places(1..=people.len());
        let sql = format!("UPDATE data_keys SET skipped_at = now_ms() WHERE user_id IN ({})", places);
        self.database.query(Statement::new("note_skipped", sql, people).durably().repeatably()).await?;
        Ok(())
    }

    /// Looks at a row. Returns its name, too. The key of one person must not keep the rows of others from being sealed.
    async fn seal_row(
        &self,
        target: &Target,
        query: &'static str,
        row: &Row,
    ) -> Result<(String, Looked), StorageError> {
        let mut columns = row.columns(query);
        let (first, second) = (columns.text()?, columns.text()?);
        let (name, user_id) = (row_name(first, second), columns.optional_id()?);
        let Some(user_id) = user_id else { return Ok((name, Looked::Done)) };
        let (server, secret) = (columns.text()?, columns.text()?);
        if matches!(target.kind, Kind::Details(_)) && audit_details::outlives(server) {
            return self.seal_detail(name, columns.text()?).await;
        }
        let key = match self.secrets_key(user_id).await {
            Ok(key) => key,
            // What is left of somebody who was erased is erased by whoever erases them.
            Err(StorageError::KeyDestroyed | StorageError::Database(DatabaseError::Orphaned { .. })) => {
                return Ok((name, Looked::Done));
            }
            // Missing, or changed outside.
            Err(StorageError::MasterKeyMissing(_) | StorageError::KeyDamaged | StorageError::Row { .. }) => {
                return Ok((name, Looked::Skipped(Some(user_id))));
            }
            Err(error) => return Err(error),
        };
        let mut values: Vec<Value> = vec![first.into(), second.into()];
        let mut is_changed = false;
        for column in target.columns {
            let stored = columns.optional_text()?;
            let old = stored.map_or(Value::Null, |text| Value::Text(text.to_owned()));
            let new = match (stored, &target.kind) {
                (None, _) => None,
                (Some(text), Kind::Secrets(..)) => key.resealed(server, secret_name(target, column, secret), text)?,
                (Some(text), Kind::Texts | Kind::Details(_)) => {
                    key.sealed_word(Place { table: target.table, row: &name, column }, text)?
                }
            };
            is_changed |= new.is_some();
            values.extend([old.clone(), new.map_or(old, Value::Text)]);
        }
        Ok((name, if is_changed { Looked::Changed(values) } else { Looked::Done }))
    }

    /// Looks at a detail that outlives whoever it is about.
    async fn seal_detail(&self, event_id: String, stored: &str) -> Result<(String, Looked), StorageError> {
        if looks_sealed(stored) {
            return Ok((event_id, Looked::Done));
        }
        let sealed = match self.details_key().await {
            Ok(key) => key.seal(audit_details::place(&event_id), stored)?,
            Err(StorageError::MasterKeyMissing(_) | StorageError::KeyDamaged) => {
                return Ok((event_id, Looked::Skipped(None)));
            }
            Err(error) => return Err(error),
        };
        let values = vec![event_id.as_str().into(), "".into(), stored.into(), sealed.into()];
        Ok((event_id, Looked::Changed(values)))
    }

    async fn take_sealing_step(&self) -> Result<Option<Step>, StorageError> {
        const QUERY: &str = "take_sealing_step";
        // The condition stands twice: of two hosts that choose the same row, the second one finds it changed.
        let sql = format!(
            "UPDATE sealing_progress SET due_at = now_ms() + {CLAIM_MS}
             WHERE {DUE} AND name = (SELECT name FROM sealing_progress WHERE {DUE} ORDER BY pass, name LIMIT 1)
             RETURNING name, pass, passed, began_at"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let (name, pass) = (columns.text()?, columns.integer()?);
        let (passed, began_at) = (columns.text()?.to_owned(), columns.integer()?);
        let target = TARGETS.iter().find(|target| target.table == name);
        Ok(target.map(|target| Step { target, pass, passed, began_at }))
    }

    /// Keeps how far a step came. Nothing, if another host has taken it meanwhile, or everything is to be looked through anew. A table of which rows were skipped is never finished.
    async fn end_sealing_step(
        &self,
        step: &Step,
        passed: &str,
        seen: usize,
        skipped: usize,
    ) -> Result<(), StorageError> {
        let set = match (seen, step.pass) {
            (0, 1) => format!(
                "pass = 2, passed = CASE WHEN skipped > 0 THEN '' ELSE ?4 END, due_at = began_at + {SECOND_PASS_AFTER_MS}"
            ),
            (0, _) => format!(
                "passed = CASE WHEN skipped > 0 THEN '' ELSE ?4 END, due_at = now_ms() + {AGAIN_AFTER_MS}, looked_at = now_ms(),
                 finished_at = CASE WHEN skipped > 0 AND passed <> '' THEN NULL ELSE now_ms() END"
            ),
            // Those of the last time are counted until the next time begins.
            _ => format!(
                "passed = ?4, seen = seen + {seen}, due_at = 0,
                 skipped = {skipped} + CASE WHEN passed = '' THEN 0 ELSE skipped END"
            ),
        };
        let passed = match (seen, step.pass) {
            (0, 1) => step.target.second_pass(step.began_at),
            (0, _) => step.passed.clone(),
            _ => passed.to_owned(),
        };
        let sql = format!(
            "UPDATE sealing_progress SET {set} WHERE name = ?1 AND pass = ?2 AND passed = ?3 AND began_at = ?5"
        );
        let parameters = [
            step.target.table.into(),
            step.pass.into(),
            step.passed.as_str().into(),
            passed.into(),
            step.began_at.into(),
        ];
        self.database.query(Statement::new("end_sealing_step", sql, parameters)).await?;
        Ok(())
    }

    /// Which columns are sealed, for the document that says so: with the keys of people, and with a master key.
    #[must_use]
    pub fn sealed_columns() -> Vec<(&'static str, &'static str)> {
        let with_people = TARGETS.iter().flat_map(|target| target.columns.iter().map(|column| (target.table, *column)));
        with_people.chain(OWN_SECRETS.iter().map(|(table, _, column, _)| (*table, *column))).collect()
    }

    /// How many rows of earlier releases were skipped, because the keys of their people cannot be used. They are looked at again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unsealable_rows(&self) -> Result<i64, StorageError> {
        const QUERY: &str = "unsealable_rows";
        let sql = "SELECT CAST(COALESCE(SUM(skipped), 0) AS bigint) FROM sealing_progress WHERE finished_at IS NULL";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())
    }

    /// How far the rows of earlier releases are. `None`: all are sealed, or there were none. Needs no key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sealing_progress(&self) -> Result<Option<SealingProgress>, StorageError> {
        const QUERY: &str = "sealing_progress";
        let sql =
            "SELECT CAST(SUM(CASE WHEN pass > 1 THEN total WHEN seen > total THEN total ELSE seen END) AS bigint),
                 CAST(SUM(total) AS bigint), SUM(CASE WHEN pass = 1 AND total > 0 THEN 1 ELSE 0 END) FROM sealing_progress";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut columns = row.columns(QUERY);
        let (seen, total, unfinished) =
            (columns.optional_integer()?, columns.optional_integer()?, columns.optional_integer()?);
        Ok(match (seen, total, unfinished) {
            (Some(seen), Some(total), Some(1..)) => Some(SealingProgress { seen, total }),
            _ => None,
        })
    }

    /// Wraps the next data keys with the master key that wraps, instead of an older one. `false`: there are none.
    ///
    /// # Errors
    /// Those of the database, and those of keys.
    pub async fn rewrap_next_keys(&self) -> Result<bool, StorageError> {
        const QUERY: &str = "keys_to_rewrap";
        // Another host may have made a newer one.
        let Some(masters) = self.keyring.masters(&self.generated_master_keys().await?)? else { return Ok(false) };
        let older: Vec<Value> = masters.ids().skip(1).map(Value::from).collect();
        if older.is_empty() {
            return Ok(false);
        }
        if self.rewrap_details_keys(&masters, &older).await? {
            return Ok(true);
        }
        let places = places(1..=older.len());
        let sql = format!(
            "SELECT user_id, id, wrapped, master_key FROM data_keys WHERE master_key IN ({}) AND wrapped <> ''
             ORDER BY master_key, user_id LIMIT {ROWS}",
            places
        );
        let rows = self.database.query(Statement::new(QUERY, sql, older)).await?;
        let mut values: Vec<Value> = Vec::new();
        let mut written = Vec::new();
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let user_id = columns.text()?;
            let [id, wrapped, master_key] = [columns.text()?, columns.text()?, columns.text()?].map(str::to_owned);
            let old = WrappedKey { id, wrapped, master_key };
            let new = match masters.rewrap(user_id, &old) {
                // One that was changed outside must not keep the others from it; whoever needs it gets the error.
                Err(VaultError::Unopenable) => continue,
                new => new?,
            };
            let at = values.len();
            written.push(format!("(?{}, ?{}, ?{}, ?{})", at + 1, at + 2, at + 3, at + 4));
            values.extend([user_id.into(), old.wrapped.into(), new.wrapped.into(), new.master_key.into()]);
        }
        if written.is_empty() {
            return Ok(false);
        }
        let sql = format!(
            "WITH new (user_id, old_wrapped, wrapped, master_key) AS (VALUES {})
             UPDATE data_keys SET wrapped = new.wrapped, master_key = new.master_key FROM new
             WHERE data_keys.user_id = new.user_id AND data_keys.wrapped = new.old_wrapped",
            written.join(", ")
        );
        self.database.query(Statement::new("rewrap_keys", sql, values).durably().repeatably()).await?;
        Ok(true)
    }
}
