//! What a program asks an assistant. Every field is read, passed over because nothing hangs on it, or refused by its name: an answer must not look as if it
//! had been given to something else than was asked.

use std::{borrow::Cow, fmt};

use domain::{
    MessageRole, ReasoningEffort, ResponseFormat, Temperature,
    limits::{MAX_MESSAGE_BYTES, MAX_OUTPUT_TOKENS, MAX_PROGRAM_INSTRUCTIONS_BYTES, MIN_OUTPUT_TOKENS},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::Wanted;

/// `tool_choice`, as JSON, that keeps all tools out.
const NO_TOOLS: &str = r#""none""#;
/// Messages of one request: ten times as many as a model is shown. However short one is, it takes some hundred bytes.
const MAX_MESSAGES: usize = 10_000;

/// Why a request cannot be answered, in words for whoever wrote the program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// It is no such request.
    #[error("The body cannot be read as a request for Chat Completions with an assistant: {0}.")]
    Json(String),
    /// A field has a value that is not taken here.
    #[error("{detail}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong.
        detail: Cow<'static, str>,
    },
}

impl InvalidRequest {
    /// The field that is wrong, if it is one.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::Field { field, .. } => Some(field),
        }
    }
}

fn refuse<T>(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Result<T, InvalidRequest> {
    Err(InvalidRequest::Field { field, detail: detail.into() })
}

/// A request, as far as it counts.
#[derive(Debug)]
pub struct AssistantRequest {
    /// The model, as it was sent.
    pub model: String,
    /// What `system` and `developer` messages say, in their order; `None`: there are none.
    pub instructions: Option<String>,
    /// What was said before, in order: the roles are the person's and the model's.
    pub said: Vec<(MessageRole, String)>,
    /// The message to answer.
    pub content: String,
    /// How much the model varies.
    pub temperature: Option<Temperature>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// How much the model reasons.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// The form of the answer.
    pub response_format: Option<ResponseFormat>,
    /// No tool is to be used.
    pub without_tools: bool,
    /// The answer is to come piece by piece.
    pub streams: bool,
    /// A stream reports its tokens at the end.
    pub wants_usage: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    model: String,
    messages: Messages,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    temperature: Option<f64>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    reasoning_effort: Option<String>,
    response_format: Option<Wanted>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    // Taken as long as they want nothing else than there is.
    n: Option<u64>,
    logprobs: Option<bool>,
    store: Option<bool>,
    modalities: Option<Vec<Modality>>,
    tools: Option<Vec<IgnoredAny>>,
    functions: Option<Vec<IgnoredAny>>,
    function_call: Option<IgnoredAny>,
    stop: Option<IgnoredAny>,
    audio: Option<IgnoredAny>,
    prediction: Option<IgnoredAny>,
    web_search_options: Option<IgnoredAny>,
    // Passed over: hints about how a server works, and how it chooses words.
    #[serde(rename = "frequency_penalty")]
    _frequency_penalty: Option<IgnoredAny>,
    #[serde(rename = "logit_bias")]
    _logit_bias: Option<IgnoredAny>,
    #[serde(rename = "metadata")]
    _metadata: Option<IgnoredAny>,
    #[serde(rename = "parallel_tool_calls")]
    _parallel_tool_calls: Option<IgnoredAny>,
    #[serde(rename = "presence_penalty")]
    _presence_penalty: Option<IgnoredAny>,
    #[serde(rename = "prompt_cache_key")]
    _prompt_cache_key: Option<IgnoredAny>,
    #[serde(rename = "prompt_cache_retention")]
    _prompt_cache_retention: Option<IgnoredAny>,
    #[serde(rename = "safety_identifier")]
    _safety_identifier: Option<IgnoredAny>,
    #[serde(rename = "seed")]
    _seed: Option<IgnoredAny>,
    #[serde(rename = "service_tier")]
    _service_tier: Option<IgnoredAny>,
    #[serde(rename = "top_logprobs")]
    _top_logprobs: Option<IgnoredAny>,
    #[serde(rename = "top_p")]
    _top_p: Option<IgnoredAny>,
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
    #[serde(rename = "verbosity")]
    _verbosity: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Modality {
    Text,
    #[serde(other)]
    Other,
}

struct Messages(Vec<Message>);

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<IgnoredAny>>,
    function_call: Option<IgnoredAny>,
}

/// What a message says. Its parts are joined as they are read: a list of them would take many times their bytes.
enum Content {
    Text(String),
    /// There is a part that is no text.
    Other,
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
}

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Messages;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Messages, A::Error> {
                let mut messages = Vec::new();
                while let Some(message) = items.next_element()? {
                    if messages.len() == MAX_MESSAGES {
                        return Err(A::Error::custom(format_args!("there are more than {MAX_MESSAGES} messages")));
                    }
                    messages.push(message);
                }
                Ok(Messages(messages))
            }
        }

        deserializer.deserialize_seq(Read)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or parts")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let (mut all, mut is_text) = (String::new(), true);
                while let Some(Part { r#type, text, refusal }) = items.next_element()? {
                    match (r#type.as_str(), text, refusal) {
                        ("text", Some(text), _) | ("refusal", _, Some(text)) => all.push_str(&text),
                        _ => is_text = false,
                    }
                }
                Ok(if is_text { Content::Text(all) } else { Content::Other })
            }
        }

        deserializer.deserialize_any(Read)
    }
}

