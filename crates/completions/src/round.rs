//! One answer of the model, put together from its stream.

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

/// The longest answer kept, reasoning included: ten times what models write today, and small beside an instance's memory.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// No request and no answer has more tokens; what says so is no count.
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// What the model has just said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Text of the answer, or of a refusal.
    Text(String),
    /// Text of its reasoning.
    Reasoning(String),
    /// What was said so far was reasoning, as is known only now: the round has it in its place, with all that follows in the same chunk.
    Reconsidered,
}

/// Tokens as the provider counts them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Deserialize)]
pub struct Usage {
    /// In the request.
    pub prompt_tokens: u64,
    /// In the answer.
    pub completion_tokens: u64,
}

/// Why an answer is of no use, or of no more use. None of its texts holds what came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompletionError {
    /// See there.
    #[error(transparent)]
    EventTooLong(#[from] EventTooLong),
    /// What began like an object and is none.
    #[error("the model's server sent something that is no completion chunk")]
    Malformed,
    /// More calls than any model makes, or arguments without end.
    #[error("the model asks for more calls of tools, or longer ones, than this installation makes")]
    CallsTooLong,
    /// The provider reports an error in the middle.
    #[error("the model's provider reported an error")]
    Provider(Box<ProviderError>),
    /// The answer is longer than is kept.
    #[error("the answer is longer than this installation keeps")]
    AnswerTooLong,
    /// The stream ended in the middle.
    #[error("the model's server ended the stream in the middle of the answer")]
    Unfinished,
    /// A page for browsers.
    #[error("the address answers with a web page")]
    WebPage,
    /// Not one object in it.
    #[error("the address answers with something that is no completion")]
    Foreign,
}

/// An answer on its way.
#[derive(Clone, Default, Debug)]
pub struct Round {
    body: Body,
    thinking: Thinking,
    assembly: Assembly,
    kept: Kept,
    /// The name under which the server sends reasoning.
    reasoning_field: Option<&'static str>,
    /// Where in the reasoning that between tags begins.
    tagged_from: Option<usize>,
    closing: Closing,
    /// The choice that is read.
    choice: Option<i64>,
    /// There was a place in it for what the model says.
    is_completion: bool,
    /// Words of the server after which nothing has come yet: an error, if nothing comes.
    doubt: Option<Box<ProviderError>>,
    /// There was something in it that no completion has.
    is_foreign: bool,
    done: bool,
    /// The text so far.
    pub text: String,
    /// The reasoning so far.
    pub reasoning: String,
    /// The calls so far; whole when the round is.
    pub tool_calls: Vec<ToolCallRequest>,
    /// Why the model stopped, once it has: `stop`, `length`, `content_filter` or `tool_calls`.
    pub finish_reason: Option<String>,
    /// If the server told.
    pub usage: Option<Usage>,
}

