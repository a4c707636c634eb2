//! New data keys for people whose keys somebody else may have. The key before opens what it sealed until all of that is sealed anew in the background
//! (`sealing.rs`), and then goes.
//!
//! First everybody gets a new key, and then all rows are looked through, so whoever is killed in between begins again and loses nothing: a former key goes
//! only after rows were looked through that was begun later than its successor.

use domain::Id;
use vault::WrappedKey;

use crate::{
    Database, Statement, StorageError, Store, Value,
    audit::AuditEvent,
    sealing_targets::{ROWS, TARGETS},
};

/// When rows are looked through after the keys were made: longer than an instance keeps a key, so that nothing is sealed with a former one any more.
const BEGINS_AFTER_MS: i64 = 2 * 60 * 1000;
/// As in the migrations: rows are looked through from an hour after `began_at` on.
const WAITED_MS: i64 = 60 * 60 * 1000;

/// What came of giving people new keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// So many people have a new key, and everything is being sealed anew.
    Begun(u64),
    /// Hosts of an earlier release may run for an hour after an upgrade, so nothing was changed.
    TooEarly,
}

impl<D: Database> Store<D> {
    /// Gives everybody a new data key, and the installation for details, or one person, and has what people's keys sealed sealed anew. Whose key is being replaced already keeps that one.
    ///
    /// # Errors
    /// Those of the database, and those of keys: without the master key, nobody gets a new key.
    pub async fn rotate_data_keys(&self, person: Option<Id>, by: Id) -> Result<Rotation, StorageError> {
        if !self.seals_names().await? {
            return Ok(Rotation::TooEarly);
        }
        let mut count = 0_u64;
        let mut after = String::new();
        while let Some((last, made)) = self.rotate_next_data_keys(person, &after).await? {
            (after, count) = (last, count.saturating_add(made));
        }
        if person.is_none() {
            self.replace_details_key().await?;
        }
        self.look_through_everything().await?;
        let whom = person.map_or_else(|| "all".to_owned(), |person| person.to_string());
        self.append_audit(&AuditEvent { detail: Some(&whom), ..AuditEvent::new(by, "key.rotate", "data") }).await?;
        Ok(Rotation::Begun(count))
    }

    /// The next people after one: the last of them, and how many of them got a new key.
    async fn rotate_next_data_keys(
        &self,
        person: Option<Id>,
        after: &str,
    ) -> Result<Option<(String, u64)>, StorageError> {
        const QUERY: &str = "data_keys_to_rotate";
        let sql = format!(
            "SELECT user_id, id, wrapped, master_key FROM data_keys
             WHERE wrapped <> '' AND former_id IS NULL AND user_id > ?1 AND (CAST(?2 AS text) IS NULL OR user_id = ?2) ORDER BY user_id LIMIT {ROWS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, [after.into(), person.into()])).await?;
        let masters = self.sealing_masters().await?;
        let (mut values, mut written, mut last) = (Vec::<Value>::new(), Vec::new(), None);
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let user_id = columns.text()?;
            let [id, wrapped, master_key] = [columns.text()?, columns.text()?, columns.text()?].map(str::to_owned);
            let old = WrappedKey { id, wrapped, master_key };
            // One that cannot be opened must not become a former key: somebody has to do something about it first.
            self.unwrap_with_any(user_id, &old, &[]).await?;
            let new = masters.new_data_key(user_id)?;
            let at = values.len();
            written.push(format!("(?{}, ?{}, ?{}, ?{}, ?{})", at + 1, at + 2, at + 3, at + 4, at + 5));
            values.extend([user_id.into(), old.id.into(), new.id.into(), new.wrapped.into(), new.master_key.into()]);
            last = Some(user_id.to_owned());
        }
        let Some(last) = last else { return Ok(None) };
        let sql = format!(
            "WITH new (user_id, old_id, id, wrapped, master_key) AS (VALUES {})
             UPDATE data_keys SET former_id = data_keys.id, former_wrapped = data_keys.wrapped, former_master_key = data_keys.master_key,
                 id = new.id, wrapped = new.wrapped, master_key = new.master_key, created_at = now_ms()
             FROM new WHERE data_keys.user_id = new.user_id AND data_keys.id = new.old_id AND data_keys.former_id IS NULL
             RETURNING data_keys.user_id",
            written.join(", ")
        );
        let made = self.database.query(Statement::new("rotate_data_keys", sql, values).durably()).await?.len();
        Ok(Some((last, u64::try_from(made).unwrap_or_default())))
    }

    /// Has all rows of all tables looked through, from two minutes on and once more an hour later.
    async fn look_through_everything(&self) -> Result<(), StorageError> {
        let rows = TARGETS.map(|target| {
            let table = target.table;
            format!(
                "SELECT '{table}', 1, '', 0, (SELECT COUNT(*) FROM {table}), now_ms() - {WAITED_MS}, now_ms() + {BEGINS_AFTER_MS}"
            )
        });
        let sql = format!(
            "INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at) SELECT * FROM ({}) AS tables WHERE 1 = 1
             ON CONFLICT (name) DO UPDATE SET pass = 1, passed = '', seen = 0, total = excluded.total, began_at = excluded.began_at,
                 due_at = excluded.due_at, finished_at = NULL, skipped = 0",
            rows.join(" UNION ALL ")
        );
        self.database.query(Statement::new("look_through_everything", sql, []).durably().repeatably()).await?;
        Ok(())
    }

    /// Deletes former keys that nothing needs any more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_former_data_keys(&self) -> Result<(), StorageError> {
        if self.former_data_keys().await? == 0 {
            return Ok(());
        }
        let tables = TARGETS.len();
        let sql = format!(
            "UPDATE data_keys SET former_id = NULL, former_wrapped = NULL, former_master_key = NULL
             WHERE former_id IS NOT NULL AND {tables} = (SELECT COUNT(*) FROM sealing_progress
                 WHERE sealing_progress.finished_at IS NOT NULL AND sealing_progress.began_at + {WAITED_MS} >= data_keys.created_at)"
        );
        self.database.query(Statement::new("forget_former_keys", sql, []).durably().repeatably()).await?;
        Ok(())
    }

    /// How many people's keys are being replaced.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn former_data_keys(&self) -> Result<i64, StorageError> {
        const QUERY: &str = "former_data_keys";
        let sql = "SELECT COUNT(*) FROM data_keys WHERE former_id IS NOT NULL";
        let rows = self.database.query(Statement::new(QUERY, sql, [])).await?;
        rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())
    }
}