impl Content {
    fn text(self) -> Result<String, InvalidRequest> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Other => refuse(
                "messages",
                "An assistant reads texts: parts of a message must have the type text. Pictures, sounds and files can be sent to a model by its own name.",
            ),
        }
    }
}

impl AssistantRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn read(body: &[u8]) -> Result<Self, InvalidRequest> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| InvalidRequest::Json(error.to_string()))?;
        body.check()?;
        let (instructions, mut said) = conversation(body.messages.0)?;
        let content = match said.pop() {
            Some((MessageRole::User, content)) if !content.trim().is_empty() => content,
            _ => return refuse("messages", "The last message must be the user's, and say something."),
        };
        if content.len() > MAX_MESSAGE_BYTES {
            return refuse("messages", format!("The message to answer has at most {MAX_MESSAGE_BYTES} bytes."));
        }
        // Servers refuse what is empty, and it says nothing.
        said.retain(|(_, content)| !content.trim().is_empty());
        let temperature = body.temperature.map(Temperature::try_from).transpose();
        let Ok(temperature) = temperature else {
            return refuse("temperature", "A temperature is a number from 0 to 2.");
        };
        let effort = body.reasoning_effort.as_deref().map(ReasoningEffort::parse);
        if effort == Some(None) {
            let all = ReasoningEffort::ALL.map(ReasoningEffort::as_str).join(", ");
            return refuse("reasoning_effort", format!("A reasoning effort is one of {all}."));
        }
        let format = body.response_format.map(Wanted::checked).transpose();
        let longest = body.max_completion_tokens.or(body.max_tokens);
        Ok(Self {
            model: body.model,
            instructions,
            said,
            content,
            temperature,
            max_output_tokens: longest.map(|tokens| tokens.clamp(MIN_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS)),
            reasoning_effort: effort.flatten(),
            response_format: format.or_else(|invalid| refuse("response_format", invalid.to_string()))?.flatten(),
            without_tools: body.tool_choice.is_some_and(|choice| choice.get() == NO_TOOLS),
            streams: body.stream.unwrap_or_default(),
            wants_usage: body.stream_options.and_then(|options| options.include_usage).unwrap_or_default(),
        })
    }

    /// Takes what was said before, as far as a model reads it that reads so many messages and bytes, the one to answer among them: the newest of it, and the
    /// message whose beginning still fits. What is older nobody needs to keep.
    pub fn take_said(&mut self, max_messages: usize, max_bytes: u64) -> Vec<(MessageRole, String)> {
        let mut said = std::mem::take(&mut self.said);
        let mut bytes = self.content.len() as u64;
        let is_read = |content: &str| {
            let fits = bytes < max_bytes;
            bytes = bytes.saturating_add(content.len() as u64);
            fits
        };
        let newest = said.iter().rev().map(|(_, content)| content.as_str()).take(max_messages.saturating_sub(1));
        let read = newest.map(is_read).take_while(|fits| *fits).count();
        said.split_off(said.len().saturating_sub(read))
    }
}

