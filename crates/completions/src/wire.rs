//! The JSON of a chunk, as far as it is read. Everything is optional, unknown fields are passed over.
//!
//! An ordinary chunk is read at once into these types. One that says nothing in them, or has a field of another type than it should, is read
//! again field by field (`loose`): one odd field must not cost the others.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, error::Category, value::RawValue};

use crate::{loose, provider_error::ProviderError, repair::repaired, round::Usage};

/// What there is in a text that should be JSON.
pub(crate) enum Parsed<'a> {
    /// A chunk.
    Chunk(Chunk<'a>),
    /// Several, or none.
    Chunks(Vec<Chunk<'static>>),
    /// It ends in the middle.
    Incomplete,
    /// It is no JSON.
    Unreadable,
}

#[derive(Default, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) choices: Vec<Choice<'a>>,
    pub(crate) usage: Option<Usage>,
    #[serde(skip)]
    pub(crate) error: Option<ProviderError>,
    #[serde(rename = "error")]
    pub(crate) has_error: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Choice<'a> {
    pub(crate) index: Option<i64>,
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
    /// The delta is all of the answer, not what comes next.
    #[serde(skip)]
    pub(crate) is_whole: bool,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<Cow<'a, str>>,
    #[serde(skip)]
    pub(crate) error: Option<ProviderError>,
    #[serde(rename = "error")]
    pub(crate) has_error: Option<IgnoredAny>,
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
    pub(crate) reasoning_details: Option<Value>,
    pub(crate) thinking_blocks: Option<Value>,
    pub(crate) extra_content: Option<Value>,
    /// Reasoning under another name.
    #[serde(skip)]
    pub(crate) thought: Option<Cow<'a, str>>,
    /// Parts of the content that are the model's reasoning.
    #[serde(skip)]
    pub(crate) thinking_parts: Vec<Value>,
}

#[derive(Default, Deserialize)]
pub(crate) struct CallDelta<'a> {
    pub(crate) index: Option<i64>,
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) function: Option<FunctionDelta<'a>>,
    pub(crate) extra_content: Option<Value>,
    pub(crate) provider_specific_fields: Option<Value>,
    pub(crate) thought_signature: Option<Value>,
}

#[derive(Default, Deserialize)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "arguments")]
    pub(crate) arguments: Option<Cow<'a, str>>,
}

/// Text, or JSON that is taken for its text as it stands, so that no digit of a number is lost.
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
    /// Whether the model says something in it.
    pub(crate) fn says_something(&self) -> bool {
        let said = [&self.content, &self.reasoning_content, &self.reasoning, &self.thought, &self.refusal];
        said.into_iter().flatten().any(|text| !text.is_empty())
            || self.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty())
    }
}

impl Chunk<'_> {
    /// Whether the model says something in it, and nothing else needs a closer look.
    fn is_ordinary(&self) -> bool {
        self.has_error.is_none()
            && !self.choices.is_empty()
            && self.choices.iter().all(|choice| {
                let said = choice.delta.as_ref().filter(|delta| delta.says_something());
                let called = said.and_then(|delta| delta.tool_calls.as_deref()).unwrap_or_default();
                choice.has_error.is_none() && said.is_some() && called.iter().all(|call| call.function.is_some())
            })
    }
}

/// Reads a text that should be a chunk. `names_error`: the server says that it is an error.
pub(crate) fn parse(bytes: &[u8], names_error: bool) -> Parsed<'_> {
    if let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(bytes)
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
            let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
            values.map_or(Parsed::Unreadable, |values| {
                Parsed::Chunks(values.into_iter().flat_map(|value| loose::chunks(value, names_error)).collect())
            })
        }
    }
}
