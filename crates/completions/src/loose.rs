//! Reads an irregular chunk field by field. Parts that cannot be understood are left out; nothing here fails.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    provider_error::{ProviderError, Reported, is_sign_of_life},
    round::Usage,
    wire::{CallDelta, Choice, Chunk, Delta, FunctionDelta, Rare},
};

/// How deep nested parts are read: servers nest them twice.
const MAX_DEPTH: u32 = 8;
/// A larger number of tokens is not a count.
const MAX_TOKENS: f64 = 1e12;

/// The chunks in a JSON value: one, a list of them, or none.
pub(crate) fn chunks(value: Value, names_error: bool) -> Vec<Chunk<'static>> {
    match value {
        Value::Array(items) => items.into_iter().map(|item| chunk(item, names_error)).collect(),
        value => vec![chunk(value, names_error)],
    }
}

/// Fields in which some gateways wrap an answer.
const AROUND: [&str; 4] = ["data", "output", "result", "response"];

/// An answer without its wrapper, unless the value is an error.
fn unwrapped(value: Value, names_error: bool) -> Value {
    let choices = |name: &str| value.get(name).and_then(|within| within.get("choices")?.as_array());
    let around = AROUND.into_iter().find_map(|name| Some((name, choices(name)?)));
    let Some((name, choices)) = around.filter(|_| value.get("choices").is_none()) else { return value };
    let is_well = matches!(ProviderError::in_chunk(&value, !choices.is_empty(), names_error), Reported::Nothing);
    let Value::Object(mut fields) = value else { return value };
    match is_well.then(|| fields.remove(name)).flatten() {
        Some(Value::Object(mut within)) => {
            if let Some(usage) = fields.remove("usage") {
                within.entry("usage").or_insert(usage);
            }
            Value::Object(within)
        }
        _ => Value::Object(fields),
    }
}

fn chunk(value: Value, names_error: bool) -> Chunk<'static> {
    let value = unwrapped(value, names_error);
    let listed = match value.get("choices") {
        Some(Value::Array(choices)) => choices.iter().any(Value::is_object),
        Some(choice) => choice.is_object(),
        None => false,
    };
    // Some servers send a message without a list of choices.
    let is_message = |message: &Value| message.get("role").or_else(|| message.get("content")).is_some();
    let alone = !listed && ["message", "delta"].iter().filter_map(|name| value.get(*name)).any(is_message);
    let (error, doubt) = match ProviderError::in_chunk(&value, listed || alone, names_error) {
        Reported::Nothing => (None, None),
        Reported::Perhaps(error) => (None, Some(Box::new(error))),
        Reported::Error(error) => (Some(Box::new(error)), None),
    };
    let known = ["choices", "usage", "error", "message"];
    let is_foreign = !is_sign_of_life(&value) && known.iter().all(|name| value.get(*name).is_none());
    let is_completion = alone || value.get("choices").is_some();
    let Value::Object(mut fields) = value else { return Chunk { error, ..Chunk::default() } };
    let of_choices =
        fields.get("choices").and_then(Value::as_array).into_iter().flatten().map(|choice| choice.get("usage"));
    let usage =
        [fields.get("usage"), fields.get("x_groq").and_then(|groq| groq.get("usage"))].into_iter().chain(of_choices);
    let usage = usage.flatten().find_map(usage_in);
    let choices = match fields.remove("choices") {
        _ if alone => vec![choice(fields)],
        Some(Value::Array(choices)) => choices.into_iter().filter_map(object).map(choice).collect(),
        Some(Value::Object(fields)) => vec![choice(fields)],
        _ => Vec::new(),
    };
    Chunk { choices, usage, error, doubt, is_completion, is_foreign, ..Chunk::default() }
}

fn choice(mut fields: Map<String, Value>) -> Choice<'static> {
    let index = fields.get("index").and_then(whole_number);
    let reasons = ["finish_reason", "finishReason", "stop_reason", "done_reason"];
    // Some servers send an object: its type, or the fault.
    let named = |reason: &Value| word(reason.get("type").unwrap_or(reason));
    let reason = |fields: &Map<String, Value>| reasons.iter().find_map(|name| named(fields.get(*name)?));
    let within = fields.get("delta").and_then(Value::as_object).and_then(reason);
    let finish_reason = reason(&fields).or(within);
    let told = finish_reason.as_deref().and_then(|reason| reason.strip_prefix("error:")).map(Value::from);
    let told = told.or_else(|| {
        fields
            .get("finish_reason")
            .filter(|reason| reason.get("message").or_else(|| reason.get("error")).is_some())
            .cloned()
    });
    let error = [fields.get("error"), told.as_ref()].into_iter().flatten().find_map(ProviderError::in_choice);
    let (finish_reason, error) = (finish_reason.map(Cow::Owned), error.map(Box::new));
    let mut is_whole = false;
    let mut said = fields.remove("delta").map(delta).unwrap_or_default();
    if !said.says_something()
        && let Some(message) = fields.remove("message").map(delta)
        && message.says_something()
    {
        (said, is_whole) = (message, true);
    }
    if !said.says_something() {
        let beside = delta(Value::Object(fields));
        said = if beside.says_something() { beside } else { said };
    }
    Choice { index, delta: Some(said), is_whole, finish_reason, error, ..Choice::default() }
}

