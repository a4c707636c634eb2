//! A provider's log lines, and the adapter's, in the log of its component. Languages without a console have no other way there.

use std::cell::RefCell;

use logging::{Level, log};
use serde_json::{Value, json};

use crate::bindings::provider::{LogEntry, Notice};

/// The longest text of a line. A provider may be talked into repeating what it was sent.
const MAX_CHARS: usize = 2_000;

thread_local! {
    /// This server's id in `spin.toml`, once it is known.
    static COMPONENT: RefCell<String> = RefCell::new("mcp-server".to_owned());
}

/// Has lines of a server of this name written from the level on that the setting `log_level` says. What cannot be read changes nothing; `/ready` says so.
pub(crate) fn set_up(component: &str, levels: &str) {
    if let Ok(level) = logging::least(levels, component) {
        logging::write_from(level);
    }
    COMPONENT.replace(component.to_owned());
}

/// Writes what the adapter itself has to say.
pub(crate) fn warn(message: &str, cause: &str) {
    COMPONENT.with_borrow(|component| log(component, Level::Warn, message, json!({ "cause": cut(cause) })));
}

/// Writes a notice, if it is for the log.
pub(crate) fn write(notice: &Notice) {
    let Notice::Log(LogEntry { level, logger, data }) = notice else { return };
    let said = Some(data).filter(|data| data.len() <= MAX_CHARS).and_then(|data| serde_json::from_str(data).ok());
    let said = said.unwrap_or_else(|| Value::from(cut(data)));
    let fields = json!({ "logger": logger.as_deref().map(cut), "data": said });
    COMPONENT.with_borrow(|component| log(component, level_of(level), "a tool logged", fields));
}

/// The eight levels of MCP (RFC 5424, section 6.2.1) as four. What is none of them is worth a look.
fn level_of(level: &str) -> Level {
    match level {
        "debug" => Level::Debug,
        "info" | "notice" => Level::Info,
        "error" | "critical" | "alert" | "emergency" => Level::Error,
        _ => Level::Warn,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
