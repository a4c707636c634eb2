//! The tables, in an order in which rows can be inserted. They are read from the result of the migrations, so no list can become outdated.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use storage::{Dialect, Value, migration::MIGRATIONS};

use crate::session::DatabaseSession;

/// The table of applied migrations. It is not copied, because the importing program has migrated.
const BOOKKEEPING: &str = "schema_migrations";

/// SQLite: tables without views and internal tables, and stored columns.
const SQLITE_COLUMNS: &str = "FROM pragma_table_list AS tables, pragma_table_xinfo(tables.name) AS columns
    WHERE tables.schema = 'main' AND tables.type = 'table' AND tables.name NOT LIKE 'sqlite%' AND columns.hidden = 0";
/// The same for PostgreSQL.
const POSTGRES_COLUMNS: &str = "SELECT table_name, column_name FROM information_schema.tables
    JOIN information_schema.columns USING (table_schema, table_name)
    WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND is_generated = 'NEVER'";

/// A table of this build's schema.
pub(crate) struct Table {
    pub(crate) name: String,
    /// Sorted by name, so that both databases have the same order.
    pub(crate) columns: Vec<Column>,
    /// The primary key: its columns' names.
    key: Vec<String>,
}

/// A column.
pub(crate) struct Column {
    pub(crate) name: String,
    /// Text; otherwise a whole number.
    pub(crate) is_text: bool,
}

impl Table {
    /// Selects all rows in the order of the primary key. Keys are compared by bytes, so the database's language does not matter.
    pub(crate) fn select(&self, dialect: Dialect) -> String {
        let order = self.key.iter().map(|name| {
            let is_text = self.columns.iter().any(|column| column.name == *name && column.is_text);
            let collation = if is_text && dialect == Dialect::Postgres { " COLLATE \"C\"" } else { "" };
            format!("\"{name}\"{collation}")
        });
        let order = order.collect::<Vec<_>>().join(", ");
        format!("SELECT {} FROM \"{}\" ORDER BY {order}", self.list(), self.name)
    }

    /// Inserts one row.
    pub(crate) fn insert(&self, dialect: Dialect) -> String {
        let places = (1..=self.columns.len()).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ");
        dialect.render(&format!("INSERT INTO \"{}\" ({}) VALUES ({places})", self.name, self.list()))
    }

    fn list(&self) -> String {
        self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Checks that a row fits this table in this database.
    pub(crate) fn check(&self, row: &[Value], dialect: Dialect) -> Result<()> {
        ensure!(row.len() == self.columns.len(), "a row of {} has {} values", self.name, row.len());
        for (value, Column { name, is_text }) in row.iter().zip(&self.columns) {
            let fits = match value {
                Value::Null => true,
                Value::Integer(_) => !is_text,
                Value::Text(_) => *is_text,
            };
            ensure!(fits, "a value of {}.{name} does not have the column's type", self.name);
            // In SQLite, releases before the second migration stored it.
            let is_storable = dialect == Dialect::Sqlite || !matches!(value, Value::Text(text) if text.contains('\0'));
            ensure!(
                is_storable,
                "{}.{name} holds the character U+0000, which PostgreSQL cannot store: replace it in the database it came \
                 from, and export again",
                self.name
            );
        }
        Ok(())
    }
}

/// The tables of this build; each comes after the tables it refers to.
pub(crate) fn tables() -> Result<Vec<Table>> {
    let connection = rusqlite::Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        connection.execute_batch(migration.sqlite)?;
    }
    let sql = format!("SELECT tables.name, columns.name, columns.type, columns.pk {SQLITE_COLUMNS} ORDER BY 1, 2");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found: BTreeMap<String, (Vec<Column>, BTreeMap<i64, String>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (table, name, kind): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is_text = match kind.to_lowercase().as_str() {
            "text" => true,
            "bigint" => false,
            _ => bail!("{table}.{name} is {kind}, which a file cannot hold yet"),
        };
        let (columns, key) = found.entry(table).or_default();
        let place: i64 = row.get(3)?;
        if place > 0 {
            key.insert(place, name.clone());
        }
        columns.push(Column { name, is_text });
    }
    let mut references: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for table in found.keys() {
        let mut statement = connection.prepare("SELECT \"table\" FROM pragma_foreign_key_list(?1)")?;
        let named = statement.query_map([table], |row| row.get(0))?.collect::<Result<BTreeSet<String>, _>>()?;
        references.insert(table.clone(), named);
    }
    let mut tables: Vec<Table> = Vec::new();
    while !found.is_empty() {
        let is_there = |name: &String| tables.iter().any(|table| table.name == *name);
        let ready = |name: &String| {
            references.get(name).is_none_or(|named| named.iter().all(|other| other == name || is_there(other)))
        };
        let next = found.keys().find(|name| ready(name)).cloned().context("tables refer to each other in a circle")?;
        let (columns, key) = found.remove(&next).unwrap_or_default();
        ensure!(!key.is_empty(), "{next} has no primary key");
        tables.push(Table { name: next, columns, key: key.into_values().collect() });
    }
    Ok(tables)
}

