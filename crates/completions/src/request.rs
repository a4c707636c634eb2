//! The request: the body for `POST {base}/chat/completions`, in a server's [`Dialect`].
//!
//! Whatever a conversation contains, including earlier answers of models, the request is valid for the strictest known server: roles alternate,
//! each call has its result right behind it, and ids, names and arguments have the required form. So no conversation can get stuck. This module
//! does not decide how much of a conversation is sent.

use std::{borrow::Cow, collections::HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    complaint::{MIN_ANSWER_TOKENS, Sent},
    dialect::{AnswerLimit, Dialect, Field, Instructions, Marks, NoText, Schemas, SentBack},
    generation::{Generation, SentFormat, in_words},
    names::{self, CallIds},
    schema, turns,
};

/// The most tools that servers accept.
pub const MAX_TOOLS: usize = 128;

/// The longest answer in tokens, where a server requires a number: as much as all but the oldest models write. A server with a smaller limit
/// says so.
const ANSWER_TOKENS: u64 = 8_192;

/// The field for reasoning that a server wants back, and its placeholder where another model made the answer.
const REASONING: &str = "reasoning_content";
const NO_REASONING: &str = " ";

/// Fields that we set ourselves, even if a server sent them along.
const CONTENT: &str = "content";
const OUR_FIELDS: [&str; 5] = ["role", CONTENT, "tool_calls", "tool_call_id", "name"];
const OUR_CALL_FIELDS: [&str; 4] = ["id", "index", "type", "function"];

/// The data that a model's server sent along with an answer and wants back.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Echo {
    /// The server that sent it. It is sent back to no other.
    pub server: String,
    /// The model of the answer.
    pub model: String,
    /// The field of the reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Fields beside the text, and in `content` the parts before it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// Extra fields of each call, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Map<String, Value>>,
}

/// A part of a conversation.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// The person's message.
    User(Said<'a>),
    /// The model's answer.
    Answer(Answer<'a>),
}

/// What a person said.
#[derive(Clone, Default, Debug)]
pub struct Said<'a> {
    /// The words.
    pub text: Cow<'a, str>,
    /// Pictures as data URLs (RFC 2397). Where they are left out, the words say so.
    pub images: Vec<&'a str>,
}

impl<'a, T: Into<Cow<'a, str>>> From<T> for Said<'a> {
    fn from(text: T) -> Self {
        Self { text: text.into(), images: Vec::new() }
    }
}

/// An answer of the model, and the results of its calls.
#[derive(Clone, Default, Debug)]
pub struct Answer<'a> {
    /// Its text.
    pub text: Cow<'a, str>,
    /// Its reasoning.
    pub reasoning: Option<&'a str>,
    /// The data that its server wants back.
    pub echo: Option<Echo>,
    /// Its calls, in order.
    pub calls: Vec<Call<'a>>,
}

/// A call and its result.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Unique in the conversation and always the same for this call: prompts with the same beginning are cheaper.
    pub key: String,
    /// The model's id for it.
    pub id: &'a str,
    /// The tool's name, as the model wrote it.
    pub name: &'a str,
    /// The arguments as the model wrote them, perhaps not valid JSON.
    pub arguments: &'a str,
    /// The tool's result.
    pub result: Cow<'a, str>,
}

/// A tool that is offered to the model.
#[derive(Clone, Copy, Debug)]
pub struct FunctionTool<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does.
    pub description: &'a str,
    /// JSON Schema of its arguments.
    pub parameters: &'a RawValue,
}

/// A request to a model.
#[derive(Clone, Debug)]
pub struct ChatRequest<'a> {
    /// The model.
    pub model: &'a str,
    /// The name of its server.
    pub server: &'a str,
    /// The installation's instructions; may be empty.
    pub instructions: &'a str,
    /// The conversation.
    pub parts: Vec<Part<'a>>,
    /// The tools that it may call.
    pub tools: Vec<FunctionTool<'a>>,
    /// Whether it may call tools in this answer.
    pub may_call: bool,
    /// The most tokens of this answer that fit its context.
    pub answer_tokens: u64,
    /// How it is to answer.
    pub generation: Generation<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<RequestTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<SentFormat<'a>>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    /// `Some(None)` writes `null`; `None` leaves the field out.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<Content<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<RequestCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Value>),
}

