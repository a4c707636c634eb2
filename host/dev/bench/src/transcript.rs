//! One stream as its reader got it: when tokens came, and whether all of them came once and in order. Sends nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use eventsource_stream::Event;
use serde::Deserialize;
use serde_json::Value;

/// The format of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    /// OpenAI's chunks.
    Model,
    /// The events of `docs/api.md`.
    App,
}

/// The times of a correct stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// Time from the request to the first token.
    pub(crate) first_token: Duration,
    /// The longest wait between two tokens.
    pub(crate) gap_max: Duration,
}

/// A stream being read.
pub(crate) struct Transcript {
    dialect: Dialect,
    expected: u64,
    began: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    gap_max: Duration,
    tokens: u64,
    ends: u64,
    last_id: u64,
}

#[derive(Deserialize)]
struct Data {
    content: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    token_count: Option<u64>,
}

impl Transcript {
    /// For a stream of this many tokens, whose request is sent at `began`.
    pub(crate) fn new(dialect: Dialect, expected: u64, began: Instant) -> Self {
        let (first, last, gap_max) = (None, None, Duration::ZERO);
        Self { dialect, expected, began, first, last, gap_max, tokens: 0, ends: 0, last_id: 0 }
    }

    /// Reads an event that came at `at`. The error says why it is wrong.
    pub(crate) fn read(&mut self, event: &Event, at: Instant) -> anyhow::Result<()> {
        match self.dialect {
            Dialect::Model => self.read_chunk(event, at),
            Dialect::App => self.read_event(event, at),
        }
    }

    fn read_chunk(&mut self, event: &Event, at: Instant) -> anyhow::Result<()> {
        if event.data == "[DONE]" {
            self.ends += 1;
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(&event.data).context("a chunk is no JSON")?;
        let text = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str);
        if text.is_some_and(|text| !text.is_empty()) {
            self.token(at);
        }
        Ok(())
    }

    fn read_event(&mut self, event: &Event, at: Instant) -> anyhow::Result<()> {
        let ends = match event.event.as_str() {
            "token" => false,
            "complete" => true,
            "error" => bail!("it reports an error: {}", event.data),
            _ => return Ok(()),
        };
        let id: u64 = event.id.parse().with_context(|| format!("the id {:?} is no number", event.id))?;
        ensure!(id > self.last_id, "ids do not grow: {id} after {}", self.last_id);
        self.last_id = id;
        let data: Data = serde_json::from_str(&event.data).context("an event's data is not what docs/api.md says")?;
        if ends {
            self.ends += 1;
            return Ok(());
        }
        self.token(at);
        ensure!(!data.content.is_empty(), "token {} is empty", self.tokens);
        let count = data.metadata.token_count;
        ensure!(count == Some(self.tokens), "token {} calls itself {count:?}", self.tokens);
        Ok(())
    }

    fn token(&mut self, at: Instant) {
        self.tokens += 1;
        self.first.get_or_insert(at);
        if let Some(last) = self.last.replace(at) {
            self.gap_max = self.gap_max.max(at - last);
        }
    }

    /// The stream has ended.
    pub(crate) fn end(self) -> anyhow::Result<Reading> {
        ensure!(self.tokens == self.expected, "{} tokens came of {}", self.tokens, self.expected);
        ensure!(self.ends == 1, "it says {} times that it is complete", self.ends);
        let first = self.first.context("no token came")?;
        Ok(Reading { first_token: first - self.began, gap_max: self.gap_max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, id: u64, data: &str) -> Event {
        Event { event: kind.to_owned(), data: data.to_owned(), id: id.to_string(), retry: None }
    }

    fn token(count: u64) -> Event {
        let data = format!(r#"{{"type":"token","content":"a","metadata":{{"token_count":{count}}}}}"#);
        event("token", count, &data)
    }

    fn complete(id: u64) -> Event {
        event("complete", id, r#"{"type":"complete","content":"","metadata":{}}"#)
    }

    /// Reads the events 10 ms apart, as a stream of three tokens.
    fn read(events: &[Event]) -> Result<Reading, String> {
        let began = Instant::now();
        let mut transcript = Transcript::new(Dialect::App, 3, began);
        let mut at = began;
        for event in events {
            at += Duration::from_millis(10);
            transcript.read(event, at).map_err(|error| error.to_string())?;
        }
        transcript.end().map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_stream_tells_its_first_token_and_its_longest_gap() {
        let state = event("state", 0, r#"{"type":"state","content":"processing","metadata":{}}"#);
        let events = [state.clone(), token(1), token(2), state, token(3), complete(4)];
        let expected = Reading { first_token: Duration::from_millis(20), gap_max: Duration::from_millis(20) };
        assert_eq!(read(&events), Ok(expected));
    }

    #[test]
    fn a_lost_token_is_noticed() {
        assert_eq!(read(&[token(1), token(3), complete(4)]), Err("token 2 calls itself Some(3)".to_owned()));
        assert_eq!(read(&[token(1), token(2), complete(4)]), Err("2 tokens came of 3".to_owned()));
    }

    #[test]
    fn a_doubled_event_is_noticed() {
        let doubled = read(&[token(1), token(2), token(2), token(3), complete(4)]);
        assert_eq!(doubled, Err("ids do not grow: 2 after 2".to_owned()));
        let twice = read(&[token(1), token(2), token(3), complete(4), complete(5)]);
        assert_eq!(twice, Err("it says 2 times that it is complete".to_owned()));
    }

    #[test]
    fn a_stream_that_breaks_off_or_fails_is_noticed() {
        let broken = read(&[token(1), token(2), token(3)]);
        assert_eq!(broken, Err("it says 0 times that it is complete".to_owned()));
        let failed = read(&[token(1), event("error", 2, "{}")]);
        assert_eq!(failed, Err("it reports an error: {}".to_owned()));
    }
}
