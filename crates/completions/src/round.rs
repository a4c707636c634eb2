//! One answer of the model, put together from its stream.

use sse::{Decoder, EventTooLong};

use crate::wire::{Chunk, Delta, ToolCallDelta};

/// The longest answer kept, reasoning included: ten times what models write today, and small beside an instance's memory.
pub const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// More calls at once than any model makes on purpose.
pub const MAX_TOOL_CALLS: usize = 32;
/// The arguments of all calls together.
pub const MAX_ARGUMENTS_BYTES: usize = 512 * 1024;
/// A provider's own words are shown up to this length.
const MAX_MESSAGE_CHARS: usize = 300;

/// What the model has just said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// Text of the answer, or of a refusal.
    Text(String),
    /// Text of its reasoning.
    Reasoning(String),
}

/// A call that the model asks for. The arguments are its words and may be no JSON.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ToolCallRequest {
    /// The model's id for it; made up from its place when the server gives none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Tokens as the provider counts them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// In the request.
    pub prompt_tokens: u64,
    /// In the answer.
    pub completion_tokens: u64,
}

/// Why an answer is of no use, or of no more use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CompletionError {
    /// See there.
    #[error(transparent)]
    EventTooLong(#[from] EventTooLong),
    /// A line of data that is no chunk.
    #[error("the model's server sent something that is no completion chunk: {0}")]
    Malformed(String),
    /// The provider reports an error in the middle.
    #[error("the model's provider reported an error: {message}")]
    Provider {
        /// Its words, cut.
        message: String,
    },
    /// The answer is longer than is kept.
    #[error("the answer is longer than this installation keeps")]
    AnswerTooLong,
    /// The stream ended in the middle.
    #[error("the model's server ended the stream in the middle of the answer")]
    Unfinished,
}

/// An answer on its way.
#[derive(Clone, Default, Debug)]
pub struct Round {
    decoder: Decoder,
    done: bool,
    /// The text so far.
    pub text: String,
    /// The reasoning so far.
    pub reasoning: String,
    /// The calls so far; whole when the round is.
    pub tool_calls: Vec<ToolCallRequest>,
    /// Why the model stopped, once it has.
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

    /// Whether `[DONE]` came: nothing worth reading follows.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// Reads a chunk of the body and appends what the model said in it.
    ///
    /// # Errors
    /// [`CompletionError`]; what was said before stays in the round.
    pub fn feed(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut events = Vec::new();
        self.decoder.feed(bytes, &mut events)?;
        self.read(&events, pieces)
    }

    /// The body ended.
    ///
    /// # Errors
    /// [`CompletionError::Unfinished`] unless the model said why it stopped, or the server that it is done.
    pub fn finish(&mut self, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let mut events = Vec::new();
        self.decoder.finish(&mut events);
        self.read(&events, pieces)?;
        if self.done || self.finish_reason.is_some() { Ok(()) } else { Err(CompletionError::Unfinished) }
    }

    fn read(&mut self, events: &[String], pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        for data in events {
            match data.trim() {
                "" => {}
                "[DONE]" => self.done = true,
                data => self.read_chunk(data, pieces)?,
            }
        }
        Ok(())
    }

    fn read_chunk(&mut self, data: &str, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        let chunk: Chunk<'_> =
            serde_json::from_str(data).map_err(|error| CompletionError::Malformed(error.to_string()))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(CompletionError::Provider { message: provider_message(&error) });
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(Usage { prompt_tokens: usage.prompt_tokens, completion_tokens: usage.completion_tokens });
        }
        // We ask for one answer; a server that sends several at once gets its first read.
        let Some(choice) = chunk.choices.into_iter().find(|choice| choice.index == 0) else { return Ok(()) };
        self.read_delta(choice.delta.unwrap_or_default(), pieces)?;
        if choice.finish_reason.is_some() {
            self.finish_reason = choice.finish_reason;
        }
        Ok(())
    }

    fn read_delta(&mut self, delta: Delta<'_>, pieces: &mut Vec<Piece>) -> Result<(), CompletionError> {
        // Servers that know both names for reasoning send the same under each.
        let reasoning = delta.reasoning_content.or(delta.reasoning).filter(|text| !text.is_empty());
        if let Some(text) = reasoning {
            self.reasoning.push_str(&text);
            pieces.push(Piece::Reasoning(text.into_owned()));
        }
        for text in [delta.content, delta.refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
            self.text.push_str(&text);
            pieces.push(Piece::Text(text.into_owned()));
        }
        if self.text.len() + self.reasoning.len() > MAX_ANSWER_BYTES {
            return Err(CompletionError::AnswerTooLong);
        }
        delta.tool_calls.unwrap_or_default().into_iter().try_for_each(|call| self.read_tool_call(call))
    }

    /// Fragments belong together by index; a server that leaves it out begins a new call with each id.
    fn read_tool_call(&mut self, delta: ToolCallDelta) -> Result<(), CompletionError> {
        let index = match (delta.index, &delta.id) {
            (Some(index), _) => index,
            (None, Some(_)) => self.tool_calls.len(),
            (None, None) => self.tool_calls.len().saturating_sub(1),
        };
        if index >= MAX_TOOL_CALLS {
            return Err(CompletionError::Malformed(format!("more than {MAX_TOOL_CALLS} tool calls at once")));
        }
        while self.tool_calls.len() <= index {
            let id = format!("call_{}", self.tool_calls.len());
            self.tool_calls.push(ToolCallRequest { id, ..ToolCallRequest::default() });
        }
        let held: usize = self.tool_calls.iter().map(|call| call.arguments.len() + call.name.len()).sum();
        let Some(call) = self.tool_calls.get_mut(index) else { return Ok(()) };
        if let Some(id) = delta.id.filter(|id| !id.is_empty()) {
            call.id = id;
        }
        let function = delta.function.unwrap_or(crate::wire::FunctionDelta { name: None, arguments: None });
        let (name, arguments) = (function.name.unwrap_or_default(), function.arguments.unwrap_or_default());
        if held + name.len() + arguments.len() > MAX_ARGUMENTS_BYTES {
            return Err(CompletionError::Malformed("tool arguments without end".to_owned()));
        }
        call.name.push_str(&name);
        call.arguments.push_str(&arguments);
        Ok(())
    }
}