#[derive(Serialize)]
struct RequestCall<'a> {
    id: String,
    r#type: &'static str,
    function: CalledFunction<'a>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

#[derive(Serialize)]
struct RequestTool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Cow<'a, RawValue>>,
}

impl ChatRequest<'_> {
    /// Writes the body, and says which parts a refusal may be about.
    ///
    /// # Errors
    /// When a value cannot be written as JSON; strings always can.
    pub fn write(self, dialect: &Dialect) -> Result<(Vec<u8>, Sent), serde_json::Error> {
        // If the server cannot be told that no tool may be called, no tools are offered.
        let tools_in_words = !dialect.sends(Field::Tools) || !(self.may_call || dialect.sends(Field::ToolChoice));
        let parts = turns::in_order(self.parts, tools_in_words);
        let offered = if tools_in_words { Vec::new() } else { offered(&self.tools, dialect) };
        // Servers require a description of every tool whose calls they are shown.
        let known = if offered.is_empty() { no_longer_offered(&parts) } else { Vec::new() };
        let silenced = !known.is_empty() || !(offered.is_empty() || self.may_call);
        let tools = if offered.is_empty() { known } else { offered };

        let Generation { temperature, reasoning_effort, max_output_tokens, format } = self.generation;
        let temperature = temperature.filter(|_| dialect.sends(Field::Temperature));
        let reasoning_effort = reasoning_effort.filter(|_| dialect.sends(Field::ReasoningEffort));
        let takes_format = dialect.sends(Field::ResponseFormat);
        let has_images = parts.iter().any(|part| matches!(part, Part::User(said) if !said.images.is_empty()));
        let mut sent = Sent { instructions: !self.instructions.is_empty(), ..Sent::default() };
        let mut writer =
            Writer { server: self.server, model: self.model, dialect, ids: CallIds::default(), sent: &mut sent };
        let mut messages = writer.messages(self.instructions, parts);
        if let Some(format) = format.filter(|_| !takes_format) {
            tell(&mut messages, &in_words(&format));
        }
        let response_format = format.filter(|_| takes_format).map(SentFormat::from);
        let stream = dialect.sends(Field::Stream);
        let usage = stream && dialect.sends(Field::StreamOptions);
        let tool_choice = (silenced && dialect.sends(Field::ToolChoice)).then_some("none");
        let fields = [
            (Field::Stream, stream),
            (Field::StreamOptions, usage),
            (Field::ToolChoice, tool_choice.is_some()),
            (Field::Tools, !tools.is_empty()),
            (Field::Temperature, temperature.is_some()),
            (Field::ReasoningEffort, reasoning_effort.is_some()),
            (Field::ResponseFormat, response_format.is_some()),
            (Field::Images, has_images),
        ];
        sent.fields = fields.into_iter().filter_map(|(field, is_sent)| is_sent.then_some(field)).collect();
        let stream_options = usage.then_some(StreamOptions { include_usage: true });
        let limits = [dialect.answer_tokens, dialect.answer_tokens_now, Some(self.answer_tokens)];
        let wanted = max_output_tokens.unwrap_or(ANSWER_TOKENS);
        let limit = limits.into_iter().flatten().fold(wanted, u64::min).max(MIN_ANSWER_TOKENS.min(wanted));
        let field = match (dialect.answer_limit, dialect.wanted_limit) {
            (AnswerLimit::Untold, AnswerLimit::Untold) if max_output_tokens.is_some() => AnswerLimit::MaxTokens,
            (AnswerLimit::Untold, field) if max_output_tokens.is_some() => field,
            (field, _) => field,
        };
        let told = |how: AnswerLimit| (field == how).then_some(limit);
        let (max_tokens, max_completion_tokens) =
            (told(AnswerLimit::MaxTokens), told(AnswerLimit::MaxCompletionTokens));
        sent.answer_limit = max_tokens.or(max_completion_tokens);
        let body = Body {
            model: self.model,
            messages,
            stream,
            stream_options,
            tools,
            tool_choice,
            max_tokens,
            max_completion_tokens,
            temperature,
            reasoning_effort,
            response_format,
        };
        let body = serde_json::to_string(&body)?;
        // A reader sees no difference.
        let body = match dialect.marks {
            Marks::AsWritten => body,
            Marks::Broken => body.replace("<|", "<\u{200b}|"),
        };
        Ok((body.into_bytes(), sent))
    }
}

