//! The request: the body for `POST {base}/responses`, made from that for Chat Completions, which is valid for the strictest server.

use completions::{
    ChatRequest, JsonFormat, Sent,
    addition::REASONING_ITEMS,
    dialect::{Dialect, Field},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What [`ChatRequest::write`] writes.
#[derive(Deserialize)]
struct Chat {
    model: String,
    messages: Vec<Map<String, Value>>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: Vec<ChatTool>,
    tool_choice: Option<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    temperature: Option<f64>,
    reasoning_effort: Option<String>,
}

#[derive(Deserialize)]
struct ChatTool {
    function: Map<String, Value>,
}

/// The whole body. The schema of an answer stays as it was sent: models write fields in its order.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    written: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
struct Format<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    json_schema: JsonFormat<'a>,
}

/// What a server must add to its answer, so that reasoning can be sent back without its keeping anything.
const INCLUDE: &str = "reasoning.encrypted_content";

/// Writes the body, and says which parts a refusal may be about.
///
/// # Errors
/// When a value cannot be written as JSON; strings always can.
pub fn write(request: ChatRequest<'_>, dialect: &Dialect) -> Result<(Vec<u8>, Sent), serde_json::Error> {
    let format = request.generation.format.filter(|_| dialect.sends(Field::ResponseFormat));
    let (body, mut sent) = request.write(dialect)?;
    let chat: Chat = serde_json::from_slice(&body)?;
    let mut written = Map::new();
    written.insert("model".to_owned(), chat.model.into());
    let mut input = Vec::with_capacity(chat.messages.len());
    for message in chat.messages {
        // One message gives the instructions, and it is the first.
        if input.is_empty() && text(&message, "role") == "system" {
            written.insert("instructions".to_owned(), text(&message, "content").into());
        } else {
            add(message, &mut input);
        }
    }
    written.insert("input".to_owned(), input.into());
    if chat.stream {
        written.insert("stream".to_owned(), true.into());
    }
    if !chat.tools.is_empty() {
        let is_strict = dialect.sends(Field::Strict).then_some(false);
        if is_strict.is_some() {
            sent.fields.push(Field::Strict);
        }
        written.insert("tools".to_owned(), chat.tools.into_iter().map(|chat| tool(chat, is_strict)).collect());
    }
    if let Some(choice) = chat.tool_choice {
        written.insert("tool_choice".to_owned(), choice.into());
    }
    if let Some(limit) = chat.max_tokens.or(chat.max_completion_tokens) {
        written.insert("max_output_tokens".to_owned(), limit.into());
    }
    if let Some(temperature) = chat.temperature {
        written.insert("temperature".to_owned(), temperature.into());
    }
    if let Some(effort) = chat.reasoning_effort {
        written.insert("reasoning".to_owned(), json!({"effort": effort}));
    }
    if dialect.sends(Field::Store) {
        written.insert("store".to_owned(), false.into());
        sent.fields.push(Field::Store);
    }
    if dialect.sends(Field::Include) {
        written.insert("include".to_owned(), json!([INCLUDE]));
        sent.fields.push(Field::Include);
    }
    sent.fields.retain(|field| *field != Field::StreamOptions);
    let text = format.map(|json_schema| Text { format: Format { r#type: "json_schema", json_schema } });
    Ok((serde_json::to_vec(&Body { written, text })?, sent))
}

fn text<'a>(message: &'a Map<String, Value>, field: &str) -> &'a str {
    message.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Turns a message into items: its reasoning, its text, its calls; or the result of a call.
fn add(mut message: Map<String, Value>, input: &mut Vec<Value>) {
    if let Some(Value::Array(items)) = message.remove(REASONING_ITEMS) {
        input.extend(items);
    }
    let role = text(&message, "role").to_owned();
    if role == "user" && message.get("content").is_some_and(Value::is_array) {
        let parts = message.remove("content").into_iter().flat_map(|content| match content {
            Value::Array(parts) => parts,
            _ => Vec::new(),
        });
        input.push(json!({"role": role, "content": parts.map(input_part).collect::<Vec<_>>()}));
        return;
    }
    let content = text(&message, "content").to_owned();
    if role == "tool" {
        let call_id = text(&message, "tool_call_id");
        input.push(json!({"type": "function_call_output", "call_id": call_id, "output": content}));
        return;
    }
    if !content.is_empty() {
        input.push(json!({"role": role, "content": content}));
    }
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    input.extend(calls.map(|call| {
        let of = |field: &str| call.pointer(field).cloned().unwrap_or_default();
        json!({
            "type": "function_call", "call_id": of("/id"), "name": of("/function/name"), "arguments": of("/function/arguments"),
        })
    }));
}

/// A part of what a person said: words, or a picture.
fn input_part(mut part: Value) -> Value {
    match part.pointer_mut("/image_url/url").map(Value::take) {
        Some(url) => json!({"type": "input_image", "image_url": url}),
        None => json!({"type": "input_text", "text": part.get_mut("text").map(Value::take)}),
    }
}

/// A tool. Unless `strict` is false some servers would change its schema.
fn tool(tool: ChatTool, strict: Option<bool>) -> Value {
    let mut written = tool.function;
    written.insert("type".to_owned(), "function".into());
    written.extend(strict.map(|strict| ("strict".to_owned(), strict.into())));
    Value::Object(written)
}