impl Body<'_> {
    /// Refuses what an assistant does not do.
    fn check(&self) -> Result<(), InvalidRequest> {
        let has_any = |list: &Option<Vec<IgnoredAny>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let own_tools = "An assistant uses the tools of this installation, and its answer is the end of their use. A program's own tools can be sent to a model by its own name.";
        if has_any(&self.tools) {
            return refuse("tools", own_tools);
        }
        if has_any(&self.functions) || self.function_call.is_some() {
            return refuse("functions", own_tools);
        }
        if self.tool_choice.is_some_and(|choice| !["\"auto\"", NO_TOOLS].contains(&choice.get())) {
            return refuse("tool_choice", "An assistant chooses among its tools itself: use auto, or none.");
        }
        let has_others = |modalities: &Vec<Modality>| modalities.contains(&Modality::Other);
        let unknown = [
            ("n", self.n.is_some_and(|n| n != 1), "An assistant gives one answer: leave n out."),
            ("logprobs", self.logprobs == Some(true), "An assistant tells no probabilities of its words."),
            ("stop", self.stop.is_some(), "An assistant is not stopped by words in its answer."),
            ("store", self.store == Some(true), "Answers are not kept. Send the whole conversation in each request."),
            ("modalities", self.modalities.as_ref().is_some_and(has_others), "An assistant answers with text."),
            ("audio", self.audio.is_some(), "An assistant answers with text."),
            ("prediction", self.prediction.is_some(), "An assistant takes no predictions."),
            ("web_search_options", self.web_search_options.is_some(), own_tools),
        ];
        match unknown.into_iter().find(|(_, is_wanted, _)| *is_wanted) {
            Some((field, _, detail)) => refuse(field, detail),
            None => Ok(()),
        }
    }
}

/// The instructions in a conversation, and what was said.
type Conversation = (Option<String>, Vec<(MessageRole, String)>);

fn conversation(messages: Vec<Message>) -> Result<Conversation, InvalidRequest> {
    let (mut instructions, mut said) = (Vec::new(), Vec::new());
    for Message { role, content, tool_calls, function_call } in messages {
        if tool_calls.is_some_and(|calls| !calls.is_empty()) || function_call.is_some() {
            return refuse("messages", "An assistant does not go on with calls of a program's own tools.");
        }
        let content = content.map(Content::text).transpose()?.unwrap_or_default();
        match role.as_str() {
            "system" | "developer" => instructions.push(content),
            "user" => said.push((MessageRole::User, content)),
            "assistant" => said.push((MessageRole::Assistant, content)),
            "tool" | "function" => {
                return refuse("messages", "An assistant does not go on with results of a program's own tools.");
            }
            _ => return refuse("messages", "The role of a message is system, developer, user or assistant."),
        }
    }
    // As in messages: some servers refuse NUL.
    let instructions = instructions.join("\n\n").trim().replace('\0', "\u{fffd}");
    if instructions.len() > MAX_PROGRAM_INSTRUCTIONS_BYTES {
        let detail = format!("What system messages say has at most {MAX_PROGRAM_INSTRUCTIONS_BYTES} bytes together.");
        return refuse("messages", detail);
    }
    Ok((Some(instructions).filter(|instructions| !instructions.is_empty()), said))
}

#[cfg(test)]
mod tests;