/// Adds words to the last message of the person, behind everything that requests before had in common with this one.
fn tell(messages: &mut [Message<'_>], words: &str) {
    let last = messages.iter_mut().rfind(|message| message.role == "user");
    match last {
        Some(Message { content: Some(Some(Content::Text(text))), .. }) => {
            *text = Cow::Owned(format!("{text}\n\n{words}"));
        }
        Some(Message { content: Some(Some(Content::Parts(parts))), .. }) => parts.push(text_part(words)),
        _ => {}
    }
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// The tools in the form that servers accept: with valid names, each once, and not too many.
fn offered<'a>(tools: &[FunctionTool<'a>], dialect: &Dialect) -> Vec<RequestTool<'a>> {
    let mut names = HashSet::new();
    let taken = tools.iter().filter(|tool| names::is_name(tool.name) && names.insert(tool.name)).take(MAX_TOOLS);
    let function = |tool: &FunctionTool<'a>| match dialect.schemas {
        Schemas::Full => Function {
            name: Cow::Borrowed(tool.name),
            description: Cow::Borrowed(tool.description),
            parameters: Some(Cow::Borrowed(tool.parameters)),
        },
        Schemas::Plain => Function {
            name: Cow::Borrowed(tool.name),
            description: schema::plain_description(tool.description),
            parameters: schema::plain(tool.parameters).map(Cow::Owned),
        },
    };
    taken.map(|tool| RequestTool { r#type: "function", function: function(tool) }).collect()
}

fn no_longer_offered<'a>(parts: &[Part<'a>]) -> Vec<RequestTool<'a>> {
    let answers = parts.iter().filter_map(|part| match part {
        Part::Answer(answer) => Some(answer),
        Part::User(_) => None,
    });
    let mut known = HashSet::new();
    let names = answers.flat_map(|answer| &answer.calls).map(|call| names::as_name(call.name));
    let names = names.filter(|name| known.insert(name.clone())).take(MAX_TOOLS);
    let description = Cow::Borrowed("Cannot be called now.");
    let function = |name| Function { name, description: description.clone(), parameters: None };
    names.map(|name| RequestTool { r#type: "function", function: function(name) }).collect()
}

/// The data that is sent back with an answer.
struct SentAlong {
    before_text: Vec<Value>,
    fields: Map<String, Value>,
    /// Extra fields of each call.
    extras: Vec<Map<String, Value>>,
}

struct Writer<'a> {
    server: &'a str,
    model: &'a str,
    dialect: &'a Dialect,
    ids: CallIds,
    sent: &'a mut Sent,
}

