//! One answer of the model, assembled from its stream.

use std::borrow::Cow;

use memchr::memmem::find_iter;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use sse::EventTooLong;

use crate::{
    body::{Body, Payload},
    calls::{self, Assembly, ToolCallRequest},
    kept::Kept,
    provider_error::ProviderError,
    thinking::Thinking,
    wire::{Choice, Chunk, Delta},
};

/// The longest answer that is kept, including reasoning: ten times the length of today's answers, and small compared to an instance's memory.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// No request or answer has more tokens, so a larger number is not a count.
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// The next part of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Text of the answer or of a refusal.
    Text(String),
    /// Text of its reasoning.
    Reasoning(String),
    /// All text so far was in fact reasoning, which only became clear now. The round has moved it, together with the rest of the same chunk.
    Reconsidered,
}

/// Tokens as counted by the provider.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

/// Why an answer cannot be used, or not be continued. The messages never contain the server's data.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompletionError {
    /// A line or an event of the stream is too long.
    #[error(transparent)]
    EventTooLong(#[from] EventTooLong),
    /// An event begins like an object but is not valid.
    #[error("the model's server sent something that is not a completion chunk")]
    Malformed,
    /// More calls than any model makes, or endless arguments.
    #[error("the model asks for more calls of tools, or longer ones, than this installation makes")]
    CallsTooLong,
    /// The provider reports an error, perhaps midway.
    #[error("the model's provider reported an error")]
    Provider(Box<ProviderError>),
    /// The answer is too long.
    #[error("the answer is longer than this installation keeps")]
    AnswerTooLong,
    /// The stream ended midway.
    #[error("the model's server ended the stream in the middle of the answer")]
    Unfinished,
    /// The response is an HTML page.
    #[error("the address answers with a web page")]
    WebPage,
    /// The response contains no completion.
    #[error("the address answers with something that is not a completion")]
    Foreign,
}

/// An answer that is being received.
#[derive(Clone, Default, Debug)]
pub struct Round {
    body: Body,
    thinking: Thinking,
    assembly: Assembly,
    kept: Kept,
    /// The field in which the server sends reasoning.
    reasoning_field: Option<&'static str>,
    /// Where the reasoning between tags begins in `reasoning`.
    tagged_from: Option<usize>,
    closing: Closing,
    /// The index of the choice that is read.
    choice: Option<i64>,
    /// The response has a place for the model's text.
    is_completion: bool,
    /// A text from the server that is an error if nothing more comes.
    doubt: Option<Box<ProviderError>>,
    /// The response has an object that no completion has.
    is_foreign: bool,
    done: bool,
    /// The text so far.
    pub text: String,
    /// The reasoning so far.
    pub reasoning: String,
    /// The calls so far. They are complete when the round is.
    pub tool_calls: Vec<ToolCallRequest>,
    /// The finish reason, once known: `stop`, `length`, `content_filter` or `tool_calls`.
    pub finish_reason: Option<String>,
    /// The usage, if the server sent it.
    pub usage: Option<Usage>,
}

