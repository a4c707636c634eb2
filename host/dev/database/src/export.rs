//! Copies a database to a file, as it was at one moment. Must not block writers meanwhile, and must not leave an incomplete file behind.

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::copy::read_table;
use crate::file::{FORMAT, Head, Header, Mark, Writer, schema};
use crate::place::Place;
use crate::progress::Progress;
use crate::schema::{State, state, tables};

pub(crate) async fn run(place: &Place, path: &Path) -> Result<()> {
    ensure!(!path.exists(), "{} exists: name a file that does not", path.display());
    let tables = tables()?;
    let mut session = place.snapshot().await?;
    match state(&mut session, &tables).await.with_context(|| format!("cannot export {place}"))? {
        State::Current => {}
        State::Older => bail!("{place} has an older schema than this release: run `cargo dev migrate` first"),
        State::Empty => bail!("{place} is empty: there is nothing to export"),
    }
    // From the start only its owner can read it; it gets its final name when it is complete.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot make a file in {}", folder.display()))?;
    let mut writer = Writer::new(BufWriter::new(file));
    let exported_at = jiff::Timestamp::now().to_string();
    writer.mark(&Mark::Header(Header { format: FORMAT, schema: schema(), exported_at }))?;
    let mut progress = Progress::new("exporting");
    let mut tallies = Vec::new();
    for table in &tables {
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        writer.mark(&Mark::Table(Head { name: table.name.clone(), columns }))?;
        tallies.push(read_table(&mut session, table, &mut progress, |line| writer.line(line)).await?);
    }
    drop(progress);
    for tally in &tallies {
        println!("{:16} {:>12} rows", tally.name, tally.rows);
    }
    let file = writer.end(tallies)?.into_inner().context("cannot write the file")?;
    file.as_file().sync_all().context("cannot write the file")?;
    file.persist_noclobber(path).with_context(|| format!("cannot make {}", path.display()))?;
    println!("exported {place} to {}, which holds private keys: keep it safe", path.display());
    Ok(())
}
