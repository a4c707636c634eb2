//! The request: what is sent to `POST {base}/chat/completions`, in a server's [`Dialect`].
//!
//! Whatever a conversation holds, what a model once said included, the request is one that the strictest server known accepts: roles alternate,
//! each call has its result right behind it, ids, names and arguments have the form they must have. So no conversation can get stuck. What of a
//! conversation is sent, and what it costs, is not decided here.

use std::{borrow::Cow, collections::HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    dialect::{AnswerLimit, Dialect, Field, Instructions, Marks, NoText, Schemas, SentBack},
    learning::{MIN_ANSWER_TOKENS, Sent},
    names::{self, CallIds},
    schema, turns,
};

/// Servers take no more tools.
pub const MAX_TOOLS: usize = 128;

/// The longest answer, in tokens, where a server wants to be told: as much as all but the oldest models write. One that writes less says so.
const ANSWER_TOKENS: u64 = 8_192;

/// The field of reasoning that a server wants back and that another model did not tell, and what stands in it.
const REASONING: &str = "reasoning_content";
const NO_REASONING: &str = " ";

/// What is ours to say, whatever a server once sent along.
const CONTENT: &str = "content";
const OUR_FIELDS: [&str; 5] = ["role", CONTENT, "tool_calls", "tool_call_id", "name"];
const OUR_CALL_FIELDS: [&str; 4] = ["id", "index", "type", "function"];

/// What a model's server sent along with an answer for itself.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Echo {
    /// The server that sent it: nobody else gets it back.
    pub server: String,
    /// The model it is from.
    pub model: String,
    /// The name of the field that the reasoning came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Fields beside the text, and as `content` the parts before it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
    /// Fields of each call, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Map<String, Value>>,
}

/// A part of a conversation.
#[derive(Clone, Debug)]
pub enum Part<'a> {
    /// The person's words.
    User(Cow<'a, str>),
    /// The model's.
    Answer(Answer<'a>),
}

/// What the model said, and what came of it.
#[derive(Clone, Default, Debug)]
pub struct Answer<'a> {
    /// Its text.
    pub text: Cow<'a, str>,
    /// What it thought before.
    pub reasoning: Option<&'a str>,
    /// What its server wants back.
    pub echo: Option<Echo>,
    /// What it wanted called, in its order.
    pub calls: Vec<Call<'a>>,
}

/// A call and its result.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Different from all others of the conversation, and the same whenever the call is sent: prompts that begin alike are cheaper.
    pub key: String,
    /// The model's id for it.
    pub id: &'a str,
    /// The tool, in the model's words.
    pub name: &'a str,
    /// The model's words, which may be no JSON.
    pub arguments: &'a str,
    /// What the tool said.
    pub result: Cow<'a, str>,
}

/// A tool as it is offered to the model.
#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it does.
    pub description: &'a str,
    /// JSON Schema of its arguments.
    pub parameters: &'a RawValue,
}

/// What a model is to be asked.
#[derive(Clone, Debug)]
pub struct ChatRequest<'a> {
    /// The model.
    pub model: &'a str,
    /// Where it is, by the name of its server.
    pub server: &'a str,
    /// What the installation tells it; may be empty.
    pub instructions: &'a str,
    /// The conversation.
    pub parts: Vec<Part<'a>>,
    /// What it may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it may call anything in this answer.
    pub may_call: bool,
    /// What its context has room for in this answer, in tokens.
    pub answer_tokens: u64,
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
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    /// `null` is written, unlike no field.
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
    /// The body, and what could be complained about in it.
    ///
    /// # Errors
    /// When a value cannot be written as JSON, which strings always can.
    pub fn write(self, dialect: &Dialect) -> Result<(Vec<u8>, Sent), serde_json::Error> {
        // Whoever cannot be told to call nothing is offered nothing.
        let in_words = !dialect.sends(Field::Tools) || !(self.may_call || dialect.sends(Field::ToolChoice));
        let parts = turns::in_order(self.parts, in_words);
        let offered = if in_words { Vec::new() } else { offered(&self.tools, dialect) };
        // Servers want the tools described whose calls they are shown.
        let known = if offered.is_empty() { no_longer_offered(&parts) } else { Vec::new() };
        let silenced = !known.is_empty() || !(offered.is_empty() || self.may_call);
        let tools = if offered.is_empty() { known } else { offered };

        let mut sent = Sent { instructions: !self.instructions.is_empty(), ..Sent::default() };
        let mut writer =
            Writer { server: self.server, model: self.model, dialect, ids: CallIds::default(), sent: &mut sent };
        let messages = writer.messages(self.instructions, parts);
        let stream = dialect.sends(Field::Stream);
        let usage = stream && dialect.sends(Field::StreamOptions);
        let tool_choice = (silenced && dialect.sends(Field::ToolChoice)).then_some("none");
        let fields = [
            (Field::Stream, stream),
            (Field::StreamOptions, usage),
            (Field::ToolChoice, tool_choice.is_some()),
            (Field::Tools, !tools.is_empty()),
        ];
        sent.fields = fields.into_iter().filter_map(|(field, is_sent)| is_sent.then_some(field)).collect();
        let stream_options = usage.then_some(StreamOptions { include_usage: true });
        let limits = [dialect.answer_tokens, dialect.answer_tokens_now, Some(self.answer_tokens)];
        let limit = limits.into_iter().flatten().fold(ANSWER_TOKENS, u64::min).max(MIN_ANSWER_TOKENS);
        let told = |how: AnswerLimit| (dialect.answer_limit == how).then_some(limit);
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
        };
        let body = serde_json::to_string(&body)?;
        // Whoever reads it sees no difference.
        let body = match dialect.marks {
            Marks::AsWritten => body,
            Marks::Broken => body.replace("<|", "<\u{200b}|"),
        };
        Ok((body.into_bytes(), sent))
    }
}

