//! Reads server-sent events from arriving bytes: WHATWG HTML, section 9.2.6, only the field `data`, which completions and MCP use.
//!
//! Pure: bytes in, data out. It neither interprets the data nor reconnects.
//!
//! Lines may end in LF, CRLF or CR. Chunks may end anywhere, even inside a character or a line's end. Only the event that is being read is
//! buffered, up to a limit.

use memchr::memchr2;

/// The longest accepted event: far longer than any chunk of a completion, long enough for a tool's result, and small compared to an instance's
/// memory.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// An event is too long; the rest of the stream cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLong;

/// Reads lines from chunks.
#[derive(Clone, Default, Debug)]
pub struct Lines {
    /// The beginning of an unfinished line.
    held: Vec<u8>,
    /// The last byte was a CR; an LF right after it is part of the same line end.
    after_cr: bool,
    /// Something was read, so a byte order mark can no longer come.
    begun: bool,
}

impl Lines {
    /// Reads a chunk and passes every completed line, without its end, to `read`.
    ///
    /// # Errors
    /// [`EventTooLong`], and the errors of `read`; the rest of the chunk is then not read.
    pub fn feed<E: From<EventTooLong>>(
        &mut self,
        mut chunk: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = memchr2(b'\n', b'\r', chunk) {
            let (line, rest) = chunk.split_at(end);
            self.check(line.len())?;
            chunk = match rest {
                [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
            if self.held.is_empty() {
                read(self.without_mark(line))?;
            } else {
                let mut whole = std::mem::take(&mut self.held);
                whole.extend_from_slice(line);
                read(self.without_mark(&whole))?;
            }
        }
        self.check(chunk.len())?;
        self.held.extend_from_slice(chunk);
        Ok(())
    }

    /// The stream ended. Returns the last line if it has no line end.
    pub fn finish(&mut self) -> Vec<u8> {
        let line = std::mem::take(&mut self.held);
        self.without_mark(&line).to_vec()
    }

    fn check(&self, more: usize) -> Result<(), EventTooLong> {
        if self.held.len() + more > MAX_EVENT_BYTES { Err(EventTooLong) } else { Ok(()) }
    }

    fn without_mark<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if std::mem::replace(&mut self.begun, true) { line } else { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) }
    }
}

/// Reads events from chunks.
#[derive(Clone, Default, Debug)]
pub struct Decoder {
    lines: Lines,
    /// The `data` of the event that is being read; absent before its first `data` line.
    data: Option<String>,
}

impl Decoder {
    /// Reads a chunk and appends the data of every event that it completes.
    ///
    /// # Errors
    /// [`EventTooLong`].
    pub fn feed(&mut self, chunk: &[u8], events: &mut Vec<String>) -> Result<(), EventTooLong> {
        let Self { lines, data } = self;
        lines.feed(chunk, |line| read_line(line, data, events))?;
        if self.held() > MAX_EVENT_BYTES { Err(EventTooLong) } else { Ok(()) }
    }

    /// How many bytes of the current event are buffered.
    #[must_use]
    pub fn held(&self) -> usize {
        self.lines.held.len() + self.data.as_ref().map_or(0, String::len)
    }

    /// The stream ended. An event without its final blank line counts: some servers leave that line out.
    pub fn finish(&mut self, events: &mut Vec<String>) {
        // A last line that makes the event too long is ignored; the stream has ended.
        let _ = read_line(&self.lines.finish(), &mut self.data, events);
        events.extend(self.data.take());
    }
}

fn read_line(line: &[u8], data: &mut Option<String>, events: &mut Vec<String>) -> Result<(), EventTooLong> {
    if line.is_empty() {
        events.extend(data.take());
        return Ok(());
    }
    let Some(value) = field(line, b"data") else { return Ok(()) };
    if data.as_ref().map_or(0, String::len) + value.len() > MAX_EVENT_BYTES {
        return Err(EventTooLong);
    }
    let text = String::from_utf8_lossy(value);
    match data {
        Some(data) => {
            data.push('\n');
            data.push_str(&text);
        }
        None => *data = Some(text.into_owned()),
    }
    Ok(())
}

/// The value of a field, if the line has this field.
#[must_use]
pub fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        // Another field whose name has the same beginning.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use eventsource_stream::Eventsource;
    use futures::{StreamExt, executor::block_on, stream};
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for chunk in chunks {
            decoder.feed(chunk, &mut events).unwrap();
        }
        events
    }

    #[test]
    fn reads_data_and_nothing_else() {
        let text = b": hello\nevent: x\ndata: a\ndata:b\n\nid: 1\nretry: 5\ndatabase: no\n\ndata\n\ndata:  c\n\n";
        assert_eq!(decode(&[text]), ["a\nb", "", " c"]);
    }

    #[test]
    fn every_line_end_will_do_wherever_it_is_cut() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("data: é漢🦀{end}{end}data: b{end}{end}");
            for cut in 0..text.len() {
                let (a, b) = text.as_bytes().split_at(cut);
                let mut expected = decode(&[a, b]);
                if end == "\r" {
                    // A lone CR at the very end may still be the first half of a CRLF, but the line is over either way.
                    expected.truncate(2);
                }
                assert_eq!(expected, ["é漢🦀", "b"], "{end:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_event_without_its_blank_line_counts_when_the_stream_ends() {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        decoder.feed(b"data: [DONE]", &mut events).unwrap();
        assert!(events.is_empty());
        decoder.finish(&mut events);
        assert_eq!(events, ["[DONE]"]);
    }

    #[test]
    fn an_endless_event_is_refused_however_it_comes() {
        let piece = vec![b'x'; 64 * 1024];
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        let one_line = (0..100).try_for_each(|_| decoder.feed(&piece, &mut events));
        assert_eq!(one_line, Err(EventTooLong));
        let mut decoder = Decoder::default();
        let many_lines = (0..100).try_for_each(|_| {
            decoder.feed(b"data: ", &mut events)?;
            decoder.feed(&piece, &mut events)?;
            decoder.feed(b"\n", &mut events)
        });
        assert_eq!(many_lines, Err(EventTooLong));
    }

    proptest! {
        /// Wherever the input is cut, the events are the same, and another implementation reads the same ones.
        #[test]
        fn agrees_with_another_decoder_however_it_is_cut(
            lines in prop::collection::vec("(data|event|id|:|dat|data: |data:|event: x)?[a-zé漢🦀: ]{0,8}", 0..20),
            end in prop::sample::select(vec!["\n", "\r\n"]),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let text = lines.iter().map(|line| format!("{line}{end}")).collect::<String>() + end;
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let whole = stream::iter([Ok::<_, std::io::Error>(text.clone().into_bytes())]);
            let mut other: Vec<String> = block_on(whole.eventsource().map(|event| event.unwrap().data).collect());
            let mut ours = decode(&chunks);
            // The two differ for events without data, which we ignore.
            other.retain(|data| !data.is_empty());
            ours.retain(|data| !data.is_empty());
            prop_assert_eq!(ours, other);
        }

        #[test]
        fn no_bytes_make_it_fail_or_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16)) {
            let (mut decoder, mut events) = (Decoder::default(), Vec::new());
            for chunk in &chunks {
                prop_assert!(decoder.feed(chunk, &mut events).is_ok());
            }
            decoder.finish(&mut events);
        }
    }
}
