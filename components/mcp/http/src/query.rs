//! Writes name-value pairs of a query or a form. One parameter must not overwrite another.

use std::{collections::BTreeMap, fmt::Write as _};

use exact_json::Json;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tool_provider::Failure;

use crate::parameter::Style;

/// All characters except those that have no meaning in an address (RFC 3986, unreserved).
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The deepest nesting of objects in `deepObject`. Deeper values are written as JSON.
const DEEP_MAX: usize = 4;

/// A query that is being written. A form is written in the same way.
#[derive(Default)]
pub(crate) struct Query<'o> {
    text: String,
    /// The names of all parameters and secrets. No field of an object may become one of them.
    names: Vec<&'o str>,
}

impl<'o> Query<'o> {
    /// An empty query, with the names that have a meaning in it.
    pub(crate) fn of(names: impl Iterator<Item = &'o str>) -> Self {
        Self { text: String::new(), names: names.collect() }
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// Adds a value that is already encoded.
    pub(crate) fn pair(&mut self, name: &str, written: &str) {
        let sign = if self.text.is_empty() { "" } else { "&" };
        let _ = write!(self.text, "{sign}{}={written}", encoded(name));
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// [`Failure::InvalidArguments`] if it would become another parameter.
    pub(crate) fn add(&mut self, name: &str, value: &Json, style: Style) -> Result<(), Failure> {
        match (value, style) {
            (Json::Object(fields), Style::Exploded) => {
                for (key, value) in fields {
                    self.check(name, key)?;
                    self.pair(key, &encoded(&plain(value)));
                }
            }
            (Json::Object(fields), Style::Deep) => self.deep(name, name, fields, DEEP_MAX)?,
            (Json::Object(fields), Style::Joined(sign)) => {
                let fields = fields.iter().flat_map(|(key, value)| [encoded(key), encoded(&plain(value))]);
                self.pair(name, &fields.collect::<Vec<_>>().join(sign));
            }
            (value, style) => self.own(name, value, style),
        }
        Ok(())
    }

    /// Adds a value under the parameter's own name.
    fn own(&mut self, name: &str, value: &Json, style: Style) {
        match (value, style) {
            (_, Style::Json) => self.pair(name, &encoded(&value.to_string())),
            (Json::Array(items), Style::Exploded | Style::Deep) => {
                for item in items {
                    self.pair(name, &encoded(&plain(item)));
                }
            }
            (Json::Array(items), Style::Joined(sign)) => {
                let items: Vec<String> = items.iter().map(|item| encoded(&plain(item))).collect();
                self.pair(name, &items.join(sign));
            }
            (other, _) => self.pair(name, &encoded(&plain(other))),
        }
    }

    fn deep(&mut self, own: &str, name: &str, fields: &BTreeMap<String, Json>, depth: usize) -> Result<(), Failure> {
        for (key, value) in fields {
            let name = format!("{name}[{key}]");
            match (value, depth.checked_sub(1)) {
                (Json::Object(fields), Some(depth)) => self.deep(own, &name, fields, depth)?,
                (other, _) => {
                    self.check(own, &name)?;
                    self.own(&name, other, Style::Deep);
                }
            }
        }
        Ok(())
    }

    /// Refuses a name that is another parameter. Servers read `a[b]` as a part of `a`, and many ignore case.
    fn check(&self, own: &str, written: &str) -> Result<(), Failure> {
        let head = |name: &str| name.trim().split(['[', '\0']).next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_part = head(own) == head(written);
        let is_same =
            |other: &&str| other.eq_ignore_ascii_case(written.trim()) || (!is_part && head(other) == head(written));
        match self.names.iter().filter(|other| **other != own).any(is_same) {
            true => Err(Failure::InvalidArguments(format!(
                "\"{own}\" must not have \"{}\", which is another parameter.",
                crate::value::cut(written, 60)
            ))),
            false => Ok(()),
        }
    }
}

/// Encodes a text as one value, also for a path.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A value as text; lists and objects as JSON.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
