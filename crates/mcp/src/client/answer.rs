//! Reads the messages in the body of a response, within limits.
//!
//! The first character of a body tells whether it is JSON or a stream of events. The header decides only if that character does not.

use std::{cell::RefCell, collections::VecDeque, fmt, rc::Rc};

use futures::StreamExt;
use http::{HeaderMap, header};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{BodyStream, ClientError};
use crate::{header::is, lenient, wire::Message};

/// The most bytes that are read of an error's body. At most a part of it is shown.
pub(crate) const MAX_ERROR_BYTES: usize = 64 * 1024;
/// The most bytes that are parsed in search of the end of a response that lacks its blank line or whose connection stays open: four times the longest
/// event.
const MAX_LOOKED_BYTES: usize = 16 * 1024 * 1024;
/// The most bytes of all notifications before a response, not counting the response. A minute of progress is far shorter.
const MAX_NOTICE_BYTES: usize = 16 * 1024 * 1024;
/// The most messages in a batch. Servers that send batches answer one request and report a few steps. Parsed, three bytes of a batch can become two
/// hundred.
pub(crate) const MAX_BATCH: usize = 100;
/// The longest part of a media type that an error repeats.
const MAX_TYPE_CHARS: usize = 60;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads the messages of a body, one after the other.
pub(crate) struct Messages {
    body: BodyStream,
    /// The bytes that may still come. Notifications no longer count once they are read.
    budget: usize,
    /// The bytes of notifications that may still come.
    notices: usize,
    /// The bytes that may still be parsed in search of the end.
    looks: usize,
    form: Form,
    /// Complete texts that are not parsed yet, because parsed they can be much larger.
    texts: VecDeque<String>,
    /// The messages of the last parsed text.
    waiting: VecDeque<Message>,
    /// Whether the last chunk ends as a message does.
    may_be_whole: bool,
    ended: bool,
    says_events: bool,
    media_type: String,
}

enum Form {
    /// Only white space has come so far.
    Unknown(Vec<u8>),
    /// The body is a message or a batch.
    Whole(Vec<u8>),
    Events(sse::Decoder),
}

impl Messages {
    pub(crate) fn new(headers: &HeaderMap, body: BodyStream, max_bytes: usize) -> Self {
        let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            body,
            budget: max_bytes,
            notices: MAX_NOTICE_BYTES,
            looks: MAX_LOOKED_BYTES,
            form: Form::Unknown(Vec::new()),
            texts: VecDeque::new(),
            waiting: VecDeque::new(),
            may_be_whole: false,
            ended: false,
            says_events: is(headers, "text/event-stream"),
            media_type: media_type.chars().take(MAX_TYPE_CHARS).collect(),
        }
    }

    /// The next message; `None` at the end. Events without a message are skipped: some servers keep a stream alive with them.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(Some(message));
            }
            if let Some(text) = self.texts.pop_front() {
                let messages = parse(text.as_bytes())?;
                if messages.iter().all(|message| message.method.is_some()) {
                    self.notices = self.notices.checked_sub(text.len()).ok_or(ClientError::TooLarge)?;
                    self.budget = self.budget.saturating_add(text.len());
                }
                self.waiting.extend(messages);
                continue;
            }
            if std::mem::take(&mut self.may_be_whole) {
                self.look_ahead()?;
                continue;
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.next().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    self.budget = self.budget.checked_sub(chunk.len()).ok_or(ClientError::TooLarge)?;
                    self.take(&chunk)?;
                    self.may_be_whole = matches!(chunk.trim_ascii_end().last(), Some(b'}' | b']'));
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
                self.texts.extend(events);
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
                    // The first characters of the fields and comments of events. No JSON message begins with them.
                    Some(b'd' | b'e' | b'i' | b'r' | b':') => Form::Events(sse::Decoder::default()),
                    Some(_) if self.says_events => Form::Events(sse::Decoder::default()),
                    Some(_) => Form::Whole(Vec::new()),
                };
                // The byte order mark may come in several chunks.
                if BYTE_ORDER_MARK.starts_with(text) {
                    return Ok(());
                }
                let begun = std::mem::take(begun);
                self.form = form;
                self.take(&begun)
            }
        }
    }

    /// Takes a response that is complete although its end has not come: a server may omit an event's blank line or leave the connection open. Only
    /// white space can follow a complete JSON text.
    fn look_ahead(&mut self) -> Result<(), ClientError> {
        let messages = match &self.form {
            Form::Unknown(_) => return Ok(()),
            Form::Whole(whole) => {
                let Some(looks) = self.looks.checked_sub(whole.len()) else { return Ok(()) };
                self.looks = looks;
                parse(whole)?
            }
            Form::Events(decoder) => {
                let Some(looks) = self.looks.checked_sub(decoder.held()) else { return Ok(()) };
                self.looks = looks;
                let mut events = Vec::new();
                decoder.clone().finish(&mut events);
                // At most one event is unfinished.
                events.first().map(|event| parse(event.as_bytes())).transpose()?.unwrap_or_default()
            }
        };
        // Only responses are taken. Other messages are read when their event has ended.
        self.waiting.extend(messages.into_iter().filter(|message| message.method.is_none()));
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        match &mut self.form {
            Form::Unknown(_) => Ok(()),
            Form::Events(decoder) => {
                let mut events = Vec::new();
                decoder.finish(&mut events);
                self.texts.extend(events);
                Ok(())
            }
            Form::Whole(whole) => {
                let messages = parse(whole)?;
                if messages.is_empty() {
                    let kind = match self.media_type.as_str() {
                        "" => "content without a type",
                        media_type => media_type,
                    };
                    return Err(ClientError::Malformed(format!("it is not a JSON-RPC message, but {kind}")));
                }
                self.waiting.extend(messages);
                Ok(())
            }
        }
    }
}