impl Round {
    /// Whether the model has produced anything. From then on the request must not be retried.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !(self.text.is_empty() && self.reasoning.is_empty() && self.tool_calls.is_empty())
    }

    /// Whether the rest can be ignored: `[DONE]` came, or garbage after the end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The server's last text, if it may be an error. For a caller that waits for more in vain.
    #[must_use]
    pub fn doubt(&self) -> Option<CompletionError> {
        self.doubt.clone().filter(|_| self.finish_reason.is_none()).map(CompletionError::Provider)
    }

    /// The parts of the answer that must be sent back to the same server, by the names of the message's fields: `reasoning_content`,
    /// `reasoning_details`, and so on. `content` has the parts before the text. Each call has its own.
    #[must_use]
    pub fn kept(&self) -> Map<String, Value> {
        let mut kept = self.kept.fields();
        if let Some(field) = self.reasoning_field {
            kept.insert(field.to_owned(), Value::from(self.reasoning.as_str()));
        }
        kept
    }

    /// Reads a chunk of the body and appends the new pieces.
    ///
    /// # Errors
    /// [`CompletionError`]; earlier pieces stay in the round. After the finish reason nothing is an error any more.
    pub fn feed(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut body = std::mem::take(&mut self.body);
        let read = body.feed(bytes, |payload| self.read(payload, pieces));
        self.body = body;
        self.unless_finished(read)
    }

    /// The body ended, or the caller wants no more of it. May be called again.
    ///
    /// # Errors
    /// [`CompletionError`] unless the model sent a finish reason or the server `[DONE]`.
    pub fn finish(&mut self, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut body = std::mem::take(&mut self.body);
        let read = if self.done { Ok(()) } else { body.finish(|payload| self.read(payload, pieces)) };
        self.body = body;
        self.close(pieces);
        self.unless_finished(read)?;
        // If the model stopped without any text, the server's text was the reason.
        if let Some(doubt) = self.doubt.clone().filter(|_| self.finish_reason.is_none() || !self.has_begun()) {
            return Err(CompletionError::Provider(doubt));
        }
        let is_whole = self.body.is_one_object() && self.is_completion;
        if self.done || self.finish_reason.is_some() || is_whole {
            return Ok(());
        }
        let is_other = self.is_foreign || self.body.is_foreign() || self.body.is_one_object();
        let is_foreign = !self.is_completion && is_other;
        Err(if is_foreign { CompletionError::Foreign } else { CompletionError::Unfinished })
    }

    fn unless_finished(&mut self, read: Result<(), CompletionError>) -> Result<(), CompletionError> {
        if read.is_err() && self.finish_reason.is_some() {
            self.done = true;
            return Ok(());
        }
        read
    }

    /// Emits held-back text, and drops incomplete calls.
    fn close(&mut self, pieces: &mut Vec<Piece>) {
        let mut held = Vec::new();
        let open = self.thinking.finish(&mut held);
        self.say(&held);
        pieces.append(&mut held);
        self.tool_calls.iter_mut().for_each(calls::tidy);
        let was_cut = self.finish_reason.as_deref() == Some(LENGTH);
        let is_whole = |call: &ToolCallRequest| !was_cut || serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok();
        self.tool_calls.retain(|call| !call.name.is_empty() && is_whole(call));
        // A tag that is never closed is ordinary text, unless the answer was cut before it could be closed.
        let is_over = self.finish_reason.as_deref().map_or(self.done, |reason| reason == STOP);
        if let (Some(tag), Some(from)) = (open, self.tagged_from)
            && self.text.is_empty()
            && self.tool_calls.is_empty()
            && is_over
        {
            let text = format!("<{tag}>{}", self.reasoning.get(from..).unwrap_or_default());
            self.say_text(text, pieces);
        }
    }

    fn read(&mut self, payload: Payload<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        match payload {
            _ if self.done => Ok(()),
            Payload::Chunk(chunk) => self.read_chunk(chunk, pieces),
            Payload::Done => {
                self.done = true;
                Ok(())
            }
            Payload::ErrorWords(words) => Err(CompletionError::Provider(Box::new(ProviderError::in_words(words)))),
            Payload::Unreadable => Err(CompletionError::Malformed),
            Payload::WebPage => Err(CompletionError::WebPage),
        }
    }

    pub(crate) fn read_chunk(&mut self, chunk: Chunk<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let is_count = |usage: &Usage| usage.prompt_tokens.max(usage.completion_tokens) <= MAX_TOKENS;
        self.usage = chunk.usage.filter(is_count).or(self.usage);
        // We ask for one choice. If a server sends several, the first one is read.
        let first = || chunk.choices.iter().filter_map(|choice| choice.index).min();
        self.choice = self.choice.or_else(first);
        self.is_completion |= chunk.is_completion || !chunk.choices.is_empty();
        self.is_foreign |= chunk.is_foreign;
        let (ours, mut has_read, mut spoke) = (self.choice, false, false);
        let mut read = Ok(());
        for choice in chunk.choices {
            // Some servers put the text into one choice and the calls into another, which has no index or the same one.
            let calls = || choice.delta.as_ref().is_some_and(|delta| delta.tool_calls.is_some());
            let is_ours = match choice.index {
                Some(_) => choice.index == ours,
                None => !has_read || (self.tool_calls.is_empty() && calls()),
            };
            if is_ours && read.is_ok() {
                has_read = true;
                spoke |= choice.delta.as_ref().is_some_and(Delta::says_something);
                read = self.read_choice(choice, pieces);
            }
        }
        let doubt = self.doubt.take().filter(|_| !spoke);
        self.doubt = chunk.doubt.filter(|_| self.finish_reason.is_none()).or(doubt);
        // The provider's own error explains more than our error that follows from it.
        chunk.error.map_or(read, |error| Err(CompletionError::Provider(error)))
    }

    fn read_choice(&mut self, choice: Choice<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut delta = choice.delta.unwrap_or_default();
        if choice.is_whole && self.has_begun() {
            self.leave_new(&mut delta, choice.finish_reason.is_some());
        }
        self.read_delta(delta, pieces)?;
        if let Some(error) = choice.error {
            return Err(CompletionError::Provider(error));
        }
        match choice.finish_reason.as_deref().map(reason) {
            Some(Reason::Known(reason)) => self.finish_reason = Some(reason.to_owned()),
            Some(Reason::BrokeOff) => return Err(CompletionError::Unfinished),
            Some(Reason::None) | None => {}
        }
        Ok(())
    }

    /// Reduces a whole message to what it adds. Some servers send only the new text each time, some all text so far, some all text again at the
    /// end.
    fn leave_new(&self, message: &mut Delta<'_>, is_last: bool) {
        let leave = |said: &mut Option<Cow<'_, str>>, held: &str| {
            let Some(text) = said else { return };
            let is_repeated = is_last && text.ends_with(held);
            if let Some(new) = text.strip_prefix(held).filter(|new| !new.is_empty() && !held.is_empty()) {
                *text = Cow::Owned(new.to_owned());
            } else if is_repeated && !held.is_empty() {
                *said = None;
            }
        };
        leave(&mut message.content, &self.text);
        for reasoning in [&mut message.reasoning_content, &mut message.reasoning] {
            leave(reasoning, &self.reasoning);
        }
        if !self.tool_calls.is_empty() {
            message.tool_calls = None;
        }
    }

    fn read_delta(&mut self, delta: Delta<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let spoken = |text: &Cow<'_, str>| !text.is_empty();
        let rare = delta.rare.map(|rare| *rare).unwrap_or_default();
        let thought = Some(Cow::from(rare.thought)).filter(spoken);
        // Servers that use several names for reasoning send the same text under each.
        let named = delta.reasoning_content.filter(spoken).map(|text| (Some("reasoning_content"), text));
        let named = named.or_else(|| delta.reasoning.filter(spoken).map(|text| (Some("reasoning"), text)));
        if let Some((field, text)) = named.or_else(|| thought.map(|text| (None, text))) {
            self.reasoning_field = self.reasoning_field.or(field);
            self.reasoning.push_str(&text);
            pieces.push(Piece::Reasoning(text.into_owned()));
        }
        if let Some(text) = delta.content.filter(spoken) {
            let before = self.text.len();
            if self.thinking.is_over() {
                self.say_text(text.into_owned(), pieces);
            } else {
                self.tagged_from = self.tagged_from.or(Some(self.reasoning.len()));
                let mut split = Vec::new();
                self.thinking.read(&text, &mut split);
                self.say(&split);
                pieces.append(&mut split);
            }
            self.look_for_closing(before);
        }
        if let Some(text) = delta.refusal.filter(spoken) {
            self.say_text(text.into_owned(), pieces);
        }
        for (field, value) in rare.kept {
            self.kept.read(field, value);
        }
        if self.text.len() + self.reasoning.len() > MAX_ANSWER_BYTES {
            return Err(CompletionError::AnswerTooLong);
        }
        let read = self.assembly.read_all(&mut self.tool_calls, delta.tool_calls.unwrap_or_default());
        self.reconsider(pieces);
        read
    }

    /// Some models begin with reasoning and only close the tag, because their server had opened it. The closing tag is on a line of its own.
    /// `before`: the text's length before its last piece.
    fn look_for_closing(&mut self, before: usize) {
        if self.closing != Closing::Awaited {
            return;
        }
        // Reasoning that came in its own field or between tags is already separate.
        if !self.reasoning.is_empty() || self.thinking.was_opened() {
            self.closing = Closing::RuledOut;
            return;
        }
        // The tag may be spread over several pieces, and the line end may come later.
        let from = before.saturating_sub(CLOSING.len() + 1);
        let is_line = |at: &usize| {
            let Some((before, rest)) = self.text.split_at_checked(*at) else { return false };
            let rest = rest.get(CLOSING.len()..).unwrap_or_default();
            before.trim_end_matches(' ').ends_with('\n') && rest.starts_with(['\n', '\r'])
        };
        let tags = find_iter(self.text.as_bytes().get(from..).unwrap_or_default(), CLOSING);
        let Some(at) = tags.map(|at| from + at).find(is_line) else { return };
        let thought = self.text.get(..at).unwrap_or_default();
        // Text that also opens the tag, or shows it as code, is about the tag.
        let is_shown = thought.contains("<think") || thought.matches(FENCE).count() % 2 == 1;
        self.closing = if is_shown { Closing::RuledOut } else { Closing::Seen(at) };
    }

    /// If something follows a closing tag, the text before it was reasoning. If nothing follows, the text is the answer.
    fn reconsider(&mut self, pieces: &mut Vec<Piece>) {
        let Closing::Seen(at) = self.closing else { return };
        if !self.reasoning.is_empty() {
            self.closing = Closing::RuledOut;
            return;
        }
        let Some((thought, rest)) = self.text.split_at_checked(at) else { return };
        let rest = rest.get(CLOSING.len()..).unwrap_or_default().trim_start();
        if rest.is_empty() && self.tool_calls.is_empty() {
            return;
        }
        self.closing = Closing::RuledOut;
        (self.reasoning, self.text) = (thought.to_owned(), rest.to_owned());
        if self.text.is_empty() {
            self.thinking = Thinking::closed();
        }
        pieces.push(Piece::Reconsidered);
    }

    fn say_text(&mut self, text: String, pieces: &mut Vec<Piece>) {
        self.text.push_str(&text);
        pieces.push(Piece::Text(text));
    }

    fn say(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text.push_str(text),
                Piece::Reasoning(text) => self.reasoning.push_str(text),
                Piece::Reconsidered => {}
            }
        }
    }
}

