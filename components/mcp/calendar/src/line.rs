//! A line of iCalendar: a property with parameters and a value (RFC 5545 section 3.1), kept as it was written. This module does not know what a
//! property means.

/// The properties whose values are dates or times.
const TIMES: [&str; 5] = ["DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE"];
/// The most colons in a zone's name.
const COLONS_MAX: usize = 8;

/// A property, or the beginning or end of a component, with its folds and its line end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    raw: String,
    name: String,
}

/// Removes folds in the middle of a character, which a string cannot hold: some programs fold by bytes. A fold is a line break and a space. In XML,
/// the first half of the break may be a character reference.
pub(crate) fn join_characters(bytes: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(bytes.len());
    let (mut rest, mut missing) = (bytes, 0_usize);
    while let Some((&byte, after)) = rest.split_first() {
        if missing > 0 && !is_continuation(byte) {
            match fold(rest).filter(|unfolded| unfolded.first().is_some_and(|byte| is_continuation(*byte))) {
                Some(unfolded) => {
                    rest = unfolded;
                    continue;
                }
                None => missing = 0,
            }
        }
        missing = match byte {
            0xC2..=0xDF => 1,
            0xE0..=0xEF => 2,
            0xF0..=0xF4 => 3,
            _ => missing.saturating_sub(1),
        };
        joined.push(byte);
        rest = after;
    }
    joined
}

fn is_continuation(byte: u8) -> bool {
    (0x80..=0xBF).contains(&byte)
}

/// The bytes after a fold, if there is one.
fn fold(bytes: &[u8]) -> Option<&[u8]> {
    let breaks: [&[u8]; 4] = [b"\r\n", b"\n", b"&#13;\n", b"&#xD;\n"];
    let after = breaks.iter().find_map(|line_break| bytes.strip_prefix(*line_break))?;
    after.strip_prefix(b" ").or_else(|| after.strip_prefix(b"\t"))
}

/// Splits a text into lines. Joined, they are the text again.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for physical in text.split_inclusive('\n') {
        match lines.last_mut() {
            Some(line) if physical.starts_with([' ', '\t']) || line.goes_on() => line.raw.push_str(physical),
            _ => lines.push(Line::new(physical.to_owned())),
        }
    }
    lines
}

impl Line {
    pub(crate) fn new(raw: String) -> Self {
        let name = raw.split([':', ';', '\r', '\n']).next().unwrap_or_default();
        // The name may come after a group, as in address cards.
        let name = name.rsplit('.').next().unwrap_or_default().trim().to_ascii_uppercase();
        Self { raw, name }
    }

    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// The name in capitals.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value().eq_ignore_ascii_case(value)
    }

    /// The line without folds and line escapes.
    fn unfolded(&self) -> String {
        let is_quoted = self.is_quoted_printable();
        let mut line = String::with_capacity(self.raw.len());
        for (index, part) in self.raw.lines().enumerate() {
            let part = part.trim_end_matches('\r');
            let is_soft = is_quoted && line.ends_with('=');
            if is_soft {
                line.pop();
            }
            line.push_str(match index {
                0 => part,
                _ => part.strip_prefix([' ', '\t']).unwrap_or(part),
            });
        }
        line
    }

    /// The parameters and the value. The value begins at the first colon outside quotes. Some programs write zone names with colons without quotes;
    /// then the value of a date or time begins at the colon before a date.
    fn split(&self) -> (String, String) {
        let line = self.unfolded();
        let mut is_quoted = false;
        let mut colons = line.char_indices().filter(|(_, character)| {
            is_quoted ^= *character == '"';
            *character == ':' && !is_quoted
        });
        let first = colons.next().map(|(colon, _)| colon);
        let is_before_date =
            |colon: &usize| line.get(*colon..).and_then(|rest| rest.strip_prefix(':')).is_some_and(begins_as_date);
        let colon = match first {
            Some(colon) if TIMES.contains(&self.name.as_str()) && !is_before_date(&colon) => {
                colons.map(|(colon, _)| colon).take(COLONS_MAX).find(is_before_date).or(first)
            }
            first => first,
        };
        let (head, value) = colon.and_then(|colon| line.split_at_checked(colon)).unwrap_or((&line, ""));
        let parameters = head.split_once(';').map_or("", |(_, parameters)| parameters);
        (parameters.to_owned(), value.strip_prefix(':').unwrap_or(value).to_owned())
    }

    pub(crate) fn value(&self) -> String {
        self.split().1.trim().to_owned()
    }

    /// The value of a parameter, without quotes.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let parameters = self.split().0;
        let mut is_quoted = false;
        let mut parts = parameters.split(move |character| {
            is_quoted ^= character == '"';
            character == ';' && !is_quoted
        });
        parts.find_map(|parameter| {
            let (found, value) = parameter.split_once('=')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// The value as text: without escapes of RFC 5545 (section 3.3.11), and without those of vCalendar 1.0, which some programs still use.
    pub(crate) fn text(&self) -> String {
        if !self.is_quoted_printable() {
            return unescaped(&self.split().1);
        }
        let bytes = quoted_printable(&self.split().1);
        let charset = self.parameter("CHARSET").unwrap_or_default().to_ascii_uppercase();
        let text = match String::from_utf8(bytes) {
            Ok(text) if !charset.starts_with("ISO-8859") => text,
            Ok(text) => latin(text.as_bytes()),
            Err(error) => latin(error.as_bytes()),
        };
        unescaped(&text.replace("\r\n", "\n"))
    }

    fn is_quoted_printable(&self) -> bool {
        let head = self.raw.split_once(':').map_or("", |(head, _)| head);
        head.to_ascii_uppercase().contains("QUOTED-PRINTABLE")
    }

    /// Whether the next line belongs to this one, without being marked as a fold.
    fn goes_on(&self) -> bool {
        self.raw.trim_end_matches(['\r', '\n']).ends_with('=') && self.is_quoted_printable()
    }
}

/// Whether a text begins with four digits and then a digit or a dash.
fn begins_as_date(text: &str) -> bool {
    let mut bytes = text.trim_start().bytes();
    bytes.by_ref().take(4).filter(u8::is_ascii_digit).count() == 4
        && bytes.next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'-')
}

fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut is_escape = false;
    for character in value.chars() {
        match (is_escape, character) {
            (false, '\\') => {
                is_escape = true;
                continue;
            }
            (true, 'n' | 'N') => text.push('\n'),
            (true, ';' | ',' | ':' | '"' | '\\') | (false, _) => text.push(character),
            (true, other) => text.extend(['\\', other]),
        }
        is_escape = false;
    }
    if is_escape {
        text.push('\\');
    }
    text
}

/// Decodes quoted-printable (RFC 2045 section 6.7). Invalid escapes are kept.
fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        match after.split_at_checked(2).filter(|_| byte == b'=') {
            Some((pair, behind)) if pair.iter().all(u8::is_ascii_hexdigit) => {
                bytes.extend(digits(pair));
                rest = behind;
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
