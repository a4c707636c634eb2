//! Shared by exporting and importing: reading a table in its order, and summarizing its content.

use anyhow::{Context as _, Result};

use crate::file::{Count, Tally, row_line};
use crate::progress::Progress;
use crate::schema::Table;
use crate::session::DatabaseSession;

/// Reads all rows of a table, passes on the line of each, and counts them.
pub(crate) async fn read_table(
    session: &mut DatabaseSession,
    table: &Table,
    progress: &mut Progress,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Tally> {
    let mut count = Count::default();
    let dialect = session.dialect();
    let sql = table.select(dialect);
    let read = session.select(&sql, |row| {
        table.check(&row, dialect)?;
        let line = row_line(&row)?;
        count.add(&line);
        progress.row();
        each(&line)
    });
    read.await.with_context(|| format!("cannot copy the table {}", table.name))?;
    Ok(count.tally(&table.name))
}

/// Prints the content of a file beside that of a database. Returns whether they are the same.
pub(crate) fn compare(file: &[Tally], database: &[Tally]) -> bool {
    /// How many characters of a hash are shown: enough to see a difference.
    const SHOWN: usize = 16;
    println!("{:16} {:>12} {:>12}  {:SHOWN$}  {:SHOWN$}", "table", "file", "database", "sha256", "sha256");
    let mut same = file.len() == database.len();
    for there in database {
        let here = file.iter().find(|tally| tally.name == there.name);
        let verdict = if here == Some(there) { "" } else { "  DIFFERENT" };
        same &= here == Some(there);
        let (rows, hash) = here.map_or(("-".to_owned(), "-"), |tally| (tally.rows.to_string(), &tally.sha256));
        println!("{:16} {rows:>12} {:>12}  {hash:.SHOWN$}  {:.SHOWN$}{verdict}", there.name, there.rows, there.sha256);
    }
    same
}
