//! From the body of an answer to the messages in it, never holding more than was allowed.
//!
//! What a body is, it says itself by its first sign; what its header says counts only where that says nothing.

use std::collections::VecDeque;

use futures::StreamExt;
use http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::{BodyStream, ClientError};
use crate::{header::is, wire::Message};

/// An error's body is read up to this: it is shown, at most, in part.
pub(crate) const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How many bytes are looked through for the end of an answer that has no blank line or whose connection stays open: four of the longest.
const MAX_LOOKED_BYTES: usize = 16 * 1024 * 1024;
/// The longest piece of a media type that is repeated.
const MAX_TYPE_CHARS: usize = 60;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Messages of a body, one after the other.
pub(crate) struct Messages {
    body: BodyStream,
    /// How many bytes may still come.
    budget: usize,
    /// How many may still be looked through.
    looks: usize,
    form: Form,
    waiting: VecDeque<Message>,
    ended: bool,
    says_events: bool,
    media_type: String,
}

enum Form {
    /// Nothing but blanks has come.
    Unknown(Vec<u8>),
    /// The body is one message, or a list of them.
    Whole(Vec<u8>),
    Events(sse::Decoder),
}

impl Messages {
    pub(crate) fn new(headers: &HeaderMap, body: BodyStream, max_bytes: usize) -> Self {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            body,
            budget: max_bytes,
            looks: MAX_LOOKED_BYTES,
            form: Form::Unknown(Vec::new()),
            waiting: VecDeque::new(),
            ended: false,
            says_events: is(headers, "text/event-stream"),
            media_type: media_type.chars().take(MAX_TYPE_CHARS).collect(),
        }
    }

    /// The next message; `None` at the end. Events without a message in them are nothing: some servers keep a stream alive that way.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(Some(message));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.next().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.budget = self.budget.checked_sub(chunk.len()).ok_or(ClientError::TooLarge)?;
                    self.take(&chunk)?;
                    self.look_ahead(&chunk);
                }
                None => {
                    self.ended = true;
                    self.finish()?;
                }
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        match &mut self.form {
            Form::Events(decoder) => {
                let mut events = Vec::new();
                decoder.feed(chunk, &mut events).map_err(|_| ClientError::TooLarge)?;
                self.waiting.extend(events.iter().flat_map(|event| parse(event.as_bytes())));
                Ok(())
            }
            Form::Whole(whole) => {
                whole.extend_from_slice(chunk);
                Ok(())
            }
            Form::Unknown(begun) => {
                begun.extend_from_slice(chunk);
                let text = begun.strip_prefix(BYTE_ORDER_MARK).unwrap_or(begun);
                let form = match text.trim_ascii_start().first() {
                    None => return Ok(()),
                    Some(b'{' | b'[') => Form::Whole(Vec::new()),
                    // As the fields of events and their comments begin, and no JSON.
                    Some(b'd' | b'e' | b'i' | b'r' | b':') => Form::Events(sse::Decoder::default()),
                    Some(_) if self.says_events => Form::Events(sse::Decoder::default()),
                    Some(_) => Form::Whole(Vec::new()),
                };
                // The mark may come in pieces: then its first bytes are still alone.
                if BYTE_ORDER_MARK.starts_with(text) {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                self.form = form;
                self.take(&begun)
            }
        }
    }

    /// Takes an answer that is whole, though what ends it has not come: a server may leave out an event's blank line, or the connection open.
    /// Nothing can follow the end of a JSON text but blanks.
    fn look_ahead(&mut self, chunk: &[u8]) {
        if !self.waiting.is_empty() || !matches!(chunk.trim_ascii_end().last(), Some(b'}' | b']')) {
            return;
        }
        let messages = match &self.form {
            Form::Unknown(_) => return,
            Form::Whole(whole) => {
                let Some(looks) = self.looks.checked_sub(whole.len()) else { return };
                self.looks = looks;
                parse(whole)
            }
            Form::Events(decoder) => {
                let Some(looks) = self.looks.checked_sub(decoder.held()) else { return };
                self.looks = looks;
                let mut events = Vec::new();
                decoder.clone().finish(&mut events);
                events.iter().flat_map(|event| parse(event.as_bytes())).collect()
            }
        };
        // What is no answer comes again, when it has ended.
        self.waiting.extend(messages.into_iter().filter(|message| message.method.is_none()));
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        match &mut self.form {
            Form::Unknown(_) => Ok(()),
            Form::Events(decoder) => {
                let mut events = Vec::new();
                decoder.finish(&mut events);
                self.waiting.extend(events.iter().flat_map(|event| parse(event.as_bytes())));
                Ok(())
            }
            Form::Whole(whole) => {
                let messages = parse(whole);
                if messages.is_empty() {
                    let kind = match self.media_type.as_str() {
                        "" => "something without a type",
                        media_type => media_type,
                    };
                    return Err(ClientError::Malformed(format!("it is no JSON-RPC message, but {kind}")));
                }
                self.waiting.extend(messages);
                Ok(())
            }
        }
    }
}

/// The messages of a text: one, or a list of them as servers before 2025-06-18 send it. None, if there is none in it.
fn parse(text: &[u8]) -> Vec<Message> {
    let text = String::from_utf8_lossy(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    if text.trim_start().starts_with('[') {
        let messages: Vec<Box<RawValue>> = serde_json::from_str(&text).unwrap_or_default();
        return messages.iter().filter_map(|message| serde_json::from_str(message.get()).ok()).collect();
    }
    serde_json::from_str(&text).ok().into_iter().collect()
}

/// The error that an answer of another status than 2xx has in its body, if it has one.
pub(crate) async fn error_message(headers: &HeaderMap, body: BodyStream) -> Option<Message> {
    let mut messages = Messages::new(headers, body, MAX_ERROR_BYTES);
    while let Ok(Some(message)) = messages.next().await {
        if message.error.is_some() {
            return Some(message);
        }
    }
    None
}
