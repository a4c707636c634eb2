//! The file that holds a copied database: JSON Lines, which other programs can read too.
//!
//! ```text
//! {"header":{"format":1,"schema":[{"version":1,"name":"...","sqlite_sha256":"...","postgres_sha256":"..."}],"exported_at":"..."}}
//! {"table":{"name":"users","columns":["created_at","email"]}}
//! [1789000000000,"ada@example.org"]
//! {"end":{"tables":[{"name":"users","rows":1,"sha256":"..."}],"sha256":"..."}}
//! ```
//!
//! A table's SHA-256 covers the lines of its rows, in the order of its primary key; the last SHA-256 covers all lines before it. Must not hold
//! more than one line in memory.

use std::io::{BufRead, Read as _, Write};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use storage::{Dialect, Value, migration::MIGRATIONS};

/// The number of the format described above. A different format gets a different number.
pub(crate) const FORMAT: u32 = 1;

/// Far longer than any row of ours. An unrelated file with everything on one line must not fill the memory.
const LINE_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A line that is not a row.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mark {
    Header(Header),
    Table(Head),
    End(End),
}

/// The schema of the rows, and when they were read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: u32,
    pub(crate) schema: Vec<Applied>,
    /// RFC 3339.
    pub(crate) exported_at: String,
}

/// A migration with its hashes for both databases, so that the file is the same for either.
#[derive(Serialize, Deserialize, PartialEq)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    name: String,
    sqlite_sha256: String,
    postgres_sha256: String,
}

/// The table of the following rows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
}

/// The expected content of the file so far.
#[derive(Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) tables: Vec<Tally>,
    pub(crate) sha256: String,
}

/// The content of a table: its number of rows, and their hash.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(crate) struct Tally {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) sha256: String,
}

/// The schema of this build.
pub(crate) fn schema() -> Vec<Applied> {
    let applied = MIGRATIONS.iter().map(|migration| Applied {
        version: migration.version,
        name: migration.name.to_owned(),
        sqlite_sha256: migration.hash(Dialect::Sqlite).to_owned(),
        postgres_sha256: migration.hash(Dialect::Postgres).to_owned(),
    });
    applied.collect()
}

/// A row as a line of the file.
pub(crate) fn row_line(row: &[Value]) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Row(row))?;
    line.push(b'\n');
    Ok(line)
}

struct Row<'a>(&'a [Value]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| match value {
            Value::Null => Cell::Null,
            Value::Integer(integer) => Cell::Integer(*integer),
            Value::Text(text) => Cell::Borrowed(text),
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Cell<'a> {
    Null,
    Integer(i64),
    Text(String),
    #[serde(skip_deserializing)]
    Borrowed(&'a str),
}

/// Counts the rows of a table.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) rows: u64,
    hash: Sha256,
}

impl Count {
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.rows += 1;
        self.hash.update(line);
    }

    pub(crate) fn tally(self, name: &str) -> Tally {
        Tally { name: name.to_owned(), rows: self.rows, sha256: hexadecimal(self.hash) }
    }
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file.
pub(crate) struct Writer<W> {
    sink: W,
    hash: Sha256,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, hash: Sha256::new() }
    }

    pub(crate) fn mark(&mut self, mark: &Mark) -> Result<()> {
        let mut line = serde_json::to_vec(mark)?;
        line.push(b'\n');
        self.line(&line)
    }

    pub(crate) fn line(&mut self, line: &[u8]) -> Result<()> {
        self.hash.update(line);
        self.sink.write_all(line).context("cannot write the file")
    }

    pub(crate) fn end(mut self, tables: Vec<Tally>) -> Result<W> {
        let sha256 = hexadecimal(self.hash.clone());
        self.mark(&Mark::End(End { tables, sha256 }))?;
        self.sink.flush().context("cannot write the file")?;
        Ok(self.sink)
    }
}

/// Reads a file.
pub(crate) struct Reader<R> {
    source: R,
    line: Vec<u8>,
    number: u64,
    hash: Sha256,
}

/// The next entry of a file.
pub(crate) enum Entry {
    Header(Header),
    Table(Head),
    Row(Vec<Value>),
    /// The end; everything before it matched.
    End(End),
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, line: Vec::new(), number: 0, hash: Sha256::new() }
    }

    /// The number of the last line read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line. It is an error if an end does not match the lines before it, or if lines follow it.
    pub(crate) fn next(&mut self) -> Result<Entry> {
        self.line.clear();
        self.number += 1;
        let read = self.source.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut self.line);
        read.context("cannot read the file")?;
        ensure!(!self.line.is_empty(), "the file ends too early: it was not written to its end");
        let entry = self.parse().with_context(|| format!("line {} of the file cannot be read", self.number))?;
        match &entry {
            Entry::End(end) => {
                ensure!(self.source.fill_buf()?.is_empty(), "something follows the end of the file");
                let intact = end.sha256 == hexadecimal(std::mem::take(&mut self.hash));
                ensure!(intact, "the file was changed after it was written: its SHA-256 differs");
            }
            _ => self.hash.update(&self.line),
        }
        Ok(entry)
    }

    fn parse(&self) -> Result<Entry> {
        // The parser's own message would quote the data.
        if self.line.starts_with(b"[") {
            let Ok(cells) = serde_json::from_slice::<Vec<Cell<'_>>>(&self.line) else { bail!("it is no row") };
            let values = cells.into_iter().map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Integer(integer) => Value::Integer(integer),
                Cell::Text(text) => Value::Text(text),
                Cell::Borrowed(text) => Value::Text(text.to_owned()),
            });
            return Ok(Entry::Row(values.collect()));
        }
        let Ok(mark) = serde_json::from_slice(&self.line) else { bail!("it is not a file of `cargo dev export-db`") };
        Ok(match mark {
            Mark::Header(header) => Entry::Header(header),
            Mark::Table(head) => Entry::Table(head),
            Mark::End(end) => Entry::End(end),
        })
    }
}
