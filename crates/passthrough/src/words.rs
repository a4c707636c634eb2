//! Reads JSON flat: its names, texts and other values, one after the other. Nothing is too deep for it and no text too odd, so what a provider may read is
//! not overlooked here. Must be given JSON that was checked.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::value::RawValue;

/// A word of JSON. Lists, commas and colons are none.
#[derive(Clone, Copy)]
pub(crate) enum Word<'a> {
    /// An object begins.
    Open,
    /// It ends.
    Close,
    /// The name of a field.
    Name(Text<'a>),
    /// A text that is no name.
    Text(Text<'a>),
    /// A number, true or false.
    Value,
    /// null.
    Null,
}

/// A text as it is written, with its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

/// A text that borrows if it can.
#[derive(serde::Deserialize)]
pub(crate) struct Read<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// What it says. One with half of a character, as programs write it that cut texts, stays as it is written.
    pub(crate) fn read(self) -> Cow<'a, str> {
        serde_json::from_str(self.0).map_or(Cow::Borrowed(self.0), |Read(text)| text)
    }
}

/// The words of a value, in order.
pub(crate) fn words(json: &RawValue) -> impl Iterator<Item = Word<'_>> {
    let mut rest = json.get();
    std::iter::from_fn(move || {
        let word;
        (word, rest) = first(rest)?;
        Some(match word {
            "{" => Word::Open,
            "}" => Word::Close,
            "null" => Word::Null,
            _ if !word.starts_with('"') => Word::Value,
            _ if rest.trim_ascii_start().starts_with(':') => Word::Name(Text(word)),
            _ => Word::Text(Text(word)),
        })
    })
}

/// The first word, and what is behind it.
fn first(json: &str) -> Option<(&str, &str)> {
    let rest = json.trim_start_matches(is_between);
    let end = match rest.as_bytes().first()? {
        b'"' => text_bytes(rest)?,
        b'{' | b'}' => 1,
        _ => rest.find(|sign| is_between(sign) || matches!(sign, '{' | '}')).unwrap_or(rest.len()),
    };
    rest.split_at_checked(end)
}

const fn is_between(sign: char) -> bool {
    matches!(sign, ' ' | '\t' | '\n' | '\r' | '[' | ']' | ',' | ':')
}

/// The length of the text that begins here, with its quotes.
fn text_bytes(json: &str) -> Option<usize> {
    let mut end = 1;
    loop {
        let rest = json.as_bytes().get(end..)?;
        let at = memchr2(b'"', b'\\', rest)?;
        if rest.get(at) == Some(&b'"') {
            return Some(end + at + 1);
        }
        end += at + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_wherever_they_are() {
        let json = r#" {"a\"b" : ["c\\", -1e999, true,null,{}], "\u0074ype":"\ud83d {"} "#;
        let json = RawValue::from_string(json.trim().to_owned()).unwrap();
        let said: Vec<String> = words(&json)
            .map(|word| match word {
                Word::Open => "{".to_owned(),
                Word::Close => "}".to_owned(),
                Word::Name(name) => format!("{}:", name.read()),
                Word::Text(text) => text.read().into_owned(),
                Word::Value => "value".to_owned(),
                Word::Null => "null".to_owned(),
            })
            .collect();
        let expected = ["{", "a\"b:", "c\\", "value", "value", "null", "{", "}", "type:", "\"\\ud83d {\"", "}"];
        assert_eq!(said, expected);
    }
}
