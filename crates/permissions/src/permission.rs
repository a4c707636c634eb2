//! A permission as it is written: a name of the table, and a pattern if it has one.

use std::{fmt, str::FromStr};

use crate::table::TABLE;

/// A server's name, a tool's name and a few `*`.
pub const MAX_PERMISSION_BYTES: usize = 256;

/// What an administrator may do.
const EVERYTHING: &str = "*";

/// A permission. A `*` at its end stands for any rest; anywhere else it stands for itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permission(String);

/// A text that is not a permission.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPermission {
    /// It is longer than any permission.
    #[error("a permission has at most {MAX_PERMISSION_BYTES} bytes")]
    TooLong,
    /// The table has no such name.
    #[error("there is no permission \"{0}\"; the page Roles lists all there are")]
    Unknown(String),
    /// The name needs a pattern and has none.
    #[error("\"{0}\" needs a pattern, such as {0}:*")]
    NoPattern(&'static str),
    /// The pattern has something that no name has.
    #[error("a pattern has no spaces and no control characters, and a * only at its end")]
    Pattern,
}

impl Permission {
    /// The permission to do everything.
    pub(crate) fn everything() -> Self {
        Self(EVERYTHING.to_owned())
    }

    /// A permission of the table, for everything if it has a pattern.
    pub(crate) fn of_table(name: &str, has_pattern: bool) -> Self {
        Self(if has_pattern { format!("{name}:{EVERYTHING}") } else { name.to_owned() })
    }

    /// Whether it includes what is wanted. What is wanted may itself be a permission with a pattern.
    pub(crate) fn includes(&self, wanted: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => wanted.starts_with(beginning),
            None => wanted == self.0,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        if text.len() > MAX_PERMISSION_BYTES {
            return Err(InvalidPermission::TooLong);
        }
        if text == EVERYTHING {
            return Ok(Self::everything());
        }
        for row in TABLE {
            match text.strip_prefix(row.name) {
                Some("") if row.has_pattern => return Err(InvalidPermission::NoPattern(row.name)),
                Some("") => return Ok(Self(text.to_owned())),
                Some(rest) if row.has_pattern => {
                    let Some(pattern) = rest.strip_prefix(':') else { continue };
                    let name = pattern.strip_suffix('*').unwrap_or(pattern);
                    let is_odd = |letter: char| letter == '*' || letter.is_whitespace() || letter.is_control();
                    if pattern.is_empty() || name.contains(is_odd) {
                        return Err(InvalidPermission::Pattern);
                    }
                    return Ok(Self(text.to_owned()));
                }
                _ => {}
            }
        }
        Err(InvalidPermission::Unknown(text.to_owned()))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
