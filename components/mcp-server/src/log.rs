//! A provider's log lines, and the adapter's, in the log of its component. Languages without a console have no other way there.

use std::io::Write as _;

use crate::bindings::provider::{LogEntry, Notice};

/// The longest line. A provider may be talked into repeating what it was sent.
const MAX_LINE_CHARS: usize = 2_000;

/// Writes what the adapter itself has to say.
pub(crate) fn warn(message: &str, cause: &str) {
    let cause: String = cause.chars().take(MAX_LINE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let _ = writeln!(std::io::stderr(), "warn adapter: {message}: {cause}");
}

/// Writes a notice, if it is for the log.
pub(crate) fn write(notice: &Notice) {
    let Notice::Log(LogEntry { level, logger, data }) = notice else { return };
    let line = format!("{level} {}: {data}", logger.as_deref().unwrap_or("provider"));
    let shown: String = line.chars().take(MAX_LINE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    // It fails when nobody reads the log.
    let _ = writeln!(std::io::stderr(), "{shown}");
}
