//! Which lines are written: the severities, and the setting that names the least severe one.

use std::str::FromStr;

use serde::Serialize;

/// The severity of a log line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only for whoever looks for a fault, such as what a tool says about its work.
    Debug,
    /// Something happened as expected.
    Info,
    /// An operator should look at it some day.
    Warn,
    /// An operator should look at it now.
    Error,
}

/// A setting that names no levels.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is no level: write debug, info, warn or error, and for one component stream=debug, comma-separated")]
pub struct InvalidLevels(String);

impl FromStr for Level {
    type Err = InvalidLevels;

    fn from_str(text: &str) -> Result<Self, InvalidLevels> {
        match text {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            other => Err(InvalidLevels(other.to_owned())),
        }
    }
}

/// The least severe level that a component writes, by a setting such as `warn, stream=debug`. Empty: `info`. What is said of the component counts before
/// what is said of all, and of two, the last.
///
/// # Errors
/// An entry is no level.
pub fn least(setting: &str, component: &str) -> Result<Level, InvalidLevels> {
    let (mut of_all, mut of_this) = (Level::Info, None);
    for entry in setting.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match entry.split_once('=') {
            None => of_all = entry.parse()?,
            Some((name, level)) => {
                let level = level.trim().parse()?;
                if name.trim() == component {
                    of_this = Some(level);
                }
            }
        }
    }
    Ok(of_this.unwrap_or(of_all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_has_its_own_level_or_that_of_all() {
        assert_eq!(least("", "chat"), Ok(Level::Info));
        assert_eq!(least(" warn ", "chat"), Ok(Level::Warn));
        for setting in ["stream=debug, error", "error,stream = debug"] {
            assert_eq!((least(setting, "stream"), least(setting, "chat")), (Ok(Level::Debug), Ok(Level::Error)));
        }
    }

    #[test]
    fn what_is_no_level_is_named() {
        for setting in ["loud", "info, chat=loud", "stream="] {
            assert!(least(setting, "ops").is_err(), "{setting}");
        }
        assert!(least("info, chat=loud", "ops").unwrap_err().to_string().contains("\"loud\""));
    }
}
