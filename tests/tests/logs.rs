//! The table of log messages in `docs/logs.md`, compared with the sources: every message that is logged there, and every one of the table somewhere in them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tests::{log_messages, repository};

/// What a call that logs begins with. The message is the first text after it.
const CALLS: [&str; 3] = ["log(", "warn(", "Severity::"];

/// The fields that every line has: no other line may have a second one of that name.
const OF_EVERY_LINE: [&str; 7] = ["timestamp", "level", "component", "message", "trace_id", "span_id", "request_id"];

/// Where nothing is logged in this way: these define it, or are other programs.
const OTHERS: [&str; 4] = ["crates/logging", "crates/storage", "crates/audit", "components/mcp/"];

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_other = OTHERS.iter().any(|other| path.starts_with(repository().join(other)));
        if is_other || name.contains("tests") || name == "target" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found)?;
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path)?;
            let source = source.split("mod tests {").next().unwrap_or_default().to_owned();
            found.push((path, source));
        }
    }
    Ok(())
}

/// What is logged with a message that is written at the call: it is the argument after the level, or the first where the level is the same for all.
fn logged(source: &str) -> Vec<String> {
    let mut messages = Vec::new();
    for call in CALLS {
        for (at, _) in source.match_indices(call) {
            let rest = source.get(at + call.len()..).unwrap_or_default();
            let before = rest.split('"').next().unwrap_or_default();
            let arguments: Vec<&str> = before.split(',').map(str::trim).collect();
            let is_argument =
                |argument: &&str| argument.chars().all(|letter| letter.is_alphanumeric() || "_:&.*".contains(letter));
            // Nothing but names before the text: otherwise the text belongs to something else.
            if arguments.len() <= 3 && arguments.iter().all(is_argument) {
                messages.extend(rest.split('"').nth(1).map(str::to_owned));
            }
        }
    }
    messages
}

#[test]
fn every_message_of_the_log_is_in_the_table_and_every_row_is_logged() -> Result<()> {
    let documented = log_messages()?;
    let mut found = Vec::new();
    for folder in ["crates", "components"] {
        sources(&repository().join(folder), &mut found)?;
    }
    let mut unknown = BTreeSet::new();
    for (path, source) in &found {
        for message in logged(source) {
            if !documented.contains_key(&message) {
                unknown.insert(format!("{}: {message}", path.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "docs/logs.md does not have {unknown:#?}");
    let is_said = |message: &str| found.iter().any(|(_, source)| source.contains(&format!("\"{message}\"")));
    let gone: Vec<_> = documented.keys().filter(|message| !is_said(message)).collect();
    assert!(gone.is_empty(), "nobody logs {gone:#?}");
    for (message, fields) in &documented {
        assert!(OF_EVERY_LINE.iter().all(|field| !fields.contains(*field)), "{message} has a field twice");
    }
    Ok(())
}
