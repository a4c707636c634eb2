//! The JSON of a chunk, with the fields that are used. All are optional; unknown fields are ignored.
//!
//! An ordinary chunk is parsed directly into these types. If they find nothing in it, or a field has an unexpected type, it is read again field
//! by field (`loose`): one odd field must not lose the others.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, error::Category, value::RawValue};

use crate::{loose, provider_error::ProviderError, repair::repaired, round::Usage};

/// The result of parsing a text that should be JSON.
pub(crate) enum Parsed<'a> {
    /// A chunk.
    Chunk(Chunk<'a>),
    /// Several chunks, or none.
    Chunks(Vec<Chunk<'static>>),
    /// The text ends midway.
    Incomplete,
    /// The text is not JSON.
    Unreadable,
}

#[derive(Default, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) choices: Vec<Choice<'a>>,
    pub(crate) usage: Option<Usage>,
    #[serde(skip)]
    pub(crate) error: Option<Box<ProviderError>>,
    /// A text that is an error if nothing more comes.
    #[serde(skip)]
    pub(crate) doubt: Option<Box<ProviderError>>,
    /// It has a place for the model's text, even an empty one.
    #[serde(skip)]
    pub(crate) is_completion: bool,
    /// It has content, but none that a completion has.
    #[serde(skip)]
    pub(crate) is_foreign: bool,
    #[serde(rename = "error")]
    pub(crate) has_error: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Choice<'a> {
    pub(crate) index: Option<i64>,
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
    /// The delta is the whole answer, not an addition.
    #[serde(skip)]
    pub(crate) is_whole: bool,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Cow<'a, str>>,
    #[serde(skip)]
    pub(crate) error: Option<Box<ProviderError>>,
    #[serde(rename = "error")]
    pub(crate) has_error: Option<IgnoredAny>,
    // Read only in `loose`. `null` counts as missing.
    #[serde(rename = "finishReason")]
    pub(crate) finish_in_camel_case: Option<IgnoredAny>,
    pub(crate) stop_reason: Option<IgnoredAny>,
    pub(crate) done_reason: Option<IgnoredAny>,
    pub(crate) usage: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<CallDelta<'a>>>,
    /// Fields of few servers.
    #[serde(skip)]
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) reasoning_details: Option<IgnoredAny>,
    pub(crate) thinking_blocks: Option<IgnoredAny>,
    pub(crate) extra_content: Option<IgnoredAny>,
    pub(crate) function_call: Option<IgnoredAny>,
    #[serde(rename = "toolCalls")]
    pub(crate) calls_in_camel_case: Option<IgnoredAny>,
    pub(crate) finish_reason: Option<IgnoredAny>,
    pub(crate) stop_reason: Option<IgnoredAny>,
    pub(crate) thinking: Option<IgnoredAny>,
}

/// Fields of few servers.
#[derive(Default)]
pub(crate) struct Rare {
    /// Reasoning in a less common field.
    pub(crate) thought: String,
    /// Fields of the message that the server wants back, by name.
    pub(crate) kept: Vec<(&'static str, Value)>,
}

#[derive(Default, Deserialize)]
pub(crate) struct CallDelta<'a> {
    pub(crate) index: Option<i64>,
    /// The index is the position in the list, because the server sent none.
    #[serde(skip)]
    pub(crate) is_numbered_by_place: bool,
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) function: Option<FunctionDelta<'a>>,
    /// Fields that the server wants back, by name.
    #[serde(skip)]
    pub(crate) kept: Vec<(&'static str, Value)>,
    pub(crate) extra_content: Option<IgnoredAny>,
    pub(crate) provider_specific_fields: Option<IgnoredAny>,
    pub(crate) thought_signature: Option<IgnoredAny>,
}

impl CallDelta<'_> {
    pub(crate) fn is_named(&self) -> bool {
        self.function.as_ref().and_then(|function| function.name.as_ref()).is_some_and(|name| !name.is_empty())
    }

    fn is_ordinary(&self) -> bool {
        let has_kept =
            self.extra_content.is_some() || self.provider_specific_fields.is_some() || self.thought_signature.is_some();
        self.function.as_ref().is_some_and(|function| function.arguments.is_some()) && !has_kept
    }
}

#[derive(Default, Deserialize)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "arguments")]
    pub(crate) arguments: Option<Cow<'a, str>>,
}

/// Text, or JSON whose source text is used, so that no digit of a number is lost.
fn arguments<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    let raw = Option::<&'a RawValue>::deserialize(deserializer)?.map(RawValue::get);
    Ok(raw.map(|raw| {
        if !raw.starts_with('"') {
            return Cow::Borrowed(raw);
        }
        let text = serde_json::from_str(raw).or_else(|_| serde_json::from_str(&repaired(raw)));
        Cow::Owned(text.unwrap_or_default())
    }))
}

impl Delta<'_> {
    /// Whether it has content from the model.
    pub(crate) fn says_something(&self) -> bool {
        let said = [&self.content, &self.reasoning_content, &self.reasoning, &self.refusal];
        said.into_iter().flatten().any(|text| !text.is_empty())
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
            || self.rare.as_ref().is_some_and(|rare| !rare.thought.is_empty())
    }

    fn is_ordinary(&self) -> bool {
        let called = self.tool_calls.as_deref().unwrap_or_default();
        let rare = [
            &self.reasoning_details,
            &self.thinking_blocks,
            &self.extra_content,
            &self.function_call,
            &self.calls_in_camel_case,
            &self.finish_reason,
            &self.stop_reason,
            &self.thinking,
        ];
        let has_rare = rare.into_iter().any(Option::is_some);
        !has_rare && self.says_something() && called.iter().all(CallDelta::is_ordinary)
    }
}

impl Chunk<'_> {
    /// Whether it has content from the model, and nothing that must be read again.
    fn is_ordinary(&self) -> bool {
        let is_ordinary = |choice: &Choice<'_>| {
            let rare = [
                &choice.has_error,
                &choice.finish_in_camel_case,
                &choice.stop_reason,
                &choice.done_reason,
                &choice.usage,
            ];
            rare.into_iter().all(Option::is_none) && choice.delta.as_ref().is_some_and(Delta::is_ordinary)
        };
        self.has_error.is_none() && !self.choices.is_empty() && self.choices.iter().all(is_ordinary)
    }
}

/// Parses a text that should be a chunk. `names_error`: the server calls it an error.
pub(crate) fn parse(bytes: &[u8], names_error: bool) -> Parsed<'_> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(text)
        && chunk.is_ordinary()
        && !names_error
    {
        return Parsed::Chunk(chunk);
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => Parsed::Chunks(loose::chunks(value, names_error)),
        Err(error) if error.classify() == Category::Eof => Parsed::Incomplete,
        Err(_) => {
            let text = repaired(&String::from_utf8_lossy(bytes));
            // Text after an object on the same line does not invalidate the object.
            let values = serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok);
            let chunks: Vec<_> = values.flat_map(|value: Value| loose::chunks(value, names_error)).collect();
            if chunks.is_empty() { Parsed::Unreadable } else { Parsed::Chunks(chunks) }
        }
    }
}
