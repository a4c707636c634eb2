//! The request: what is sent to `POST {base}/chat/completions`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

/// One message of the prompt.
#[derive(Clone, Debug, Serialize)]
pub struct RequestMessage<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> RequestMessage<'a> {
    /// The installation's instructions.
    #[must_use]
    pub const fn system(content: &'a str) -> Self {
        Self { role: "system", content: Cow::Borrowed(content), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// The person's words.
    #[must_use]
    pub const fn user(content: &'a str) -> Self {
        Self { role: "user", content: Cow::Borrowed(content), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// The model's words, and the calls it asked for as `(id, name, arguments)`.
    pub fn assistant(content: &'a str, calls: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let tool_calls = calls
            .into_iter()
            .map(|(id, name, arguments)| Call { id, r#type: "function", function: CalledFunction { name, arguments } })
            .collect();
        Self { role: "assistant", content: Cow::Borrowed(content), tool_calls, tool_call_id: None }
    }

    /// A tool's result.
    pub fn tool(content: impl Into<Cow<'a, str>>, call_id: &'a str) -> Self {
        Self { role: "tool", content: content.into(), tool_calls: Vec::new(), tool_call_id: Some(call_id) }
    }
}

/// A tool as it is offered to the model.
#[derive(Clone, Debug, Serialize)]
pub struct RequestTool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

impl<'a> RequestTool<'a> {
    /// `parameters` is the JSON Schema of the arguments.
    #[must_use]
    pub const fn new(name: &'a str, description: &'a str, parameters: &'a RawValue) -> Self {
        Self { r#type: "function", function: Function { name, description, parameters } }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [RequestMessage<'a>],
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [RequestTool<'a>],
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body of a streamed request.
///
/// # Errors
/// When a value cannot be written as JSON, which strings always can.
pub fn chat_request(
    model: &str,
    messages: &[RequestMessage<'_>],
    tools: &[RequestTool<'_>],
) -> Result<Vec<u8>, serde_json::Error> {
    let stream_options = StreamOptions { include_usage: true };
    serde_json::to_vec(&Request { model, messages, stream: true, stream_options, tools })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_the_api_reference_has_it() {
        let schema = RawValue::from_string(r#"{"type":"object"}"#.into()).unwrap();
        let messages = [
            RequestMessage::system("Be brief."),
            RequestMessage::user("Time?"),
            RequestMessage::assistant("", [("c1", "clock", "{}")]),
            RequestMessage::tool("noon", "c1"),
        ];
        let body = chat_request("m", &messages, &[RequestTool::new("clock", "Tells the time.", &schema)]).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "model": "m", "stream": true, "stream_options": {"include_usage": true},
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Time?"},
                    {"role": "assistant", "content": "", "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}]},
                    {"role": "tool", "content": "noon", "tool_call_id": "c1"},
                ],
                "tools": [{"type": "function", "function":
                    {"name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}}}],
            })
        );
    }
}