/// Tools that a server takes: their names are names, each is there once, and there are not too many.
fn offered<'a>(tools: &[Tool<'a>], dialect: &Dialect) -> Vec<RequestTool<'a>> {
    let mut names = HashSet::new();
    let taken = tools.iter().filter(|tool| names::is_name(tool.name) && names.insert(tool.name)).take(MAX_TOOLS);
    let function = |tool: &Tool<'a>| match dialect.schemas {
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

/// What goes back with an answer.
struct SentAlong {
    before_text: Vec<Value>,
    fields: Map<String, Value>,
    /// Of each call.
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
                Part::User(text) => messages.push(Message::new(
                    "user",
                    match instructions.take() {
                        Some(instructions) => Cow::Owned(format!("{instructions}\n\n{text}")),
                        None => text,
                    },
                )),
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
            before_text.push(json!({"type": "text", "text": text}));
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

    /// What is sent back with an answer, and with each of its calls.
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

/// Whether a field of a message is a model's reasoning in some form. Some servers put it into parts before the text.
fn is_reasoning(field: &str) -> bool {
    field == CONTENT || field.contains("reasoning") || field.contains("thinking")
}

/// As a server documents it that wants each call signed, for calls that another model made.
fn no_signature() -> Map<String, Value> {
    let signature = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    Map::from_iter([("extra_content".to_owned(), signature)])
}

impl<'a> Message<'a> {
    fn new(role: &'static str, content: Cow<'a, str>) -> Self {
        Self { role, content: Some(Some(Content::Text(content))), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_api_reference_has_it() {
        let schema = RawValue::from_string(r#"{"type":"object"}"#.into()).unwrap();
        let call = Call { key: "k".into(), id: "c1", name: "clock", arguments: "{}", result: Cow::Borrowed("noon") };
        let request = ChatRequest {
            model: "m",
            server: "s",
            instructions: "Be brief.",
            parts: vec![Part::User("Time?".into()), Part::Answer(Answer { calls: vec![call], ..Answer::default() })],
            tools: vec![Tool { name: "clock", description: "Tells the time.", parameters: &schema }],
            may_call: true,
            answer_tokens: 1_000,
        };
        let (body, sent) = request.write(&Dialect::default()).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let id = &body["messages"][2]["tool_calls"][0]["id"];
        assert_eq!(
            body,
            json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true},
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Time?"},
                    {"role": "assistant", "content": null, "tool_calls": [
                        {"id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
                    {"role": "tool", "content": "noon", "tool_call_id": id},
                ],
                "tools": [{"type": "function", "function":
                    {"name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}}}],
            })
        );
        assert_eq!(sent.fields, [Field::Stream, Field::StreamOptions, Field::Tools]);
    }

    #[test]
    fn an_answer_has_room_for_some_sentences_however_little_its_context_holds() {
        let request = ChatRequest {
            model: "m",
            server: "s",
            instructions: "",
            parts: vec![Part::User("q".into())],
            tools: Vec::new(),
            may_call: true,
            answer_tokens: 10,
        };
        let dialect = Dialect { answer_limit: AnswerLimit::MaxTokens, ..Dialect::default() };
        let (_, sent) = request.write(&dialect).unwrap();
        assert_eq!(sent.answer_limit, Some(256));
    }

    #[test]
    fn what_a_server_sent_along_goes_back_to_it_and_to_nobody_else() {
        let along = Map::from_iter([("extra_content".to_owned(), json!({"google": {"thought_signature": "c2ln"}}))]);
        let kept = Map::from_iter([
            ("reasoning_details".to_owned(), json!([{"type": "reasoning.encrypted", "data": "x"}])),
            ("content".to_owned(), json!([{"type": "thinking", "thinking": []}])),
            ("role".to_owned(), json!("system")),
        ]);
        let answer = |server: &str, model: &str| {
            let echo = Echo {
                server: server.to_owned(),
                model: model.to_owned(),
                reasoning: Some("reasoning_content".to_owned()),
                fields: kept.clone(),
                calls: vec![along.clone()],
            };
            let call = Call { key: "k".into(), id: "c1", name: "t", arguments: "{}", result: Cow::Borrowed("r") };
            let answer = Answer { text: "x".into(), reasoning: Some("hm"), echo: Some(echo), calls: vec![call] };
            let parts = vec![Part::User("q".into()), Part::Answer(answer)];
            let request = ChatRequest {
                model: "m",
                server: "s",
                instructions: "",
                parts,
                tools: Vec::new(),
                may_call: true,
                answer_tokens: 1_000,
            };
            let (body, _) = request.write(&Dialect::default()).unwrap();
            serde_json::from_slice::<Value>(&body).unwrap()["messages"][1].take()
        };
        let ours = answer("s", "m");
        assert_eq!((&ours["role"], &ours["reasoning_content"]), (&json!("assistant"), &json!("hm")));
        assert_eq!(ours["reasoning_details"], kept["reasoning_details"]);
        assert_eq!(ours["content"], json!([{"type": "thinking", "thinking": []}, {"type": "text", "text": "x"}]));
        assert_eq!(ours["tool_calls"][0]["extra_content"], along["extra_content"]);
        for other in [answer("another", "m"), answer("s", "another")] {
            let fields: Vec<&str> = other.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, ["content", "role", "tool_calls"]);
            assert_eq!((&other["content"], other["tool_calls"][0].get("extra_content")), (&json!("x"), None));
        }
    }
}
