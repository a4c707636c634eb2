//! Brings what is stored to the newest keys, in the background: seals the rows of earlier releases, and wraps data keys again after a rotation.
//!
//! Both go on in small steps, and a host that dies in the middle of one leaves nothing half done: a row is changed only if it is as it was read. How far
//! the rows are is kept in `sealing_progress`; of all hosts, one at a time takes a step. Reading works all the time (see [`crate::data_keys`]).

use vault::{Place, VaultError, WrappedKey};

use crate::{
    Database, DatabaseError, Row, Statement, StorageError, Store, Value, second_factors, tool_connections::part,
};

/// The most rows of a step.
const ROWS: usize = 32;
/// The most bytes of a step, but for one row, which may be longer: some ten milliseconds of sealing, and little of an instance's memory.
const STEP_BYTES: usize = 1024 * 1024;
/// How long a step may take before another host takes it, too.
const CLAIM_MS: i64 = 10_000;
/// When the second pass begins, after the migration: an hour after the first one. By then, nothing that was begun in clear goes on.
const SECOND_PASS_AFTER_MS: i64 = 2 * 60 * 60 * 1000;
/// What the second pass reads again of tables whose keys begin with a time: a run that waits for a task lives for 30 days.
const SECOND_PASS_REACHES_MS: i64 = 31 * 24 * 60 * 60 * 1000;
/// When a table is looked through again of which rows were skipped: somebody has to do something about their keys first.
const AGAIN_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// A table with columns that are sealed.
struct Target {
    table: &'static str,
    /// The columns of its key.
    key: (&'static str, Second),
    /// The SQL condition for the rows after `?1` and `?2`, and their order.
    after: &'static str,
    order: &'static str,
    /// The SQL condition that joins the table with `new`.
    joined: &'static str,
    /// The SQL of a row's person.
    person: &'static str,
    columns: &'static [&'static str],
    /// For secrets, which callers keep sealed (`secrets.rs`): the SQL of their server and of their name. A connection's columns have names of their own.
    secrets: Option<(&'static str, &'static str)>,
    /// Whether keys begin with a time (UUIDv7) and rows do not change long after it.
    is_chronological: bool,
}

const TARGETS: [Target; 8] = [
    Target {
        table: "conversations",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "conversations.id = new.key_1",
        person: "user_id",
        columns: &["title"],
        secrets: None,
        is_chronological: false,
    },
    Target {
        table: "messages",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "messages.id = new.key_1",
        person: "(SELECT user_id FROM conversations WHERE conversations.id = messages.conversation_id)",
        columns: &["content", "tool_calls", "reasoning", "echo", "title"],
        secrets: None,
        is_chronological: true,
    },
    Target {
        table: "run_events",
        key: ("run_id", Second::Number("last_id")),
        after: "(run_id, last_id) > (?1, ?2)",
        order: "run_id, last_id",
        joined: "run_events.run_id = new.key_1 AND run_events.last_id = CAST(new.key_2 AS bigint)",
        person: "(SELECT user_id FROM runs WHERE runs.id = run_events.run_id)",
        columns: &["frames"],
        secrets: None,
        is_chronological: true,
    },
    Target {
        table: "runs",
        key: ("id", Second::None),
        after: "id > ?1",
        order: "id",
        joined: "runs.id = new.key_1",
        person: "user_id",
        columns: &["error_message"],
        secrets: None,
        is_chronological: true,
    },
    Target {
        table: "tool_tasks",
        key: ("run_id", Second::Text("call_id")),
        after: "(run_id, call_id) > (?1, ?2)",
        order: "run_id, call_id",
        joined: "tool_tasks.run_id = new.key_1 AND tool_tasks.call_id = new.key_2",
        person: "user_id",
        columns: &["title", "message", "result"],
        secrets: None,
        is_chronological: false,
    },
    Target {
        table: "tool_secrets",
        key: ("user_id", Second::Text("server || ' ' || name")),
        after: "(user_id, server || ' ' || name) > (?1, ?2)",
        order: "user_id, server || ' ' || name",
        joined: "tool_secrets.user_id = new.key_1 AND tool_secrets.server || ' ' || tool_secrets.name = new.key_2",
        person: "user_id",
        columns: &["sealed"],
        secrets: Some(("server", "name")),
        is_chronological: false,
    },
    Target {
        table: "second_factors",
        key: ("user_id", Second::None),
        after: "user_id > ?1",
        order: "user_id",
        joined: "second_factors.user_id = new.key_1",
        person: "user_id",
        columns: &["sealed"],
        secrets: Some(("''", "''")),
        is_chronological: false,
    },
    Target {
        table: "tool_connections",
        key: ("user_id", Second::Text("server")),
        after: "(user_id, server) > (?1, ?2)",
        order: "user_id, server",
        joined: "tool_connections.user_id = new.key_1 AND tool_connections.server = new.key_2",
        person: "user_id",
        columns: &["authority", "access_token", "refresh_token"],
        secrets: Some(("server", "''")),
        is_chronological: false,
    },
];

