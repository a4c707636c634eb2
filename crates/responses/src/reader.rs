//! Reads the answer: events of the stream, or a whole response of a server that does not stream.

use std::collections::HashSet;

use completions::{
    CompletionError, Piece, ProviderError, Reported, Round, Usage,
    addition::{Addition, CallPart, REASONING_ITEMS},
    repaired,
};
use serde_json::Value;
use sse::{Lines, MAX_EVENT_BYTES, field};

use crate::{
    events::{Event, Item, Response, text},
    places::Places,
};

/// How often the data of an event is tried before its blank line: an object over more lines than this waits for it.
const MAX_TRIES: u32 = 16;

/// The mark at the end of a stream, which some servers send though the API has none.
const DONE: &[u8] = b"[DONE]";

/// An answer that is being received. The text, the calls and the rest are in the [`Round`] that is fed with it.
#[derive(Clone, Default, Debug)]
pub struct Reader {
    lines: Lines,
    /// The data of the event that is being read, or a whole response over several lines.
    data: Vec<u8>,
    has_events: bool,
    /// The current event has the name `error`.
    names_error: bool,
    /// How often the data of the current event was tried before its end.
    tries: u32,
    /// A text from the server that is an error if nothing more comes.
    doubt: Option<Box<ProviderError>>,
    places: Places,
    /// Something came that is no event.
    is_foreign: bool,
    /// The places of items of which pieces came. What repeats them whole is not read again.
    begun: HashSet<i64>,
    /// The places of calls.
    calls: HashSet<i64>,
    /// The ids of calls.
    call_ids: HashSet<String>,
    /// The reasoning items that were kept, by their ids.
    kept: HashSet<String>,
}

impl Reader {
    /// Reads a chunk of the body and appends the new pieces.
    ///
    /// # Errors
    /// [`CompletionError`]; earlier pieces stay in the round. After the answer's end nothing is an error any more.
    pub fn feed(&mut self, round: &mut Round, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut lines = std::mem::take(&mut self.lines);
        let read = lines.feed(bytes, |line| self.read_line(round, line, pieces));
        self.lines = lines;
        unless_finished(round, read)
    }

    /// The body ended, or the caller wants no more of it.
    ///
    /// # Errors
    /// [`CompletionError`] unless the answer is whole.
    pub fn finish(&mut self, round: &mut Round, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let line = self.lines.finish();
        let read = self.read_line(round, &line, pieces).and_then(|()| self.flush(round, pieces));
        unless_finished(round, read)?;
        match round.finish(pieces) {
            Err(CompletionError::Unfinished) if self.doubt.is_some() => {
                Err(self.doubt.take().map_or(CompletionError::Unfinished, CompletionError::Provider))
            }
            Err(CompletionError::Unfinished) if self.is_foreign && !self.has_events => Err(CompletionError::Foreign),
            finished => finished,
        }
    }

    fn read_line(&mut self, round: &mut Round, line: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        if line.is_empty() {
            let flushed = if self.has_events { self.flush(round, pieces) } else { Ok(()) };
            self.names_error = false;
            return flushed;
        }
        if let Some(name) = field(line, b"event") {
            self.names_error = name.trim_ascii() == b"error";
            return Ok(());
        }
        let data = field(line, b"data");
        self.has_events |= data.is_some();
        let line = match data {
            Some(data) => data,
            None if self.has_events || line.starts_with(b":") => return Ok(()),
            None if ["id", "retry"].iter().any(|name| field(line, name.as_bytes()).is_some()) => return Ok(()),
            None if self.data.is_empty() && line.trim_ascii_start().starts_with(b"<") => {
                return Err(CompletionError::WebPage);
            }
            None => line,
        };
        // Some servers leave out the blank line between events.
        if data.is_some() && line.starts_with(b"{") && self.data.trim_ascii_end().ends_with(b"}") {
            self.flush(round, pieces)?;
        }
        if self.data.len() + line.len() > MAX_EVENT_BYTES {
            self.data = Vec::new();
            return Err(sse::EventTooLong.into());
        }
        self.data.extend_from_slice(line);
        self.data.push(b'\n');
        // An object is read as soon as it is whole: the blank line may never come.
        if data.is_some() && line.ends_with(b"}") && self.tries < MAX_TRIES {
            self.tries += 1;
            if let Ok(event) = serde_json::from_slice::<Event>(&self.data) {
                let data = std::mem::take(&mut self.data);
                self.tries = 0;
                return self.read(round, &event, &data, pieces);
            }
        }
        Ok(())
    }