impl Writer<'_> {
    fn messages<'a>(&mut self, instructions: &'a str, parts: Vec<Part<'a>>) -> Vec<Message<'a>> {
        let mut messages = Vec::with_capacity(parts.len() + 1);
        let mut instructions = Some(instructions).filter(|instructions| !instructions.is_empty());
        let role = match self.dialect.instructions {
            Instructions::System => Some("system"),
            Instructions::Developer => Some("developer"),
            Instructions::User => None,
        };
        if let Some(role) = role
            && let Some(content) = instructions.take()
        {
            messages.push(Message::new(role, Cow::Borrowed(content)));
        }
        for part in parts {
            match part {
                Part::User(Said { text, images }) => {
                    let text = match instructions.take() {
                        Some(instructions) => Cow::Owned(format!("{instructions}\n\n{text}")),
                        None => text,
                    };
                    messages.push(Message::said(text, &images));
                }
                Part::Answer(answer) => self.answer(answer, &mut messages),
            }
        }
        messages
    }

    fn answer<'a>(&mut self, answer: Answer<'a>, messages: &mut Vec<Message<'a>>) {
        let Answer { text, reasoning, echo, calls } = answer;
        if calls.is_empty() {
            messages.push(Message::new("assistant", text));
            return;
        }
        self.sent.calls = true;
        let echo = echo.filter(|echo| echo.server == self.server && echo.model == self.model).unwrap_or_default();
        let without_text = text.trim().is_empty();
        self.sent.calls_without_text |= without_text;
        let SentAlong { mut before_text, fields, extras } = self.sent_back(reasoning, echo, calls.len());
        if !before_text.is_empty() && !without_text {
            before_text.push(text_part(&text));
        }
        let content = match self.dialect.no_text {
            _ if !before_text.is_empty() => Some(Some(Content::Parts(before_text))),
            _ if !without_text => Some(Some(Content::Text(text))),
            NoText::Null => Some(None),
            NoText::Empty => Some(Some(Content::Text(Cow::Borrowed("")))),
            NoText::LeftOut => None,
        };
        let mut extras = extras.into_iter();
        let (mut tool_calls, mut results) = (Vec::with_capacity(calls.len()), Vec::with_capacity(calls.len()));
        for call in calls {
            let id = self.ids.of(&call, self.dialect.call_ids);
            let function =
                CalledFunction { name: names::as_name(call.name), arguments: names::as_arguments(call.arguments) };
            let fields = extras.next().unwrap_or_default();
            results.push(Message { tool_call_id: Some(id.clone()), ..Message::new("tool", call.result) });
            tool_calls.push(RequestCall { id, r#type: "function", function, fields });
        }
        messages.push(Message { role: "assistant", content, tool_calls, tool_call_id: None, fields });
        messages.extend(results);
    }

    /// The data to send back with an answer and with each of its calls.
    fn sent_back(&mut self, reasoning: Option<&str>, echo: Echo, calls: usize) -> SentAlong {
        let Echo { reasoning: field, mut fields, calls: mut extras, .. } = echo;
        fields.retain(|name, _| match is_reasoning(name) {
            true => self.dialect.reasoning != SentBack::Never,
            false => self.dialect.extras != SentBack::Never && !OUR_FIELDS.contains(&name.as_str()),
        });
        if self.dialect.extras == SentBack::Never {
            extras.clear();
        }
        extras.truncate(calls);
        extras.iter_mut().for_each(|fields| fields.retain(|name, _| !OUR_CALL_FIELDS.contains(&name.as_str())));
        if self.dialect.extras == SentBack::Always && extras.iter().all(Map::is_empty) {
            extras = vec![no_signature(); calls];
        }
        let reasoning = reasoning.filter(|reasoning| !reasoning.is_empty() && field.is_some());
        let reasoning = match self.dialect.reasoning {
            SentBack::AsItCame => reasoning,
            SentBack::Always => Some(reasoning.unwrap_or(NO_REASONING)),
            SentBack::Never => None,
        };
        if let Some(reasoning) = reasoning {
            let field = field.filter(|name| !OUR_FIELDS.contains(&name.as_str()));
            fields.insert(field.unwrap_or_else(|| REASONING.to_owned()), Value::from(reasoning));
        }
        self.sent.reasoning |= fields.keys().any(|name| is_reasoning(name));
        self.sent.extras |=
            extras.iter().any(|fields| !fields.is_empty()) || fields.keys().any(|name| !is_reasoning(name));
        let before_text = match fields.remove(CONTENT) {
            Some(Value::Array(parts)) => parts,
            _ => Vec::new(),
        };
        SentAlong { before_text, fields, extras }
    }
}

/// Whether a field of a message is reasoning. Some servers put it into parts before the text.
fn is_reasoning(field: &str) -> bool {
    field == CONTENT || field.contains("reasoning") || field.contains("thinking")
}

/// The documented placeholder of a server that requires a signature on each call, for calls of another model.
fn no_signature() -> Map<String, Value> {
    let signature = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    Map::from_iter([("extra_content".to_owned(), signature)])
}

impl<'a> Message<'a> {
    /// What a person said. Words alone stay as every server takes them.
    fn said(text: Cow<'a, str>, images: &[&str]) -> Self {
        if images.is_empty() {
            return Self::new("user", text);
        }
        let words = Some(text_part(&text)).filter(|_| !text.is_empty());
        let images = images.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}}));
        let content = Some(Some(Content::Parts(words.into_iter().chain(images).collect())));
        Self { role: "user", content, ..Self::default() }
    }

    fn new(role: &'static str, content: Cow<'a, str>) -> Self {
        Self { role, content: Some(Some(Content::Text(content))), ..Self::default() }
    }
}

#[cfg(test)]
mod tests;
