//! The table of log messages in `docs/logs.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context as _, Result, ensure};

use crate::repository;

/// The messages, each with the fields that its lines have besides those of every line.
pub fn log_messages() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let document = fs::read_to_string(repository().join("docs/logs.md"))?;
    let rows = document.split_once("<!-- messages:").and_then(|(_, rest)| rest.split_once("<!-- end -->"));
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut messages = BTreeMap::new();
    for row in rows.context("docs/logs.md has no table of messages")?.0.lines().skip(3) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let message = cells.first().and_then(|cell| quoted(cell).into_iter().next());
        let message = message.with_context(|| format!("a row without a message: {row}"))?;
        let fields = cells.get(3).with_context(|| format!("a row without fields: {row}"))?;
        let earlier = messages.insert(message, quoted(fields).into_iter().collect());
        ensure!(earlier.is_none(), "a message is there twice: {row}");
    }
    Ok(messages)
}
