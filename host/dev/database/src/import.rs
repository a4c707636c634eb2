//! Copies a file into an empty database. If the result does not match the file, nothing is imported.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use storage::Value;

use crate::copy::{compare, read_table};
use crate::file::{End, Entry, FORMAT, Head, Header, Reader, schema};
use crate::place::Place;
use crate::progress::Progress;
use crate::schema::{State, Table, first_with_rows, state, tables};
use crate::session::DatabaseSession;

/// Rows sent at once: enough to avoid a round trip to a distant server for each.
const BATCH_MAX_ROWS: usize = 500;
/// The approximate amount of text sent at once: a few of the largest rows fit into any memory.
const BATCH_MAX_BYTES: usize = 4 * 1024 * 1024;

pub(crate) async fn run(place: &Place, path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = Reader::new(BufReader::new(file));
    let Entry::Header(header) = reader.next()? else { bail!("{} does not begin as an export does", path.display()) };
    check(&header)?;
    let tables = tables()?;
    if place.exists() {
        // Check before changing anything, in case the user named the wrong database.
        ensure_empty(&mut place.snapshot().await?, place, &tables).await?;
    }
    place.migrate().await?;
    let mut session = place.transaction().await?;
    session.lock(&tables).await?;
    // Check again: now no one else can write.
    ensure_empty(&mut session, place, &tables).await?;

    let end = insert_all(&mut session, &mut reader, &tables).await?;
    let mut read_back = Vec::new();
    let mut progress = Progress::new("reading back");
    for table in &tables {
        read_back.push(read_table(&mut session, table, &mut progress, |_| Ok(())).await?);
    }
    drop(progress);
    ensure!(
        compare(&end.tables, &read_back),
        "the data in {place} differed from the file after the import, so nothing was imported"
    );
    session.commit().await.with_context(|| format!("cannot commit to {place}"))?;
    println!("imported {} of {} into {place}", path.display(), header.exported_at);
    Ok(())
}

/// Checks that the file has this build's format and schema.
fn check(header: &Header) -> Result<()> {
    ensure!(header.format == FORMAT, "the file has format {}, this release reads {FORMAT}", header.format);
    let ours = schema();
    if header.schema == ours {
        return Ok(());
    }
    let version = |schema: &[crate::file::Applied]| schema.last().map_or(0, |applied| applied.version);
    let (theirs, ours) = (version(&header.schema), version(&ours));
    match theirs.cmp(&ours) {
        Ordering::Greater => bail!(
            "the file has schema {theirs}, newer than this release's {ours}: import it with the release that exported it"
        ),
        Ordering::Less => bail!(
            "the file has schema {theirs}, older than this release's {ours}: run `cargo dev migrate` on the database it \
             came from and export it again, or import it with the release that exported it and run `cargo dev migrate` then"
        ),
        Ordering::Equal => {
            bail!("the file has schema {theirs} of another build: import it with the release that exported it")
        }
    }
}

async fn ensure_empty(session: &mut DatabaseSession, place: &Place, tables: &[Table]) -> Result<()> {
    match state(session, tables).await.with_context(|| format!("cannot import into {place}"))? {
        State::Empty => Ok(()),
        State::Older => bail!("{place} is in use, with an older schema: import into an empty database"),
        State::Current => match first_with_rows(session, tables).await? {
            Some(table) => bail!("{place} holds rows already, in {}: import into an empty database", table.name),
            None => Ok(()),
        },
    }
}

/// Inserts every row of the file.
async fn insert_all(session: &mut DatabaseSession, reader: &mut Reader<impl BufRead>, tables: &[Table]) -> Result<End> {
    let mut progress = Progress::new("importing");
    let mut batch = Batch::default();
    let mut table = None;
    loop {
        match reader.next()? {
            Entry::Row(row) => {
                let table = table.context("the file has a row before the first table")?;
                let fits = Table::check(table, &row, session.dialect());
                fits.with_context(|| format!("line {} of the file", reader.number()))?;
                progress.row();
                batch.push(row);
                if batch.is_full() {
                    batch.insert(session, table).await?;
                }
            }
            next => {
                if let Some(table) = table {
                    batch.insert(session, table).await?;
                }
                match next {
                    Entry::Table(head) => table = Some(find(tables, &head)?),
                    Entry::End(end) => return Ok(end),
                    _ => bail!("line {} of the file does not belong there", reader.number()),
                }
            }
        }
    }
}

fn find<'a>(tables: &'a [Table], head: &Head) -> Result<&'a Table> {
    let table = tables.iter().find(|table| table.name == head.name);
    let table =
        table.with_context(|| format!("the file has a table {}, which this release does not know", head.name))?;
    let same = table.columns.iter().map(|column| &column.name).eq(&head.columns);
    ensure!(same, "the table {} has other columns in the file than in this release", head.name);
    Ok(table)
}

/// Rows that wait to be sent.
#[derive(Default)]
struct Batch {
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, row: Vec<Value>) {
        let sizes = row.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 });
        self.bytes += sizes.sum::<usize>();
        self.rows.push(row);
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_MAX_ROWS || self.bytes >= BATCH_MAX_BYTES
    }

    async fn insert(&mut self, session: &mut DatabaseSession, table: &Table) -> Result<()> {
        if !self.rows.is_empty() {
            let inserted = session.insert(&table.insert(session.dialect()), &self.rows).await;
            inserted.with_context(|| format!("cannot insert into {}", table.name))?;
        }
        *self = Self::default();
        Ok(())
    }
}