fn delta(value: Value) -> Delta<'static> {
    let mut said = Said::default();
    let Value::Object(mut fields) = value else {
        // The message is a plain value without a field.
        said.read(&value, MAX_DEPTH);
        return said.into_delta(Delta::default());
    };
    if let Some(content) =
        ["content", "text", "output_text"].iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()))
    {
        said.read(content, MAX_DEPTH);
    }
    let named = |name: &str| fields.get(name).map(|value| text_in(value, MAX_DEPTH)).filter(|text| !text.is_empty());
    let first = |names: &[&str]| names.iter().find_map(|name| named(name)).map(Cow::Owned);
    let thought = first(&["thinking", "thought", "reasoning_text", "reasoning_details", "thinking_blocks"]);
    let thought = thought.map(Cow::into_owned).unwrap_or_default();
    let (reasoning_content, reasoning) = (first(&["reasoning_content"]), first(&["reasoning"]));
    let refusal = first(&["refusal"]);
    let kept = kept(&mut fields, &["reasoning_details", "thinking_blocks", "extra_content"]);
    let called = ["tool_calls", "toolCalls", "function_call"]
        .iter()
        .find_map(|name| fields.remove(*name).filter(|calls| !calls.is_null()));
    said.calls.extend(called.map(calls).unwrap_or_default());
    let delta = Delta {
        reasoning_content,
        reasoning,
        refusal,
        rare: Some(Box::new(Rare { thought, kept })),
        ..Delta::default()
    };
    said.into_delta(delta)
}

/// A message in parts.
#[derive(Default)]
struct Said {
    text: String,
    reasoning: String,
    thinking_parts: Vec<Value>,
    calls: Vec<CallDelta<'static>>,
}

impl Said {
    fn read(&mut self, content: &Value, depth: u32) {
        match content {
            Value::Array(parts) if depth > 0 => parts.iter().for_each(|part| self.read(part, depth - 1)),
            Value::Object(part) => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
                if kind.contains("think") || kind.contains("reason") || part.contains_key("thinking") {
                    self.reasoning.push_str(&text_in(content, depth));
                    self.thinking_parts.push(content.clone());
                } else if kind.starts_with("tool_") {
                    self.calls.extend(call(part.clone()));
                } else {
                    self.text.push_str(&text_in(content, depth));
                }
            }
            other => self.text.push_str(&text_in(other, depth)),
        }
    }

    fn into_delta(self, delta: Delta<'static>) -> Delta<'static> {
        let mut rare = delta.rare.unwrap_or_default();
        if !self.reasoning.is_empty() {
            rare.thought = self.reasoning;
        }
        if !self.thinking_parts.is_empty() {
            rare.kept.push(("content", Value::Array(self.thinking_parts)));
        }
        Delta {
            content: Some(self.text).filter(|text| !text.is_empty()).map(Cow::Owned),
            tool_calls: Some(self.calls).filter(|calls| !calls.is_empty()),
            rare: Some(rare),
            ..delta
        }
    }
}

/// Takes out the fields that a server wants back.
fn kept(fields: &mut Map<String, Value>, names: &[&'static str]) -> Vec<(&'static str, Value)> {
    let taken = names.iter().filter_map(|name| Some((*name, fields.remove(*name)?)));
    taken.filter(|(_, value)| !value.is_null()).collect()
}

/// The text in a value, in whatever structure.
fn text_in(value: &Value, depth: u32) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(parts) if depth > 0 => parts.iter().map(|part| text_in(part, depth - 1)).collect(),
        Value::Object(part) if depth > 0 => {
            let fields =
                ["text", "parts", "thinking", "reasoning", "content", "summary", "refusal", "output_text", "value"];
            let texts = fields.iter().filter_map(|name| part.get(*name)).map(|value| text_in(value, depth - 1));
            texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn calls(value: Value) -> Vec<CallDelta<'static>> {
    match value {
        Value::Array(calls) => calls.into_iter().filter_map(object).filter_map(call).collect(),
        Value::Object(fields) => call(fields).into_iter().collect(),
        // A list that was serialized twice.
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Array(calls)) => calls.into_iter().filter_map(object).filter_map(call).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn call(mut fields: Map<String, Value>) -> Option<CallDelta<'static>> {
    let mut function = fields.remove("function").and_then(object).unwrap_or_default();
    let index = [fields.get("index"), function.get("index")].into_iter().flatten().find_map(whole_number);
    let id = word_in(&fields, &["id", "call_id", "tool_call_id"]);
    let name = function.get("name").or_else(|| fields.get("name")).and_then(word);
    let named = ["arguments", "input", "args", "parameters"];
    let arguments = named.iter().find_map(|name| function.remove(*name).or_else(|| fields.remove(*name)));
    let arguments = arguments.and_then(|arguments| match arguments {
        Value::String(text) => Some(text),
        Value::Null => None,
        other => Some(other.to_string()),
    });
    if id.is_none() && name.is_none() && arguments.is_none() {
        return None;
    }
    Some(CallDelta {
        index,
        id: id.map(Cow::Owned),
        function: Some(FunctionDelta { name: name.map(Cow::Owned), arguments: arguments.map(Cow::Owned) }),
        kept: kept(&mut fields, &["extra_content", "provider_specific_fields", "thought_signature"]),
        ..CallDelta::default()
    })
}

/// The usage, if both counts are valid, or one and the sum.
fn usage_in(usage: &Value) -> Option<Usage> {
    let count = |names: [&str; 2]| names.iter().find_map(|name| tokens(usage.get(*name)?));
    let (prompt, completion) =
        (count(["prompt_tokens", "input_tokens"]), count(["completion_tokens", "output_tokens"]));
    let rest = |part: u64| count(["total_tokens", "totalTokens"])?.checked_sub(part);
    let prompt_tokens = prompt.or_else(|| rest(completion?))?;
    Some(Usage { prompt_tokens, completion_tokens: completion.or_else(|| rest(prompt_tokens))? })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number within bounds"
)]
fn tokens(value: &Value) -> Option<u64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let counts = number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number);
    counts.then_some(number as u64)
}

fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text, or a number as text; `None` if it is empty.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn word_in(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| word(fields.get(*name)?))
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}