    fn flush(&mut self, round: &mut Round, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let data = std::mem::take(&mut self.data);
        self.tries = 0;
        let data = data.trim_ascii();
        if data.is_empty() || data.strip_prefix(b"\"").unwrap_or(data).starts_with(DONE) {
            return Ok(());
        }
        if let Ok(event) = serde_json::from_slice::<Event>(data) {
            return self.read(round, &event, data, pieces);
        }
        let is_object = data.starts_with(b"{");
        if is_object {
            let text = repaired(&String::from_utf8_lossy(data));
            if let Ok(event) = serde_json::from_str::<Event>(&text) {
                return self.read(round, &event, text.as_bytes(), pieces);
            }
        }
        match self.has_events {
            true if is_object => Err(CompletionError::Malformed),
            true if self.names_error => Err(CompletionError::Provider(Box::new(ProviderError::from_body(data)))),
            _ => {
                self.is_foreign = true;
                Ok(())
            }
        }
    }

    fn read(
        &mut self,
        round: &mut Round,
        event: &Event,
        data: &[u8],
        pieces: &mut Vec<Piece>,
    ) -> Result<(), CompletionError> {
        let at = self.places.of(event);
        let addition = match event.r#type.as_str().unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => {
                self.begun.insert(at);
                Addition { text: text(&event.delta), ..Addition::default() }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" | "response.reasoning.delta" => {
                self.begun.insert(at);
                Addition { reasoning: text(&event.delta), ..Addition::default() }
            }
            "response.reasoning_summary_part.added" if event.summary_index.as_i64().is_some_and(|index| index > 0) => {
                Addition { reasoning: "\n\n".to_owned(), ..Addition::default() }
            }
            "response.output_item.added" => match Item(&event.item) {
                item if item.kind() == "function_call" => self.call(at, &item),
                _ => return Ok(()),
            },
            "response.function_call_arguments.delta" => {
                self.begun.insert(at);
                arguments(at, text(&event.delta))
            }
            "response.function_call_arguments.done" if self.begun.insert(at) => arguments(at, text(&event.arguments)),
            "response.output_item.done" => self.whole(round, at, &Item(&event.item)),
            "response.completed" | "response.done" => self.ended(round, &Response(&event.response)),
            "response.incomplete" => {
                let ended = self.ended(round, &Response(&event.response));
                // Some servers do not say why.
                let reason = ended.finish_reason.filter(|reason| *reason == "content_filter").unwrap_or("length");
                Addition { finish_reason: Some(reason), ..ended }
            }
            "response.failed" | "error" => return Err(error(data)),
            kind if kind.starts_with("response.") => return Ok(()),
            _ => {
                let value = serde_json::from_slice::<Value>(data).unwrap_or_default();
                // A response that was not streamed.
                let is_response = event.object == "response" || value.get("output").is_some();
                match ProviderError::in_chunk(&value, is_response, self.names_error) {
                    Reported::Error(error) => return Err(CompletionError::Provider(Box::new(error))),
                    Reported::Nothing if is_response => self.ended(round, &Response(&value)),
                    Reported::Nothing => {
                        self.is_foreign = true;
                        return Ok(());
                    }
                    Reported::Perhaps(error) => {
                        self.doubt = Some(Box::new(error));
                        return Ok(());
                    }
                }
            }
        };
        self.doubt = None;
        round.take(addition, pieces)
    }

    fn call(&mut self, at: i64, item: &Item<'_>) -> Addition {
        self.calls.insert(at);
        self.call_ids.extend(item.field("call_id").map(str::to_owned));
        let arguments = item.arguments();
        if !arguments.is_empty() {
            self.begun.insert(at);
        }
        let id = item.field("call_id").or(item.field("id")).map(str::to_owned);
        let name = item.field("name").map(str::to_owned);
        Addition { calls: vec![CallPart { index: at, id, name, arguments }], ..Addition::default() }
    }

    /// An item is whole. Of what came in pieces, only what must be sent back is new.
    fn whole(&mut self, round: &Round, at: i64, item: &Item<'_>) -> Addition {
        let is_new = self.begun.insert(at);
        match item.kind() {
            "function_call" if !self.calls.contains(&at) => self.call(at, item),
            "function_call" if is_new => arguments(at, item.arguments()),
            // The pieces of some servers do not say of which item they are.
            "message" if is_new && !(round.has_begun() && round.text.ends_with(&item.text())) => {
                Addition { text: item.text(), ..Addition::default() }
            }
            "reasoning" => {
                let is_new = is_new && !(round.has_begun() && round.reasoning.ends_with(&item.reasoning()));
                let reasoning = if is_new { item.reasoning() } else { String::new() };
                Addition { reasoning, kept: self.keep(at, item), ..Addition::default() }
            }
            _ => Addition::default(),
        }
    }

    /// A reasoning item to be sent back, once.
    fn keep(&mut self, at: i64, item: &Item<'_>) -> Vec<(&'static str, Value)> {
        let id = item.field("id").map_or_else(|| at.to_string(), str::to_owned);
        let is_new = self.kept.insert(id);
        is_new.then(|| (REASONING_ITEMS, Value::Array(vec![item.sent_back()]))).into_iter().collect()
    }

    /// The answer is whole, or was cut. Its items come once more; what did not come before comes now.
    fn ended(&mut self, round: &Round, response: &Response<'_>) -> Addition {
        let mut all = Addition::default();
        let (had_text, had_reasoning, had_calls) =
            (!round.text.is_empty(), !round.reasoning.is_empty(), !self.calls.is_empty());
        for (at, raw) in response.output() {
            let item = Item(raw);
            match item.kind() {
                "message" if !had_text => all.text.push_str(&item.text()),
                "function_call" if !item.field("call_id").map_or(had_calls, |id| self.call_ids.contains(id)) => {
                    all.calls.extend(self.call(at, &item).calls)
                }
                "reasoning" => {
                    if !had_reasoning {
                        all.reasoning.push_str(&item.reasoning());
                    }
                    all.kept.extend(self.keep(at, &item));
                }
                _ => {}
            }
        }
        all.finish_reason = Some(match response.cut() {
            Some("content_filter") => "content_filter",
            Some(_) => "length",
            None if !self.calls.is_empty() => "tool_calls",
            None => "stop",
        });
        let usage = |(prompt_tokens, completion_tokens)| Usage { prompt_tokens, completion_tokens };
        all.usage = response.usage().map(usage);
        all
    }
}

/// After the answer's end nothing is an error.
fn unless_finished(round: &Round, read: Result<(), CompletionError>) -> Result<(), CompletionError> {
    if round.finish_reason.is_some() { Ok(()) } else { read }
}

fn arguments(index: i64, arguments: String) -> Addition {
    Addition { calls: vec![CallPart { index, id: None, name: None, arguments }], ..Addition::default() }
}

fn error(data: &[u8]) -> CompletionError {
    let value = serde_json::from_slice::<Value>(data).unwrap_or_default();
    let within = value.pointer("/response/error").or_else(|| value.get("error")).filter(|error| !error.is_null());
    let said = within.unwrap_or(&value).to_string();
    CompletionError::Provider(Box::new(ProviderError::from_body(said.as_bytes())))
}
