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
    data_keys::unusable,
    sealing_targets::{ROWS, TARGETS},
};

/// When rows are looked through after the keys were made: the former ones seal for two minutes more (`data_keys.rs`), and instances keep them for one.
const BEGINS_AFTER_MS: i64 = 4 * 60 * 1000;
/// As in the migrations: rows are looked through from an hour after `began_at` on.
const WAITED_MS: i64 = 60 * 60 * 1000;

/// What came of giving people new keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// Everything is being sealed anew.
    Begun {
        /// How many people have a new key.
        made: u64,
        /// How many have not, because theirs cannot be used: its master key is missing, or it is damaged.
        skipped: u64,
    },
    /// Nobody has a key that could be replaced, so nothing was changed.
    Nobody {
        /// As above.
        skipped: u64,
    },
    /// Hosts of an earlier release may run for an hour after an upgrade, so nothing was changed.
    TooEarly,
}

/// A batch of people.
struct Batch {
    last: String,
    made: usize,
    skipped: usize,
}

impl<D: Database> Store<D> {
    /// Gives everybody a new data key, and the installation for details, or one person, and has what people's keys sealed sealed anew. Whose key is being
    /// replaced already keeps that one; whose key cannot be used keeps it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn rotate_data_keys(&self, person: Option<Id>, by: Id) -> Result<Rotation, StorageError> {
        if !self.seals_names().await? {
            return Ok(Rotation::TooEarly);
        }
        let (mut made, mut skipped, mut after) = (0_usize, 0_usize, String::new());
        while let Some(batch) = self.rotate_next_data_keys(person, &after).await? {
            (made, skipped) = (made.saturating_add(batch.made), skipped.saturating_add(batch.skipped));
            after = batch.last;
        }
        let count = |number| u64::try_from(number).unwrap_or_default();
        // Whoever was killed before rows were to be looked through comes here again.
        if made == 0 && self.replaced_data_keys(person).await? == 0 {
            return Ok(Rotation::Nobody { skipped: count(skipped) });
        }
        if person.is_none() {
            self.replace_details_key().await?;
        }
        self.look_through_everything().await?;
        let whom = person.map_or_else(|| "all".to_owned(), |person| person.to_string());
        self.append_audit(&AuditEvent { detail: Some(&whom), ..AuditEvent::new(by, "key.rotate", "data") }).await?;
        Ok(Rotation::Begun { made: count(made), skipped: count(skipped) })
    }

    /// The next people after one. `None`: there are no more.
    async fn rotate_next_data_keys(&self, person: Option<Id>, after: &str) -> Result<Option<Batch>, StorageError> {
        const QUERY: &str = "data_keys_to_rotate";
        let (whose, parameters) = of_person(person, vec![after.into()]);
        let sql = format!(
            "SELECT user_id, id, wrapped, master_key FROM data_keys
             WHERE wrapped <> '' AND former_id IS NULL AND user_id > ?1 {whose} ORDER BY user_id LIMIT {ROWS}"
        );
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        let (mut usable, mut last) = (Vec::new(), None);
        for row in &rows {
            let mut columns = row.columns(QUERY);
            let user_id = columns.text()?;
            let [id, wrapped, master_key] = [columns.text()?, columns.text()?, columns.text()?].map(str::to_owned);
            let old = WrappedKey { id, wrapped, master_key };
            // One that cannot be opened must not become a former key: somebody has to do something about it first.
            match self.unwrap_with_any(user_id, &old, &[]).await {
                Ok(_) => usable.push((user_id.to_owned(), old)),
                Err(error) => unusable(error)?,
            }
            last = Some(user_id.to_owned());
        }
        let Some(last) = last else { return Ok(None) };
        let skipped = rows.len().saturating_sub(usable.len());
        if usable.is_empty() {
            return Ok(Some(Batch { last, made: 0, skipped }));
        }
        let masters = self.sealing_masters().await?;
        let (mut values, mut written) = (Vec::<Value>::new(), Vec::new());
        for (user_id, old) in usable {
            let new = masters.new_data_key(&user_id)?;
            let at = values.len();
            written.push(format!("(?{}, ?{}, ?{}, ?{}, ?{})", at + 1, at + 2, at + 3, at + 4, at + 5));
            values.extend([
                user_id.into(),
                old.wrapped.into(),
                new.id.into(),
                new.wrapped.into(),
                new.master_key.into(),
            ]);
        }
        // Not if it was destroyed or wrapped anew meanwhile.
        let sql = format!(
            "WITH new (user_id, old_wrapped, id, wrapped, master_key) AS (VALUES {})
             UPDATE data_keys SET former_id = data_keys.id, former_wrapped = data_keys.wrapped, former_master_key = data_keys.master_key,
                 id = new.id, wrapped = new.wrapped, master_key = new.master_key, created_at = now_ms(), skipped_at = NULL
             FROM new WHERE data_keys.user_id = new.user_id AND data_keys.wrapped = new.old_wrapped AND data_keys.former_id IS NULL
             RETURNING data_keys.user_id",
            written.join(", ")
        );
        let made = self.database.query(Statement::new("rotate_data_keys", sql, values).durably()).await?.len();
        Ok(Some(Batch { last, made, skipped }))
    }

    /// Has all rows of all tables looked through, from some minutes on and once more an hour later.
    async fn look_through_everything(&self) -> Result<(), StorageError> {
        self.look_through(
            "UPDATE SET pass = 1, passed = '', seen = 0, total = excluded.total, began_at = excluded.began_at,
                 due_at = excluded.due_at, finished_at = NULL, looked_at = NULL, skipped = 0",
        )
        .await
    }

    /// `known` is what is done about a table that is or was looked through already.
    async fn look_through(&self, known: &str) -> Result<(), StorageError> {
        let rows = TARGETS.map(|target| {
            let table = target.table;
            format!(
                "SELECT '{table}', 1, '', 0, (SELECT COUNT(*) FROM {table}), now_ms() - {WAITED_MS}, now_ms() + {BEGINS_AFTER_MS}"
            )
        });
        let sql = format!(
            "INSERT INTO sealing_progress (name, pass, passed, seen, total, began_at, due_at) SELECT * FROM ({}) AS tables WHERE 1 = 1
             ON CONFLICT (name) DO {known}",
            rows.join(" UNION ALL ")
        );
        self.database.query(Statement::new("look_through_everything", sql, []).durably().repeatably()).await?;
        Ok(())
    }

    /// How many tables are, or were, looked through.
    async fn tables_looked_through(&self) -> Result<i64, StorageError> {
        const QUERY: &str = "tables_looked_through";
        let rows = self.database.query(Statement::new(QUERY, "SELECT COUNT(*) FROM sealing_progress", [])).await?;
        rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())
    }

    /// Deletes former keys that nothing needs any more: every table was looked through twice since. If a row of the
    /// person was skipped in one of them, that one is not finished until a later look skips nothing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_former_data_keys(&self) -> Result<(), StorageError> {
        if self.former_data_keys().await? == 0 {
            return Ok(());
        }
        let tables = TARGETS.len();
        // A release before knew fewer tables when it began: those of this one are looked through, too.
        if usize::try_from(self.tables_looked_through().await?).unwrap_or_default() < tables {
            self.look_through("NOTHING").await?;
        }
        let sql = format!(
            "UPDATE data_keys SET former_id = NULL, former_wrapped = NULL, former_master_key = NULL
             WHERE former_id IS NOT NULL AND {tables} = (SELECT COUNT(*) FROM sealing_progress
                 WHERE sealing_progress.looked_at IS NOT NULL AND sealing_progress.began_at + {WAITED_MS} >= data_keys.created_at
                   AND (data_keys.skipped_at IS NULL OR sealing_progress.finished_at IS NOT NULL))"
        );
        self.database.query(Statement::new("forget_former_keys", sql, []).durably().repeatably()).await?;
        Ok(())
    }

    /// How many people's keys are being replaced.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn former_data_keys(&self) -> Result<i64, StorageError> {
        self.replaced_data_keys(None).await
    }

    async fn replaced_data_keys(&self, person: Option<Id>) -> Result<i64, StorageError> {
        const QUERY: &str = "replaced_data_keys";
        let (whose, parameters) = of_person(person, Vec::new());
        let sql = format!("SELECT COUNT(*) FROM data_keys WHERE former_id IS NOT NULL {whose}");
        let rows = self.database.query(Statement::new(QUERY, sql, parameters)).await?;
        rows.first().map_or(Ok(0), |row| row.columns(QUERY).integer())
    }
}

/// The SQL condition for the key of one person, if it is about one. It is there only then: with a condition that may also be empty, nobody's key would be
/// found by its index.
fn of_person(person: Option<Id>, mut parameters: Vec<Value>) -> (String, Vec<Value>) {
    let Some(person) = person else { return (String::new(), parameters) };
    parameters.push(person.into());
    (format!("AND user_id = ?{}", parameters.len()), parameters)
}
