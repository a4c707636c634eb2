//! Checks a JSON value against a JSON Schema from somebody else. Every step is counted, and the number of steps is limited (docs/adr/0013).
//!
//! Knows 2020-12, 2019-09, draft-07 and draft-06. A schema of another version is read as the nearest of these; [`repaired`] makes draft-04 readable.
//! Fetches nothing. `format` and the content keywords are annotations, as in 2020-12. A `pattern` that a linear-time engine does not support is not
//! checked, because the schema's author checks it too.

mod checker;
mod keywords;
mod references;
mod repair;
mod report;

use std::fmt;

use serde_json::Value;

pub use self::{
    keywords::canonical,
    repair::{MAX_DEPTH, Unfit, kind, repaired},
};

use self::{checker::Checker, repair::Dialect, report::Problems};

/// The longest schema. The largest schemas of common servers are a fifth of this.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// The longest piece of a schema or a value that is quoted in a problem.
const MAX_QUOTED_CHARS: usize = 80;

/// A fault of a value, and its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// JSON Pointer (RFC 6901) into the value; empty for the whole value.
    pub path: String,
    /// The fault, in words.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}", self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

/// Why a schema cannot be used to check values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// It has a reference to another document, or to nothing.
    #[error("its reference {0} has no target inside it, and references to the outside are not followed")]
    Reference(String),
    /// The check takes too long.
    #[error("it takes too long to check")]
    TooLong,
    /// It is nested too deeply, or endlessly.
    #[error("it is nested too deeply")]
    TooDeep,
    /// A part of it is neither an object nor a boolean.
    #[error("it is not a schema")]
    NotASchema,
}

/// Checks a value. The result is empty if the value fits.
///
/// # Errors
/// [`Unusable`].
pub fn check(schema: &Value, instance: &Value) -> Result<Vec<Problem>, Unusable> {
    let mut problems = Problems::default();
    Checker::new(schema, Dialect::of(schema).reference_is_alone()).whole(instance, &mut problems)?;
    Ok(problems.into_first())
}

/// The text, cut to the length of a quotation.
fn shortened(text: &str) -> String {
    cut(text, MAX_QUOTED_CHARS)
}

/// The text, cut to a number of characters. An ellipsis marks the cut.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