/// The words of an error object, whatever its form: `{"message"}`, `{"error":{"message"}}` or a string.
#[must_use]
pub fn provider_message(error: &serde_json::Value) -> String {
    let inner = error.get("error").unwrap_or(error);
    let message = inner.get("message").unwrap_or(inner);
    let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Round, Vec<Piece>, Result<(), CompletionError>) {
        let (mut round, mut pieces) = (Round::default(), Vec::new());
        let mut result = round.feed(body.as_bytes(), &mut pieces);
        if result.is_ok() {
            result = round.finish(&mut pieces);
        }
        (round, pieces, result)
    }

    fn delta(json: &str) -> String {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{json}}}]}}\n\n")
    }

    #[test]
    fn reads_an_answer_as_openai_writes_it() {
        let body = concat!(
            "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"finish_reason\":null}],\"usage\":null}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"He\"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"llo\"},\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n",
            "data: [DONE]\n\n",
        );
        let (round, pieces, result) = read(body);
        assert_eq!(result, Ok(()));
        assert_eq!(pieces, [Piece::Text("He".into()), Piece::Text("llo".into())]);
        assert_eq!((round.text.as_str(), round.finish_reason.as_deref()), ("Hello", Some("stop")));
        assert_eq!(round.usage, Some(Usage { prompt_tokens: 5, completion_tokens: 2 }));
        assert!(round.is_done());
    }

    #[test]
    fn reasoning_has_two_names_and_counts_once() {
        let body = delta(r#"{"reasoning_content":"a"}"#)
            + &delta(r#"{"reasoning":"b"}"#)
            + &delta(r#"{"reasoning":"c","reasoning_content":"c"}"#)
            + "data: [DONE]\n\n";
        assert_eq!(read(&body).0.reasoning, "abc");
    }

    #[test]
    fn tool_calls_come_in_fragments_and_in_parallel() {
        let body = delta(
            r#"{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"clock","arguments":""}}]}"#,
        ) + &delta(r#"{"tool_calls":[{"index":1,"id":"c2","function":{"name":"web","arguments":"{\"u"}}]}"#)
            + &delta(
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"\":1}"}}]}"#,
            )
            + "data: [DONE]\n\n";
        let (round, _, _) = read(&body);
        let call = |id: &str, name: &str, arguments: &str| ToolCallRequest {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        assert_eq!(round.tool_calls, [call("c1", "clock", "{}"), call("c2", "web", "{\"u\":1}")]);
    }

    #[test]
    fn servers_that_leave_out_indexes_or_ids_are_understood() {
        let body = delta(r#"{"tool_calls":[{"id":"a","function":{"name":"x","arguments":"{"}}]}"#)
            + &delta(r#"{"tool_calls":[{"function":{"arguments":"}"}}]}"#)
            + &delta(r#"{"tool_calls":[{"id":"b","function":{"name":"y"}}]}"#)
            + &delta(r#"{"tool_calls":[{"index":2,"function":{"name":"z"}}]}"#)
            + "data: [DONE]\n\n";
        let (round, _, _) = read(&body);
        let seen: Vec<_> = round.tool_calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
        assert_eq!(seen, [("a", "{}"), ("b", ""), ("call_2", "")]);
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let (round, ..) = read(&(delta(r#"{"refusal":"I will not."}"#) + "data: [DONE]\n\n"));
        assert_eq!(round.text, "I will not.");
    }

    #[test]
    fn an_error_in_the_middle_is_told_in_the_providers_words() {
        for error in [
            r#"{"message":"overloaded","type":"x","code":529}"#,
            r#""overloaded""#,
            r#"{"error":{"message":"overloaded"}}"#,
        ] {
            let (round, _, result) = read(&format!("{}data: {{\"error\":{error}}}\n\n", delta(r#"{"content":"a"}"#)));
            assert_eq!(result, Err(CompletionError::Provider { message: "overloaded".into() }));
            assert_eq!(round.text, "a");
        }
    }

    #[test]
    fn a_stream_that_stops_in_the_middle_is_unfinished_and_a_missing_done_is_not() {
        assert_eq!(read(&delta(r#"{"content":"a"}"#)).2, Err(CompletionError::Unfinished));
        let finished = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}]}\n\n";
        assert_eq!(read(finished).2, Ok(()));
        assert!(matches!(read("data: {nonsense\n\n").2, Err(CompletionError::Malformed(_))));
    }

    #[test]
    fn nothing_grows_without_end() {
        let long = delta(&format!(r#"{{"content":"{}"}}"#, "x".repeat(MAX_ANSWER_BYTES + 1)));
        assert_eq!(read(&long).2, Err(CompletionError::AnswerTooLong));
        let calls = delta(r#"{"tool_calls":[{"index":4000000000,"function":{"name":"x"}}]}"#);
        assert!(matches!(read(&calls).2, Err(CompletionError::Malformed(_))));
    }
}