/// A server's finish reason.
enum Reason {
    /// The reason in OpenAI's terms.
    Known(&'static str),
    /// The model did not finish: a fault stopped it.
    BrokeOff,
    /// No reason.
    None,
}

/// Whether the text closes a tag that only the server can have opened. The first possible tag decides, so that no text is searched twice.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Closing {
    /// The tag may still come.
    #[default]
    Awaited,
    /// The tag is at this position, and nothing follows it yet.
    Seen(usize),
    /// There is none.
    RuledOut,
}

/// The end of reasoning that was written into the answer.
const CLOSING: &[u8] = b"</think>";
/// The beginning and the end of code.
const FENCE: &str = "```";
/// The model reached its limit.
const LENGTH: &str = "length";
/// The model finished its answer.
const STOP: &str = "stop";

/// Maps a server's word for the finish reason; servers use different ones. An unknown word still means the end.
fn reason(word: &str) -> Reason {
    let word = word.to_ascii_lowercase();
    // Some servers append the cause after a colon.
    match word.split(':').next().unwrap_or_default() {
        "" | "null" | "none" | "unspecified" | "finish_reason_unspecified" => Reason::None,
        "error"
        | "abort"
        | "aborted"
        | "cancelled"
        | "canceled"
        | "insufficient_system_resource"
        | "network_error"
        | "server_error"
        | "internal_error"
        | "engine_error"
        | "timeout"
        | "malformed_function_call"
        | "malformed_response"
        | "unexpected_tool_call" => Reason::BrokeOff,
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "max_completion_tokens"
        | "max_length"
        | "model_length"
        | "token_limit"
        | "error_limit"
        | "model_context_window_exceeded"
        | "context_length"
        | "incomplete" => Reason::Known(LENGTH),
        "content_filter"
        | "content-filter"
        | "content_filtered"
        | "guardrail_intervened"
        | "error_toxic"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "sensitive"
        | "moderation"
        | "model_armor"
        | "refusal"
        | "image_safety" => Reason::Known("content_filter"),
        "tool_calls" | "tool_call" | "tool_use" | "function_call" => Reason::Known("tool_calls"),
        _ => Reason::Known(STOP),
    }
}