/// How far a database is migrated.
pub(crate) enum State {
    /// It has no table.
    Empty,
    /// It lacks migrations of this build.
    Older,
    /// It has the schema of this build.
    Current,
}

/// Compares a database with this build. Anything that this build does not know is an error.
pub(crate) async fn state(session: &mut DatabaseSession, tables: &[Table]) -> Result<State> {
    let sql = match session.dialect() {
        Dialect::Sqlite => format!("SELECT tables.name, columns.name {SQLITE_COLUMNS}"),
        Dialect::Postgres => POSTGRES_COLUMNS.to_owned(),
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    session
        .select(&sql, |row| {
            if let [Value::Text(table), Value::Text(column)] = row.as_slice() {
                found.entry(table.clone()).or_default().insert(column.clone());
            }
            Ok(())
        })
        .await?;
    let is_migrated = found.remove(BOOKKEEPING).is_some();
    if found.is_empty() {
        return Ok(State::Empty);
    }
    ensure!(is_migrated, "it contains tables that no migration created: use a separate database");
    if is_older(session).await? {
        return Ok(State::Older);
    }
    for (name, columns) in &found {
        let known = tables.iter().find(|table| table.name == *name);
        let known = known.with_context(|| format!("it has a table {name}, which this release does not know"))?;
        ensure!(
            columns.iter().eq(known.columns.iter().map(|column| &column.name)),
            "its table {name} is not as the migrations make it"
        );
    }
    let lacking = tables.iter().find(|table| !found.contains_key(&table.name));
    lacking.map_or(Ok(State::Current), |table| bail!("its table {} is gone: restore a backup", table.name))
}

/// Whether migrations are missing. Migrations that this build does not have are an error.
async fn is_older(session: &mut DatabaseSession) -> Result<bool> {
    let mut applied = Vec::new();
    session
        .select(&format!("SELECT version, sha256 FROM {BOOKKEEPING} ORDER BY version"), |row| {
            applied.push(row);
            Ok(())
        })
        .await?;
    let dialect = session.dialect();
    let mut ours = MIGRATIONS.iter();
    for row in &applied {
        let Some(migration) = ours.next() else { bail!("its schema is newer than this release: use the newer one") };
        let expected = [migration.version.into(), migration.hash(dialect).into()];
        ensure!(*row == expected, "its migration {} is not the one of this release", migration.version);
    }
    Ok(ours.next().is_some())
}

/// The first of our tables that has a row.
pub(crate) async fn first_with_rows<'a>(
    session: &mut DatabaseSession,
    tables: &'a [Table],
) -> Result<Option<&'a Table>> {
    for table in tables {
        let mut has_rows = false;
        let sql = format!("SELECT 1 FROM \"{}\" LIMIT 1", table.name);
        let row = |_| {
            has_rows = true;
            Ok(())
        };
        session.select(&sql, row).await?;
        if has_rows {
            return Ok(Some(table));
        }
    }
    Ok(None)
}
