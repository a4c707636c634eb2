//! JSON whose numbers stay as they were written: `10.10` is a price and not `10.1`, and none of thirty digits is lost. It is for JSON that one
//! program passes on to another, where `serde_json::Value` would round. (The feature `arbitrary_precision` of `serde_json` applies to the whole
//! build, not to one package, and breaks types elsewhere.)
//!
//! Of duplicate names, the last one counts, as in `serde_json`. So code that checked a text with `serde_json` has checked what is passed on.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, value::RawValue};

/// How deep values may be nested, as in `serde_json`.
const DEPTH_MAX: usize = 128;

/// A JSON value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A string without its escapes.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

/// Why a text is not JSON.
pub use serde_json::Error;

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Error`], also for values deeper than 128.
    pub fn read(text: &str) -> Result<Self, Error> {
        // The whole text is checked first. Otherwise, each level would find the faults of its inner levels again.
        read(serde_json::from_str::<&RawValue>(text)?.get(), DEPTH_MAX)
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

fn read(text: &str, depth: usize) -> Result<Json, Error> {
    let inner = || depth.checked_sub(1).ok_or_else(|| serde::de::Error::custom("values lie too deep in each other"));
    Ok(match text.trim_start().as_bytes().first() {
        Some(b'{') => {
            let depth = inner()?;
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let read = |(name, value): (String, &RawValue)| Ok((name, read(value.get(), depth)?));
            Json::Object(fields.into_iter().map(read).collect::<Result<_, Error>>()?)
        }
        Some(b'[') => {
            let depth = inner()?;
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Json::Array(items.into_iter().map(|item| read(item.get(), depth)).collect::<Result<_, _>>()?)
        }
        Some(b'-' | b'0'..=b'9') => Json::Number(text.trim().to_owned()),
        _ => match serde_json::from_str(text)? {
            Value::Bool(value) => Json::Bool(value),
            Value::String(value) => Json::String(value),
            _ => Json::Null,
        },
    })
}

/// Writes JSON without white space.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(written) => f.write_str(written),
            Self::String(text) => quoted(text, f),
            Self::Array(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    quoted(name, f)?;
                    f.write_str(":")?;
                    value.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_as_they_were_written() {
        for text in [
            "10.10",
            "123456789012345678901234567890",
            "-0.000",
            "1E400",
            "[1.0,{\"a\":1e2}]",
            "{\"a\":[],\"b\":{},\"c\":\"1.0\",\"d\":null,\"e\":true,\"f\":false}",
            "\"\\u0000\\\"ü\"",
        ] {
            assert_eq!(Json::read(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Json::read(" { \"b\" : [ 1.50 , 2 ] ,\n\"a\":0 } ").unwrap().to_string(),
            "{\"a\":0,\"b\":[1.50,2]}"
        );
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_counts() {
        let text = r#"{"to": 1.0, "\u0074o": 2.0}"#;
        assert_eq!(Json::read(text).unwrap().to_string(), r#"{"to":2.0}"#);
        assert_eq!(serde_json::from_str::<Value>(text).unwrap().to_string(), r#"{"to":2.0}"#);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "01",
            "1.",
            "+1",
            "nul",
            "[1,]",
            "{\"a\":01}",
            "{\"a\" 1}",
            "\"a",
            "1 2",
            "{\"a\":\"\u{1}\"}",
            "NaN",
        ] {
            assert!(Json::read(text).is_err(), "{text}");
        }
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::read(&deep(127)).is_ok());
        for depth in [129, 10_000] {
            assert!(Json::read(&deep(depth)).is_err(), "{depth}");
        }
    }
}
