//! The JSON of an event, with the fields that are used. All are optional; unknown events and fields are ignored, and a field of another type counts as
//! missing: one odd field must not lose the others.

use serde::Deserialize;
use serde_json::Value;

/// An event of the stream.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Event {
    pub(crate) r#type: Value,
    pub(crate) output_index: Value,
    pub(crate) item_id: Value,
    pub(crate) summary_index: Value,
    pub(crate) delta: Value,
    pub(crate) arguments: Value,
    pub(crate) item: Value,
    pub(crate) response: Value,
    /// Of a whole response that was not streamed.
    pub(crate) object: Value,
}

/// A text, or JSON that a server did not write as a text.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// An item of the answer.
pub(crate) struct Item<'a>(pub(crate) &'a Value);

impl Item<'_> {
    pub(crate) fn kind(&self) -> &str {
        self.field("type").unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn arguments(&self) -> String {
        self.0.get("arguments").map(text).unwrap_or_default()
    }

    /// The text of a message, a refusal included.
    pub(crate) fn text(&self) -> String {
        self.parts("content").concat()
    }

    /// The summary of its reasoning, or the reasoning itself where a server shows it.
    pub(crate) fn reasoning(&self) -> String {
        let summary = self.parts("summary");
        if summary.is_empty() { self.text() } else { summary.join("\n\n") }
    }

    fn parts(&self, field: &str) -> Vec<String> {
        match self.0.get(field) {
            Some(Value::String(text)) => vec![text.clone()],
            Some(Value::Array(parts)) => {
                let said = |part: &Value| {
                    ["text", "refusal"].iter().find_map(|name| part.get(name)?.as_str().map(str::to_owned))
                };
                parts.iter().filter_map(said).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A reasoning item as it is sent back: without its state, which is no input.
    pub(crate) fn sent_back(&self) -> Value {
        let mut item = self.0.clone();
        if let Some(fields) = item.as_object_mut() {
            fields.remove("status");
            fields.retain(|_, value| !value.is_null());
        }
        item
    }
}

/// The state of the answer.
pub(crate) struct Response<'a>(pub(crate) &'a Value);

impl Response<'_> {
    pub(crate) fn output(&self) -> impl Iterator<Item = (i64, &Value)> {
        (0..).zip(self.0.get("output").and_then(Value::as_array).into_iter().flatten())
    }

    /// Whether it was cut, and why.
    pub(crate) fn cut(&self) -> Option<&str> {
        let reason = self.0.pointer("/incomplete_details/reason").and_then(Value::as_str);
        reason.or_else(|| self.0.get("status").and_then(Value::as_str).filter(|status| *status == "incomplete"))
    }

    /// The tokens of the request and of the answer, if the server counted.
    pub(crate) fn usage(&self) -> Option<(u64, u64)> {
        let count = |names: [&str; 2]| {
            let usage = self.0.get("usage")?;
            names.iter().find_map(|name| usage.get(name)?.as_u64())
        };
        Some((count(["input_tokens", "prompt_tokens"])?, count(["output_tokens", "completion_tokens"])?))
    }
}