/// The second column of a table's key.
#[derive(Clone, Copy)]
enum Second {
    None,
    Number(&'static str),
    Text(&'static str),
}

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
    /// Its person's key cannot be used now.
    Skipped,
}

impl Target {
    fn read_sql(&self) -> String {
        let (first, columns, person) = (self.key.0, self.columns.join(", "), self.person);
        let second = match self.key.1 {
            Second::None => "''".to_owned(),
            Second::Number(column) => format!("CAST({column} AS text)"),
            Second::Text(column) => column.to_owned(),
        };
        let (server, name) = self.secrets.unwrap_or(("''", "''"));
        let size: Vec<String> =
            self.columns.iter().map(|column| format!("COALESCE(octet_length({column}), 0)")).collect();
        let (size, order) = (size.join(" + "), self.order);
        format!(
            "SELECT key_1, key_2, person, server_of, name_of, {columns} FROM (
                 SELECT next.*, SUM(size) OVER (ORDER BY place) AS running FROM (
                     SELECT {first} AS key_1, {second} AS key_2, {person} AS person, {server} AS server_of, {name} AS name_of, {columns},
                         {size} AS size, ROW_NUMBER() OVER (ORDER BY {order}) AS place
                     FROM {} WHERE {} ORDER BY {order} LIMIT {ROWS}) AS next) AS summed
             WHERE running - size < {STEP_BYTES} ORDER BY place",
            self.table, self.after
        )
    }

    /// The parameters of [`Self::read_sql`] for the rows after one.
    fn after(&self, passed: &str) -> Vec<Value> {
        let (first, second) = passed.split_once(' ').unwrap_or((passed, ""));
        match self.key.1 {
            Second::None => vec![first.into()],
            Second::Number(_) => vec![first.into(), second.parse::<i64>().unwrap_or_default().into()],
            Second::Text(_) => vec![first.into(), second.into()],
        }
    }

    /// The SQL that changes `count` rows which are as they were read, each with its key and with the old and the new value of each column.
    fn write_sql(&self, count: usize) -> String {
        let width = 2 + 2 * self.columns.len();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|place| format!("?{}", row * width + place)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..count).map(row).collect();
        let names: Vec<String> = self.columns.iter().map(|column| format!("old_{column}, new_{column}")).collect();
        let sets: Vec<String> = self.columns.iter().map(|column| format!("{column} = new.new_{column}")).collect();
        let unchanged = |column: &&str| format!("{}.{column} IS NOT DISTINCT FROM new.old_{column}", self.table);
        let unchanged: Vec<String> = self.columns.iter().map(unchanged).collect();
        format!(
            "WITH new (key_1, key_2, {}) AS (VALUES {}) UPDATE {} SET {} FROM new WHERE {} AND {}",
            names.join(", "),
            rows.join(", "),
            self.table,
            sets.join(", "),
            self.joined,
            unchanged.join(" AND ")
        )
    }

    /// Where the second pass begins.
    fn second_pass(&self, began_at: i64) -> String {
        if !self.is_chronological {
            return String::new();
        }
        // The beginning of a UUIDv7 is its time in milliseconds (RFC 9562, 5.7).
        let time = format!("{:012x}", began_at.saturating_sub(SECOND_PASS_REACHES_MS).max(0));
        time.split_at_checked(8).map_or_else(String::new, |(high, low)| format!("{high}-{low}"))
    }
}

/// The name that a column's secret is sealed under.
fn secret_name<'a>(target: &Target, column: &str, stored: &'a str) -> &'a str {
    match (target.table, column) {
        ("second_factors", _) => second_factors::SECRET,
        ("tool_connections", "authority") => part::AUTHORITY,
        ("tool_connections", "access_token") => part::ACCESS,
        ("tool_connections", _) => part::REFRESH,
        _ => stored,
    }
}

/// The name of a row: its key's columns, with a space between.
fn row_name(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first} {second}") }
}

