//! The JSON of an answer: `chat.completion` and `chat.completion.chunk`.
//! Source: OpenAI's API reference, "The chat completion object" and "The chat completion chunk object".
//! Must not know about time, bytes or faults.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Usage};
use crate::request::ChatRequest;
use crate::script::Script;

/// Arguments are streamed in pieces of this many characters, as real models do.
const ARGUMENT_FRAGMENT_CHARS: usize = 7;

/// The fields that all chunks of an answer repeat.
pub(crate) struct Head {
    id: String,
    model: String,
    created_s: i64,
}

impl Head {
    pub(crate) fn new(request: &ChatRequest) -> Self {
        Self {
            id: format!("chatcmpl-{:016x}", request.fingerprint),
            model: request.model.clone(),
            created_s: jiff::Timestamp::now().as_second(),
        }
    }

    fn object(&self, kind: &str, choices: Value) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("id".into(), json!(self.id));
        object.insert("object".into(), json!(kind));
        object.insert("created".into(), json!(self.created_s));
        object.insert("model".into(), json!(self.model));
        object.insert("system_fingerprint".into(), json!("scripted"));
        object.insert("choices".into(), choices);
        object
    }

    fn chunk(&self, delta: &Value, finish_reason: Option<&str>, usage_follows: bool) -> String {
        let choices = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        let mut object = self.object("chat.completion.chunk", choices);
        if usage_follows {
            object.insert("usage".into(), Value::Null);
        }
        Value::Object(object).to_string()
    }
}

/// The events of a streamed answer before `[DONE]`.
pub(crate) struct Events {
    /// The event with the role.
    pub(crate) opening: String,
    /// The events with the content, one a chunk.
    pub(crate) deltas: Vec<String>,
    /// The event with the finish reason, then the usage if it was requested.
    pub(crate) closing: Vec<String>,
}

/// The answer as events.
pub(crate) fn events(head: &Head, request: &ChatRequest, script: &Script, answer: &Answer) -> Events {
    let usage = script.usage && request.stream_options.as_ref().is_some_and(|options| options.include_usage);
    let chunk = |delta: Value| head.chunk(&delta, None, usage);

    let content = if answer.calls.is_empty() { json!("") } else { Value::Null };
    let mut deltas: Vec<String> = Vec::new();
    deltas.extend(answer.reasoning.iter().map(|text| chunk(json!({script.reasoning_field: text}))));
    let words = if answer.refusal { "refusal" } else { "content" };
    deltas.extend(answer.content.iter().map(|text| chunk(json!({words: text}))));
    for (index, call) in answer.calls.iter().enumerate() {
        deltas.push(chunk(json!({"tool_calls": [{
            "index": index, "id": call.id, "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }]})));
        let letters: Vec<char> = call.arguments.chars().collect();
        deltas.extend(letters.chunks(ARGUMENT_FRAGMENT_CHARS).map(|part| {
            let part: String = part.iter().collect();
            chunk(json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
        }));
    }

    let mut closing = vec![head.chunk(&json!({}), Some(answer.finish_reason), usage)];
    if usage {
        let mut last = head.object("chat.completion.chunk", json!([]));
        last.insert("usage".into(), tokens(answer.usage));
        closing.push(Value::Object(last).to_string());
    }
    Events { opening: chunk(json!({"role": "assistant", "content": content, "refusal": null})), deltas, closing }
}

/// The answer as one JSON object.
pub(crate) fn whole(head: &Head, script: &Script, answer: &Answer) -> Value {
    let said = answer.content.concat();
    let (content, refusal) = match (answer.calls.is_empty(), answer.refusal) {
        (false, _) => (Value::Null, Value::Null),
        (true, true) => (Value::Null, json!(said)),
        (true, false) => (json!(said), Value::Null),
    };
    let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
    if let Some(fields) = message.as_object_mut() {
        if !answer.reasoning.is_empty() {
            fields.insert(script.reasoning_field.into(), json!(answer.reasoning.concat()));
        }
        if !answer.calls.is_empty() {
            let calls = answer.calls.iter().map(|call| {
                json!({"id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}})
            });
            fields.insert("tool_calls".into(), calls.collect());
        }
    }
    let choices = json!([{
        "index": 0, "message": message, "logprobs": null, "finish_reason": answer.finish_reason,
    }]);
    let mut object = head.object("chat.completion", choices);
    if script.usage {
        object.insert("usage".into(), tokens(answer.usage));
    }
    Value::Object(object)
}

fn tokens(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}