/// The messages of a text: a single message, one message per line, or a batch, as servers before 2025-06-18 send it. Empty if there is none.
fn parse(text: &[u8]) -> Result<Vec<Message>, ClientError> {
    let text = String::from_utf8_lossy(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    // A `RawValue` is kept without a check of its escapes, so a text with a possible lone surrogate is repaired before it is parsed.
    if !lenient::may_have_half_a_sign(&text) {
        let messages = parse_json(&text)?;
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
    let messages = parse_json(&lenient::as_json(&text))?;
    if !messages.is_empty() {
        return Ok(messages);
    }
    lenient::each_key_once(&text).map_or(Ok(Vec::new()), |text| parse_json(&text))
}

fn parse_json(text: &str) -> Result<Vec<Message>, ClientError> {
    match text.trim_start().as_bytes().first() {
        Some(b'[') => {
            let Batch { messages, is_over } = serde_json::from_str(text).unwrap_or_default();
            if is_over { Err(ClientError::TooManyMessages) } else { Ok(messages) }
        }
        // Some gateways wrap a message in a JSON string.
        Some(b'"') => {
            let inner: Option<String> = serde_json::from_str(text).ok();
            Ok(inner.and_then(|inner| serde_json::from_str(&inner).ok()).into_iter().collect())
        }
        _ => {
            let mut messages = Vec::new();
            for message in serde_json::Deserializer::from_str(text).into_iter::<Message>() {
                let Ok(message) = message else { break };
                if messages.len() >= MAX_BATCH {
                    return Err(ClientError::TooManyMessages);
                }
                messages.push(message);
            }
            Ok(messages)
        }
    }
}

/// A batch of up to [`MAX_BATCH`] messages. Invalid ones are left out.
#[derive(Default)]
struct Batch {
    messages: Vec<Message>,
    is_over: bool,
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = Batch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Batch, A::Error> {
                let mut batch = Batch::default();
                for _ in 0..MAX_BATCH {
                    let Some(item) = items.next_element::<Box<RawValue>>()? else { return Ok(batch) };
                    batch.messages.extend(serde_json::from_str::<Message>(item.get()).ok());
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    batch.is_over = true;
                }
                Ok(batch)
            }
        }

        deserializer.deserialize_seq(Items)
    }
}

/// The error message in the body of a response whose status is not 2xx, if there is one, and the text of the body.
pub(crate) async fn error_message(headers: &HeaderMap, body: BodyStream) -> (Option<Message>, String) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let copied = Rc::clone(&seen);
    let body = body.inspect(move |chunk| {
        let mut copied = copied.borrow_mut();
        if let Ok(chunk) = chunk
            && copied.len() < MAX_ERROR_BYTES
        {
            copied.extend_from_slice(chunk);
        }
    });
    let mut messages = Messages::new(headers, Box::pin(body), MAX_ERROR_BYTES);
    let mut found = None;
    while let Ok(Some(message)) = messages.next().await {
        if message.error.is_some() {
            found = Some(message);
            break;
        }
    }
    let text = String::from_utf8_lossy(&seen.borrow()).into_owned();
    (found, text)
}