impl<D: Database> Store<D> {
    /// Seals the next rows of earlier releases, if there are any and no other host does. `false`: there is nothing to do now.
    ///
    /// # Errors
    /// Those of the database, and those of keys. The step is taken again later.
    pub async fn seal_next_rows(&self) -> Result<bool, StorageError> {
        let Some(step) = self.take_sealing_step().await? else { return Ok(false) };
        const QUERY: &str = "rows_to_seal";
        let statement = Statement::new(QUERY, step.target.read_sql(), step.target.after(&step.passed));
        let rows = self.database.query(statement).await?;
        let (mut passed, mut changed, mut skipped) = (String::new(), Vec::new(), 0_u64);
        for row in &rows {
            let (name, looked) = self.seal_row(step.target, QUERY, row).await?;
            passed = name;
            match looked {
                Looked::Done => {}
                Looked::Changed(values) => changed.push(values),
                Looked::Skipped => skipped = skipped.saturating_add(1),
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
        self.end_sealing_step(&step, &passed, rows.len(), skipped).await?;
        Ok(true)
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
        let key = match self.secrets_key(user_id).await {
            Ok(key) => key,
            // What is left of somebody who was erased is erased by whoever erases them.
            Err(StorageError::KeyDestroyed | StorageError::Database(DatabaseError::Orphaned { .. })) => {
                return Ok((name, Looked::Done));
            }
            // Missing, or changed outside.
            Err(
                StorageError::MasterKeyMissing(_)
                | StorageError::Vault(VaultError::Unopenable)
                | StorageError::Row { .. },
            ) => return Ok((name, Looked::Skipped)),
            Err(error) => return Err(error),
        };
        let mut values: Vec<Value> = vec![first.into(), second.into()];
        let mut is_changed = false;
        for column in target.columns {
            let stored = columns.optional_text()?;
            let old = stored.map_or(Value::Null, |text| Value::Text(text.to_owned()));
            let new = match (stored, target.secrets) {
                (None, _) => None,
                (Some(text), None) => key.sealed_word(Place { table: target.table, row: &name, column }, text)?,
                (Some(text), Some(_)) => key.resealed(server, secret_name(target, column, secret), text)?,
            };
            is_changed |= new.is_some();
            values.extend([old.clone(), new.map_or(old, Value::Text)]);
        }
        Ok((name, if is_changed { Looked::Changed(values) } else { Looked::Done }))
    }

    async fn take_sealing_step(&self) -> Result<Option<Step>, StorageError> {
        const QUERY: &str = "take_sealing_step";
        // The condition stands twice: of two hosts that choose the same row, the second one finds it changed.
        let due = "finished_at IS NULL AND due_at <= now_ms()";
        // Nearly always nothing is due, and a question does not wait for its turn to write.
        let asked = format!("SELECT 1 FROM sealing_progress WHERE {due} LIMIT 1");
        if self.database.query(Statement::new("sealing_is_due", asked, [])).await?.is_empty() {
            return Ok(None);
        }
        let sql = format!(
            "UPDATE sealing_progress SET due_at = now_ms() + {CLAIM_MS}
             WHERE {due} AND name = (SELECT name FROM sealing_progress WHERE {due} ORDER BY pass, name LIMIT 1)
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

    /// Keeps how far a step came. Nothing, if another host has taken it meanwhile. A table of which rows were skipped is never finished.
    async fn end_sealing_step(&self, step: &Step, passed: &str, seen: usize, skipped: u64) -> Result<(), StorageError> {
        let set = match (seen, step.pass) {
            (0, 1) => format!(
                "pass = 2, passed = CASE WHEN skipped > 0 THEN '' ELSE ?4 END, due_at = began_at + {SECOND_PASS_AFTER_MS}"
            ),
            (0, _) => format!(
                "passed = CASE WHEN skipped > 0 THEN '' ELSE ?4 END, due_at = now_ms() + {AGAIN_AFTER_MS},
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
        let sql = format!("UPDATE sealing_progress SET {set} WHERE name = ?1 AND pass = ?2 AND passed = ?3");
        let parameters = [step.target.table.into(), step.pass.into(), step.passed.as_str().into(), passed.into()];
        self.database.query(Statement::new("end_sealing_step", sql, parameters)).await?;
        Ok(())
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

    /// How far the rows of earlier releases are. `None`: all are sealed. Needs no key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sealing_progress(&self) -> Result<Option<SealingProgress>, StorageError> {
        const QUERY: &str = "sealing_progress";
        let sql =
            "SELECT CAST(SUM(CASE WHEN pass > 1 THEN total WHEN seen > total THEN total ELSE seen END) AS bigint),
                 CAST(SUM(total) AS bigint), SUM(CASE WHEN pass = 1 THEN 1 ELSE 0 END) FROM sealing_progress";
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
        let places: Vec<String> = (1..=older.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "SELECT user_id, id, wrapped, master_key FROM data_keys WHERE master_key IN ({}) AND wrapped <> ''
             ORDER BY master_key, user_id LIMIT {ROWS}",
            places.join(", ")
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
