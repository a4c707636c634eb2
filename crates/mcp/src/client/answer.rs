//! From the body of an answer to the messages in it, never holding more than was allowed.

use futures::StreamExt;
use http::HeaderMap;

use super::{BodyStream, ClientError};
use crate::{header::is, wire::Message};

/// An error's body is read up to this: it is shown, at most, in part.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Messages of a body, one after the other.
pub(crate) struct Messages {
    body: BodyStream,
    /// How many bytes may still come.
    budget: usize,
    /// `None`: the body is one message.
    events: Option<sse::Decoder>,
    waiting: std::vec::IntoIter<String>,
    ended: bool,
}

impl Messages {
    pub(crate) fn new(headers: &HeaderMap, body: BodyStream, max_bytes: usize) -> Self {
        let events = is(headers, "text/event-stream").then(sse::Decoder::default);
        Self { body, budget: max_bytes, events, waiting: Vec::new().into_iter(), ended: false }
    }

    /// The next message; `None` at the end. Events without data or without a message in them are nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            for text in self.waiting.by_ref() {
                if !text.trim_start().is_empty() {
                    return parse(text.as_bytes()).map(Some);
                }
            }
            if self.ended {
                return Ok(None);
            }
            let Some(decoder) = &mut self.events else {
                self.ended = true;
                let whole = read(&mut self.body, self.budget).await?;
                return parse(&whole).map(Some);
            };
            let mut events = Vec::new();
            match self.body.next().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.budget = self.budget.checked_sub(chunk.len()).ok_or(ClientError::TooLarge)?;
                    decoder.feed(&chunk, &mut events).map_err(|_| ClientError::TooLarge)?;
                }
                None => {
                    decoder.finish(&mut events);
                    self.ended = true;
                }
            }
            self.waiting = events.into_iter();
        }
    }
}

fn parse(text: &[u8]) -> Result<Message, ClientError> {
    serde_json::from_slice(text).map_err(|error| ClientError::Malformed(error.to_string()))
}

/// The error that an answer of another status than 2xx has in its body, if it has one.
pub(crate) async fn error_message(headers: &HeaderMap, mut body: BodyStream) -> Option<Message> {
    if !is(headers, "application/json") {
        return None;
    }
    let whole = read(&mut body, MAX_ERROR_BYTES).await.ok()?;
    parse(&whole).ok().filter(|message| message.error.is_some())
}

async fn read(body: &mut BodyStream, max_bytes: usize) -> Result<Vec<u8>, ClientError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if whole.len() + chunk.len() > max_bytes {
            return Err(ClientError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}