impl Round {
    /// Whether the model has said anything: from then on the request must not be sent again.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !(self.text.is_empty() && self.reasoning.is_empty() && self.tool_calls.is_empty())
    }

    /// Whether nothing worth reading follows: `[DONE]` came, or rubbish after the end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The server's last words, if they may be an error: for whoever waits for more in vain.
    #[must_use]
    pub fn doubt(&self) -> Option<CompletionError> {
        self.doubt.clone().filter(|_| self.finish_reason.is_none()).map(CompletionError::Provider)
    }

    /// What of the answer is to be sent back to the same server with it, by the names of the message's fields: `reasoning_content`,
    /// `reasoning_details`, and so on. `content` has the parts that stand before the text. Calls have their own.
    #[must_use]
    pub fn kept(&self) -> Map<String, Value> {
        let mut kept = self.kept.fields();
        if let Some(field) = self.reasoning_field {
            kept.insert(field.to_owned(), Value::from(self.reasoning.as_str()));
        }
        kept
    }

    /// Reads a chunk of the body and appends what the model said in it.
    ///
    /// # Errors
    /// [`CompletionError`]; what was said before stays in the round. Once the model has said why it stopped, nothing is an error any more.
    pub fn feed(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut body = std::mem::take(&mut self.body);
        let read = body.feed(bytes, |payload| self.read(payload, pieces));
        self.body = body;
        self.unless_finished(read)
    }

    /// The body ended, or nobody wants more of it. May be called again.
    ///
    /// # Errors
    /// [`CompletionError`] unless the model said why it stopped, or the server that it is done.
    pub fn finish(&mut self, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut body = std::mem::take(&mut self.body);
        let read = if self.done { Ok(()) } else { body.finish(|payload| self.read(payload, pieces)) };
        self.body = body;
        self.close(pieces);
        self.unless_finished(read)?;
        // A model that has stopped without a word was stopped by what its server said.
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

    /// Gives out what was held back, and drops what never became a call.
    fn close(&mut self, pieces: &mut Vec<Piece>) {
        let mut held = Vec::new();
        let open = self.thinking.finish(&mut held);
        self.say(&held);
        pieces.append(&mut held);
        self.tool_calls.iter_mut().for_each(calls::tidy);
        let was_cut = self.finish_reason.as_deref() == Some(LENGTH);
        let is_whole = |call: &ToolCallRequest| !was_cut || serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok();
        self.tool_calls.retain(|call| !call.name.is_empty() && is_whole(call));
        // A tag that is never closed was no tag, unless there was no time to close it.
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

    fn read_chunk(&mut self, chunk: Chunk<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let is_count = |usage: &Usage| usage.prompt_tokens.max(usage.completion_tokens) <= MAX_TOKENS;
        self.usage = chunk.usage.filter(is_count).or(self.usage);
        // We ask for one answer; a server that sends several at once gets its first read.
        let first = || chunk.choices.iter().filter_map(|choice| choice.index).min();
        self.choice = self.choice.or_else(first);
        self.is_completion |= chunk.is_completion || !chunk.choices.is_empty();
        self.is_foreign |= chunk.is_foreign;
        let (ours, mut has_read, mut spoke) = (self.choice, false, false);
        let mut read = Ok(());
        for choice in chunk.choices {
            // Some put the text into one choice and the calls into another that has no number, or the same.
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
        // What the provider says of an error says more than what follows from it.
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

    /// Leaves of a message what it adds to those before it. Some servers send what comes next, some everything so far, some everything at the end.
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
        // Servers that know several names for reasoning send the same under each.
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

    /// Some models begin with reasoning and close a tag that their server had opened for them. It stands on a line of its own. `before`: where
    /// the text ended before its last piece.
    fn look_for_closing(&mut self, before: usize) {
        if self.closing != Closing::Awaited {
            return;
        }
        // Reasoning that came in its own place, or between tags, is closed.
        if !self.reasoning.is_empty() || self.thinking.was_opened() {
            self.closing = Closing::RuledOut;
            return;
        }
        // The tag may have come in pieces, and the end of its line behind it.
        let from = before.saturating_sub(CLOSING.len() + 1);
        let is_line = |at: &usize| {
            let Some((before, rest)) = self.text.split_at_checked(*at) else { return false };
            let rest = rest.get(CLOSING.len()..).unwrap_or_default();
            before.trim_end_matches(' ').ends_with('\n') && rest.starts_with(['\n', '\r'])
        };
        let tags = find_iter(self.text.as_bytes().get(from..).unwrap_or_default(), CLOSING);
        let Some(at) = tags.map(|at| from + at).find(is_line) else { return };
        let thought = self.text.get(..at).unwrap_or_default();
        // Whoever opens it as well talks about it, and so does whoever shows it as code.
        let is_shown = thought.contains("<think") || thought.matches(FENCE).count() % 2 == 1;
        self.closing = if is_shown { Closing::RuledOut } else { Closing::Seen(at) };
    }

    /// What stands before a closing tag was reasoning if something follows. An answer that ends with the tag is an answer.
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

/// What a server says about why the model stopped.
enum Reason {
    /// In OpenAI's word for it.
    Known(&'static str),
    /// It did not, it was stopped by a fault.
    BrokeOff,
    /// Nothing.
    None,
}

/// Whether a tag is closed that only the server can have opened. The first that may be one decides, so that no text is searched twice.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Closing {
    /// It may come.
    #[default]
    Awaited,
    /// It is there in the text, and nothing behind it yet.
    Seen(usize),
    /// There is none.
    RuledOut,
}

/// How reasoning ends that was written into the answer.
const CLOSING: &[u8] = b"</think>";
/// What stands before and behind code.
const FENCE: &str = "```";
/// The model had no more room.
const LENGTH: &str = "length";
/// The model has said all it wanted.
const STOP: &str = "stop";

/// Every server has words of its own. One that is not known is still an end.
fn reason(word: &str) -> Reason {
    let word = word.to_ascii_lowercase();
    // Some say behind it what was filtered, or what went wrong.
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
