//! A reader of server-sent events (WHATWG HTML, section 9.2), strict about the form of ours.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use reqwest::Response;
use serde_json::Value;

use crate::within;

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `id:`; none if the event is not replayed.
    pub id: Option<u64>,
    /// `data:`.
    pub data: Value,
}

impl Event {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or_default()
    }

    /// Its content.
    #[must_use]
    pub fn content(&self) -> &str {
        self.data["content"].as_str().unwrap_or_default()
    }

    /// A part of its metadata; null if it has none of that name.
    #[must_use]
    pub fn metadata(&self, name: &str) -> &Value {
        &self.data["metadata"][name]
    }

    /// Whether it is this state.
    #[must_use]
    pub fn is_state(&self, content: &str) -> bool {
        self.kind() == "state" && self.content() == content
    }
}

/// The answer in the events, as a page shows it: the tokens since the last restart.
#[must_use]
pub fn said<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut said = String::new();
    for event in events {
        match event.kind() {
            "token" => said.push_str(event.content()),
            "state" if event.content() == "restarted" => said.clear(),
            _ => {}
        }
    }
    said
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    response: Response,
    bytes: Vec<u8>,
    waiting: VecDeque<Event>,
    last_id: u64,
    /// Whether `retry:` has come.
    pub retry: bool,
}

impl Events {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// When it is not an event stream, or when a cache could store it or a proxy hold it back.
    pub fn new(response: Response) -> Result<Self> {
        for (name, value) in
            [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
        {
            let found = response.headers().get(name).map(|value| value.to_str().unwrap_or_default());
            ensure!(found == Some(value), "{name} is {found:?} instead of {value}");
        }
        Ok(Self { response, bytes: Vec::new(), waiting: VecDeque::new(), last_id: 0, retry: false })
    }

    /// The next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// When it does not come, the connection breaks, or the event differs from `docs/api.md`.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(Some(event));
            }
            match within("an event", self.response.chunk()).await?? {
                Some(chunk) => self.take(&chunk)?,
                None => {
                    ensure!(self.bytes.is_empty(), "the stream ends in the middle of an event");
                    return Ok(None);
                }
            }
        }
    }

    /// Reads the first bytes of the body as they come, and returns their number.
    ///
    /// # Errors
    /// When none come.
    pub async fn first_bytes(&mut self) -> Result<usize> {
        let chunk = within("the first bytes", self.response.chunk()).await??.context("the stream is empty")?;
        self.take(&chunk)?;
        Ok(chunk.len())
    }

    /// The events up to and including the first that `last` accepts.
    ///
    /// # Errors
    /// As [`Self::next`], and when the stream ends before.
    pub async fn through(&mut self, last: impl Fn(&Event) -> bool) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await?.context("the stream ended before the awaited event")?;
            let found = last(&event);
            events.push(event);
            if found {
                return Ok(events);
            }
        }
    }

    /// The events up to the `count`th piece of the answer.
    ///
    /// # Errors
    /// As [`Self::through`].
    pub async fn through_tokens(&mut self, count: usize) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for _ in 0..count {
            events.extend(self.through(|event| event.kind() == "token").await?);
        }
        Ok(events)
    }

    /// The rest of the events.
    ///
    /// # Errors
    /// As [`Self::next`], and when the last event is neither `complete` nor `error`, or an earlier one is.
    pub async fn all(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        let ends = |event: &Event| matches!(event.kind(), "complete" | "error");
        ensure!(events.last().is_some_and(ends), "the stream ended without complete or error: {events:?}");
        ensure!(events.iter().filter(|event| ends(event)).count() == 1, "the stream went on after its end: {events:?}");
        Ok(events)
    }

    /// The rest of the events, until the connection ends.
    pub async fn until_broken(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(Some(event)) = self.next().await {
            events.push(event);
        }
        events
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(chunk);
        while let Some(end) = memmem::find(&self.bytes, b"\n\n") {
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let block = String::from_utf8(block).context("an event is no UTF-8")?;
            self.block(block.trim_end_matches('\n'))?;
        }
        Ok(())
    }

    fn block(&mut self, block: &str) -> Result<()> {
        let (mut id, mut event, mut data) = (None, None, None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("", _)) => {}
                Some(("retry", _)) => self.retry = true,
                Some(("id", value)) => id = Some(value.parse::<u64>().context("an id is a number")?),
                Some(("event", value)) => event = Some(value.to_owned()),
                Some(("data", value)) => data = Some(serde_json::from_str::<Value>(value)?),
                _ => bail!("an unknown line: {line:?}"),
            }
        }
        let Some(data) = data else { return Ok(()) };
        ensure!(data["type"].as_str() == event.as_deref(), "event: {event:?} is not the type in {data}");
        if let Some(id) = id {
            ensure!(id > self.last_id, "the id {id} comes after {}", self.last_id);
            self.last_id = id;
        }
        self.waiting.push_back(Event { id, data });
        Ok(())
    }
}
