//! Reads the body of a response line by line: events with `data`, JSON without events, and anything else.
//!
//! Servers send data on one line or several, a JSON object a line, one object for the whole answer, or an HTML page. An object is read as soon
//! as it is complete, even before the event's blank line. This module does not interpret it.

use sse::{EventTooLong, Lines, MAX_EVENT_BYTES, field};

use crate::{
    nesting::Nesting,
    wire::{self, Chunk, Parsed},
};

/// The mark at the end of a stream.
const DONE: &[u8] = b"[DONE]";

/// A piece of the body.
pub(crate) enum Payload<'a> {
    /// A JSON object.
    Chunk(Chunk<'a>),
    /// The text of an event `error` that is not JSON.
    ErrorWords(&'a str),
    /// `[DONE]`.
    Done,
    /// A text that begins like an object but is not valid.
    Unreadable,
    /// An HTML page.
    WebPage,
}

/// A body that is being received.
#[derive(Clone, Default, Debug)]
pub(crate) struct Body {
    lines: Lines,
    /// The unfinished part of an object over several lines.
    pending: Vec<u8>,
    nesting: Nesting,
    /// `pending` belongs to an event, which ends with a blank line.
    in_event: bool,
    /// The current event has the name `error`.
    names_error: bool,
    /// The current event's name marks the end.
    names_end: bool,
    objects: u64,
    has_events: bool,
    has_other: bool,
}

impl Body {
    /// Whether the body has other content but no object.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.has_other && self.objects == 0
    }

    /// Whether the body is JSON like an answer that was not streamed.
    pub(crate) const fn is_one_object(&self) -> bool {
        self.objects == 1 && !self.has_events
    }

    /// Reads a chunk and passes completed pieces to `read`.
    pub(crate) fn feed<E: From<EventTooLong>>(
        &mut self,
        bytes: &[u8],
        mut read: impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut lines = std::mem::take(&mut self.lines);
        let result = lines.feed(bytes, |line| self.read_line(bare(line), &mut read));
        self.lines = lines;
        result
    }

    /// The body ended: reads the rest.
    pub(crate) fn finish<E: From<EventTooLong>>(
        &mut self,
        mut read: impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let line = self.lines.finish();
        self.read_line(bare(&line), &mut read)?;
        let in_event = self.in_event;
        self.flush(&mut |payload| match payload {
            // The connection broke in the middle of an event.
            Payload::Unreadable if in_event => Ok(()),
            payload => read(payload),
        })?;
        if self.names_end { read(Payload::Done) } else { Ok(()) }
    }

    fn read_line<E: From<EventTooLong>>(
        &mut self,
        line: &[u8],
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if line.is_empty() {
            self.names_error = false;
            if self.in_event {
                self.flush(read)?;
            }
            return if std::mem::take(&mut self.names_end) { read(Payload::Done) } else { Ok(()) };
        }
        if let Some(value) = data(line) {
            self.has_events = true;
            return self.read_data(value, read);
        }
        // Some servers write the event's name as the field's name.
        if let Some(value) = field(line, b"error") {
            (self.has_events, self.names_error) = (true, true);
            return self.read_data(value.trim_ascii(), read);
        }
        match line {
            // Some servers write an object over several lines after one `data:`.
            _ if !self.pending.is_empty() && (!self.in_event || !is_of_events(line)) => self.append(line, read),
            _ if is_done(line) => read(Payload::Done),
            [b'{' | b'[', ..] => self.read_object(line, false, read),
            [b'<', ..] if self.objects == 0 => read(Payload::WebPage),
            [b':', ..] => Ok(()),
            _ => {
                if let Some(name) = field(line, b"event") {
                    self.names_error = name.trim_ascii() == b"error";
                    self.names_end = [&b"done"[..], b"end"].contains(&name.trim_ascii());
                } else if field(line, b"id").or(field(line, b"retry")).is_none() {
                    self.has_other = true;
                }
                Ok(())
            }
        }
    }

    fn read_data<E: From<EventTooLong>>(
        &mut self,
        value: &[u8],
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if is_done(value) {
            self.flush(read)?;
            return read(Payload::Done);
        }
        if !self.pending.is_empty() && self.in_event {
            return self.append(value, read);
        }
        match value {
            [] => Ok(()),
            [b'{' | b'[', ..] => self.read_object(value, true, read),
            [b'"', ..] => self.read_text(value, read),
            _ if self.names_error => read(Payload::ErrorWords(&String::from_utf8_lossy(value))),
            // Keep-alives.
            b"null" | [b':', ..] => Ok(()),
            _ => {
                self.has_other = true;
                Ok(())
            }
        }
    }

    /// Reads a JSON string: an object that was serialized twice, or a text.
    fn read_text<E: From<EventTooLong>>(
        &mut self,
        value: &[u8],
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let text: String = serde_json::from_slice(value).unwrap_or_default();
        if text.trim_start().starts_with('{') {
            return self.hand_over(wire::parse(text.trim().as_bytes(), self.names_error), read).map(|_| ());
        }
        if self.names_error { read(Payload::ErrorWords(&text)) } else { Ok(()) }
    }

    fn read_object<E: From<EventTooLong>>(
        &mut self,
        value: &[u8],
        in_event: bool,
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.hand_over(wire::parse(value, self.names_error), read)? {
            return Ok(());
        }
        self.in_event = in_event;
        self.nesting = Nesting::default();
        self.append(value, read)
    }

    /// Passes parsed chunks on. `false`: the object is incomplete.
    fn hand_over<E: From<EventTooLong>>(
        &mut self,
        parsed: Parsed<'_>,
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.objects += u64::from(matches!(parsed, Parsed::Chunk(_) | Parsed::Chunks(_)));
        match parsed {
            Parsed::Chunk(chunk) => read(Payload::Chunk(chunk))?,
            Parsed::Chunks(chunks) => chunks.into_iter().try_for_each(|chunk| read(Payload::Chunk(chunk)))?,
            Parsed::Unreadable => read(Payload::Unreadable)?,
            Parsed::Incomplete => return Ok(false),
        }
        Ok(true)
    }

    fn append<E: From<EventTooLong>>(
        &mut self,
        line: &[u8],
        read: &mut impl FnMut(Payload<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.pending.len() + line.len() > MAX_EVENT_BYTES {
            self.pending = Vec::new();
            return Err(EventTooLong.into());
        }
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.nesting.read(line);
        if self.nesting.is_whole() { self.flush(read) } else { Ok(()) }
    }

    /// Reads the pending lines, complete or not.
    fn flush<E: From<EventTooLong>>(&mut self, read: &mut impl FnMut(Payload<'_>) -> Result<(), E>) -> Result<(), E> {
        let pending = std::mem::take(&mut self.pending);
        self.in_event = false;
        if pending.is_empty() {
            return Ok(());
        }
        if self.hand_over(wire::parse(&pending, self.names_error), read)? { Ok(()) } else { read(Payload::Unreadable) }
    }
}

/// A line without surrounding white space. Some servers begin every piece with a byte order mark.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii()
}

/// The value of a data line. Some proxies write the field's name twice.
fn data(line: &[u8]) -> Option<&[u8]> {
    let mut value = field(line, b"data")?.trim_ascii();
    while let Some(within) = value.strip_prefix(b"data:") {
        value = within.trim_ascii();
    }
    Some(value)
}

/// Whether a line inside an event is not part of its data.
fn is_of_events(line: &[u8]) -> bool {
    line.starts_with(b":")
        || is_done(line)
        || ["event", "id", "retry"].iter().any(|name| field(line, name.as_bytes()).is_some())
}

/// Whether it is the mark of the end, whatever follows it.
fn is_done(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    value.get(..DONE.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(DONE))
}
