//! Checks a JSON value against a JSON Schema that somebody else wrote: every step is counted, and there are only so many (docs/adr/0013).
//!
//! Knows 2020-12, 2019-09, draft-07 and draft-06; what else a schema says it is written in is read as the nearest of these, and [`repaired`]
//! makes draft-04 readable. Fetches nothing. `format` and the content keywords are annotations, as in 2020-12; a
//! `pattern` that needs more than a linear-time engine has is not checked, because who wrote it checks it too.

mod checker;
mod keywords;
mod references;
mod repair;
mod report;

use std::fmt;

use serde_json::Value;

pub use self::{
    keywords::canonical,
    repair::{MAX_DEPTH, Unfit, repaired},
};

use self::{checker::Checker, repair::Dialect, report::Problems};

/// The longest schema; the largest of common servers are a fifth of it.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// The longest piece of a schema or a value that is quoted in a problem.
const MAX_QUOTED_CHARS: usize = 80;

/// What is wrong with a value, and where in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// JSON Pointer (RFC 6901) into the value; empty for all of it.
    pub path: String,
    /// What is wrong there.
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

/// The schema does not allow to say whether a value fits.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// It refers to something outside, or to nothing.
    #[error("its reference {0} leads nowhere inside it, and none is followed outside")]
    Reference(String),
    /// It takes too long.
    #[error("it takes too long to check")]
    TooLong,
    /// It is nested too deeply, or without end.
    #[error("it is nested too deeply")]
    TooDeep,
    /// A schema is an object or a boolean.
    #[error("it is not a schema")]
    NotASchema,
}

/// Checks a value. No problems: it fits.
///
/// # Errors
/// [`Unusable`].
pub fn check(schema: &Value, instance: &Value) -> Result<Vec<Problem>, Unusable> {
    let mut problems = Problems::default();
    Checker::new(schema, Dialect::of(schema).reference_is_alone()).whole(instance, &mut problems)?;
    Ok(problems.into_first())
}

/// A text cut to what is quoted.
fn shortened(text: &str) -> String {
    cut(text, MAX_QUOTED_CHARS)
}

/// A text cut to a number of characters, with a sign that it was.
fn cut(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
