//! Reads a Chat Completions request, and refuses what OpenAI refuses, so that a client that works here works there. Source: the API reference of
//! `POST /v1/chat/completions`. Must not decide the answer.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;
use serde_json::Value;

use crate::failure::ScriptedFailure;

/// OpenAI's limit on tools in one request.
const TOOLS_MAX: usize = 128;
/// OpenAI's limit on a tool's name.
const TOOL_NAME_MAX: usize = 64;

/// The fields that the script uses. Others are accepted and ignored, as models do.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) stream: bool,
    pub(crate) stream_options: Option<StreamOptions>,
    #[serde(default)]
    pub(crate) tools: Vec<OfferedTool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) max_completion_tokens: Option<usize>,
    pub(crate) n: Option<u32>,
    /// A hash of the messages and the model: equal for equal requests.
    #[serde(skip)]
    pub(crate) fingerprint: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: Role,
    content: Option<Content>,
    #[serde(default)]
    pub(crate) tool_calls: Vec<CallMade>,
    pub(crate) tool_call_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

/// A call that the assistant made earlier.
#[derive(Debug, Deserialize)]
pub(crate) struct CallMade {
    pub(crate) id: String,
    pub(crate) function: FunctionMade,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FunctionMade {
    pub(crate) name: String,
    /// JSON as text, exactly as the model wrote it.
    #[serde(rename = "arguments")]
    _arguments: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OfferedTool {
    #[serde(rename = "type")]
    kind: String,
    pub(crate) function: Function,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ToolChoice {
    Mode(String),
    Named { function: NamedFunction },
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedFunction {
    pub(crate) name: String,
}

impl Function {
    /// The required arguments of type string.
    pub(crate) fn required_texts(&self) -> Vec<&str> {
        let schema = self.parameters.as_ref();
        let is_text = |name: &str| {
            schema.and_then(|schema| schema.pointer("/properties")?.get(name)?.get("type"))
                == Some(&Value::from("string"))
        };
        let required = schema.and_then(|schema| schema.get("required")?.as_array());
        required.into_iter().flatten().filter_map(Value::as_str).filter(|name| is_text(name)).collect()
    }
}

impl Message {
    /// The text of the message, with its parts joined.
    pub(crate) fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                parts.iter().filter_map(|part| part.text.as_deref()).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl ChatRequest {
    /// Reads and checks a body. The second value is the unchanged body, for the journal.
    pub(crate) fn parse(body: &[u8]) -> Result<(Self, Value), ScriptedFailure> {
        let unreadable = |error: serde_json::Error| {
            ScriptedFailure::invalid("body", format!("The body could not be read: {error}."))
        };
        let raw: Value = serde_json::from_slice(body).map_err(unreadable)?;
        let mut request = Self::deserialize(&raw).map_err(unreadable)?;
        request.check()?;

        let mut hasher = DefaultHasher::new();
        request.model.hash(&mut hasher);
        raw.get("messages").map(Value::to_string).hash(&mut hasher);
        request.fingerprint = hasher.finish();
        Ok((request, raw))
    }

    /// The text of the last message that a person wrote.
    pub(crate) fn last_user_text(&self) -> String {
        self.messages.iter().rev().find(|message| message.role == Role::User).map(Message::text).unwrap_or_default()
    }

    /// How often tools were called since the last user message.
    pub(crate) fn rounds(&self) -> usize {
        self.messages
            .iter()
            .rev()
            .take_while(|message| message.role != Role::User)
            .filter(|message| !message.tool_calls.is_empty())
            .count()
    }

    /// The tool results at the end of the conversation, in order, each with its tool's name.
    pub(crate) fn results(&self) -> Vec<(&str, String)> {
        let mut results: Vec<_> = self
            .messages
            .iter()
            .rev()
            .take_while(|message| message.role == Role::Tool)
            .map(|message| (self.tool_name(message.tool_call_id.as_deref()), message.text()))
            .collect();
        results.reverse();
        results
    }

    fn tool_name(&self, call_id: Option<&str>) -> &str {
        self.messages
            .iter()
            .rev()
            .flat_map(|message| &message.tool_calls)
            .find(|call| Some(call.id.as_str()) == call_id)
            .map_or("tool", |call| call.function.name.as_str())
    }

    fn check(&self) -> Result<(), ScriptedFailure> {
        if self.messages.is_empty() {
            return Err(ScriptedFailure::invalid(
                "messages",
                "Invalid 'messages': empty array. Expected at least one message.",
            ));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(ScriptedFailure::invalid("n", "The scripted model gives one choice: leave out 'n'."));
        }
        if self.stream_options.is_some() && !self.stream {
            return Err(ScriptedFailure::invalid(
                "stream_options",
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            ));
        }
        self.check_tools()?;
        self.check_results()
    }

    fn check_tools(&self) -> Result<(), ScriptedFailure> {
        if self.tools.len() > TOOLS_MAX {
            return Err(ScriptedFailure::invalid(
                "tools",
                format!("Invalid 'tools': array too long, at most {TOOLS_MAX}."),
            ));
        }
        for (index, tool) in self.tools.iter().enumerate() {
            let name = &tool.function.name;
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
            if !plain || name.is_empty() || name.len() > TOOL_NAME_MAX {
                return Err(ScriptedFailure::invalid(
                    format!("tools[{index}].function.name"),
                    format!(
                        "Invalid 'tools[{index}].function.name': '{name}' does not match '^[a-zA-Z0-9_-]{{1,64}}$'."
                    ),
                ));
            }
            if tool.kind != "function" || tool.function.parameters.as_ref().is_some_and(|schema| !schema.is_object()) {
                return Err(ScriptedFailure::invalid(
                    format!("tools[{index}]"),
                    format!("Invalid 'tools[{index}]': type 'function' with an object as 'parameters' is needed."),
                ));
            }
        }
        match &self.tool_choice {
            Some(ToolChoice::Mode(mode)) if !matches!(mode.as_str(), "auto" | "none" | "required") => {
                Err(ScriptedFailure::invalid("tool_choice", format!("Invalid value for 'tool_choice': '{mode}'.")))
            }
            Some(_) if self.tools.is_empty() => Err(ScriptedFailure::invalid(
                "tool_choice",
                "'tool_choice' is only allowed when 'tools' are specified.",
            )),
            _ => Ok(()),
        }
    }

    /// Checks that every call is followed by its result, and that every result has a call.
    fn check_results(&self) -> Result<(), ScriptedFailure> {
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for (index, message) in self.messages.iter().enumerate() {
            let param = format!("messages.[{index}].role");
            if message.role == Role::Tool {
                if !message.tool_call_id.as_deref().is_some_and(|id| open.remove(id)) {
                    return Err(ScriptedFailure::invalid(
                        param,
                        "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                    ));
                }
                continue;
            }
            if !open.is_empty() {
                return Err(unanswered(&open, param));
            }
            open.extend(message.tool_calls.iter().map(|call| call.id.as_str()));
        }
        if open.is_empty() { Ok(()) } else { Err(unanswered(&open, "messages".to_owned())) }
    }
}

fn unanswered(open: &BTreeSet<&str>, param: String) -> ScriptedFailure {
    let ids: Vec<_> = open.iter().copied().collect();
    ScriptedFailure::invalid(
        param,
        format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
             'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            ids.join(", ")
        ),
    )
}
