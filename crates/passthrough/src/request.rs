//! Reads a request as far as it must be known, and writes it for a provider: the same fields in the same order, each value byte for byte, and at the end
//! those that are changed or added.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Endpoint, references, tokens, tools, words::Read};

/// More than APIs have: a body with thousands of fields is no request.
const MAX_FIELDS: usize = 256;
/// What a request says about its stream, and how much it says about it at most.
const STREAM_OPTIONS: &str = "stream_options";
const MAX_STREAM_OPTIONS_BYTES: usize = 1024;
/// The field of these that has the tokens reported at the end.
const INCLUDE_USAGE: &str = "include_usage";
/// Whether a provider keeps the answer.
const STORE: &str = "store";

/// Fields with which a request has something kept at a provider, or refers to it. All programs here use one account there, so a reference could be to what
/// somebody else said.
const KEPT_ELSEWHERE: [&str; 5] = ["previous_response_id", "conversation", "background", "prompt", STORE];

/// The fields of a conversation, which may refer to what is kept.
const CONVERSATIONS: [&str; 2] = ["input", "messages"];

/// What costs besides tokens, so that no budget sees it: a provider's own tools, and its faster tiers.
const TOOLS: &str = "tools";
const SEARCHES: &str = "web_search_options";
const TIER: &str = "service_tier";
const USUAL_TIERS: [&str; 3] = ["auto", "default", "flex"];

/// Fields with which gateways that may stand behind a provider are told to ask another model or server than the one that was checked here.
const ELSEWHERE: [&str; 5] = ["models", "fallbacks", "api_base", "base_url", "api_key"];

/// The longest answer, in the order in which a field is chosen to say it.
const LENGTHS_OF_CHAT: [&str; 2] = ["max_completion_tokens", "max_tokens"];
const LENGTHS_OF_RESPONSES: [&str; 1] = ["max_output_tokens"];

/// All fields that decide. Some servers read names whatever their case, so another case of these is refused.
const DECIDING: [&[&str]; 6] = [
    &["model", "stream", STREAM_OPTIONS, "n", TOOLS, SEARCHES, TIER],
    &CONVERSATIONS,
    &KEPT_ELSEWHERE,
    &ELSEWHERE,
    &LENGTHS_OF_CHAT,
    &LENGTHS_OF_RESPONSES,
];

/// Why a request cannot go on. The messages quote no values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRequest {
    /// It is no JSON object, or has a field twice.
    #[error("the body is not a JSON object that can be read: {0}")]
    Json(String),
    /// It names no model.
    #[error("name a model: the field model must be a text")]
    Model,
    /// `stream` is neither true nor false.
    #[error("the field stream must be true or false")]
    Stream,
    /// `stream_options` is no object, or too long for one.
    #[error("the field stream_options must be a short object")]
    StreamOptions,
    /// A field has the name of one that decides, in another case.
    #[error("the field {0} must be written so, in small letters")]
    Case(&'static str),
    /// It wants something to be kept at a provider, or refers to it.
    #[error(
        "{0} is not taken here: this installation keeps no answers at a provider. Send the whole conversation in each request"
    )]
    Kept(&'static str),
    /// It wants what costs besides tokens.
    #[error(
        "{0} is not taken here as it is: what a provider's own tools and faster tiers cost is in no budget. Tools of type function are taken"
    )]
    Extra(&'static str),
    /// It names another model or server.
    #[error("{0} is not taken here: this installation decides whom it asks for the model")]
    Elsewhere(&'static str),
}

impl InvalidRequest {
    /// The field that is wrong.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::Model => Some("model"),
            Self::Stream => Some("stream"),
            Self::StreamOptions => Some(STREAM_OPTIONS),
            Self::Case(field) | Self::Kept(field) | Self::Extra(field) | Self::Elsewhere(field) => Some(field),
        }
    }
}

/// A request of a program.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    endpoint: Endpoint,
    body: &'a [u8],
    fields: Fields<'a>,
    model: Cow<'a, str>,
    streams: bool,
    /// The program has asked for a report of tokens.
    wants_usage: bool,
    prompt_tokens: u64,
}

/// What is added to a request.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Additions {
    /// A stream reports its tokens.
    pub usage: bool,
    /// The longest answer, in tokens, where a budget has no room for a longer one.
    pub max_answer_tokens: Option<u64>,
}

/// The fields, in order, each once.
#[derive(Clone, Debug)]
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Refuses what asks for something else than what is checked here.
    fn check(&self, endpoint: Endpoint) -> Result<(), InvalidRequest> {
        for (name, _) in &self.0 {
            let folded = folded(name);
            let known = DECIDING.into_iter().flatten().find(|known| **known == folded && *known != name);
            if let Some(known) = known {
                return Err(InvalidRequest::Case(known));
            }
        }
        let is_said = |field: &&str| self.said(field).is_some_and(|value| value.get() != "false");
        // Embeddings have a field `prompt` at some servers, and keep nothing.
        let may_keep = |field: &&&str| endpoint == Endpoint::Responses || **field == STORE;
        if let Some(field) = KEPT_ELSEWHERE.iter().filter(may_keep).find(|field| is_said(field)) {
            return Err(InvalidRequest::Kept(field));
        }
        if let Some(field) = CONVERSATIONS.iter().find(|field| self.get(field).is_some_and(references::is_in)) {
            return Err(InvalidRequest::Kept(field));
        }
        if !self.get(TOOLS).is_none_or(tools::are_own) {
            return Err(InvalidRequest::Extra(TOOLS));
        }
        if is_said(&SEARCHES) {
            return Err(InvalidRequest::Extra(SEARCHES));
        }
        if self.read::<Read<'_>>(TIER).is_some_and(|Read(tier)| !USUAL_TIERS.contains(&&*tier)) {
            return Err(InvalidRequest::Extra(TIER));
        }
        ELSEWHERE.iter().find(|field| is_said(field)).map_or(Ok(()), |field| Err(InvalidRequest::Elsewhere(field)))
    }

    /// A field that is there and not null.
    fn said(&self, name: &str) -> Option<&'a RawValue> {
        self.get(name).filter(|value| value.get() != "null")
    }

    fn read<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        self.get(name).and_then(|value| serde_json::from_str(value.get()).ok())
    }
}

/// What a request says about its stream.
#[derive(serde::Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut fields, mut names): (Self::Value, _) = (Vec::new(), HashSet::new());
                while let Some(Read(name)) = map.next_key()? {
                    // Of two with one name, we might check the one and the provider use the other.
                    if !names.insert(folded(&name)) || fields.len() >= MAX_FIELDS {
                        return Err(serde::de::Error::custom("a field is there twice, or there are too many"));
                    }
                    fields.push((name, map.next_value()?));
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Reader).map(Self)
    }
}

impl<'a> Request<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn read(endpoint: Endpoint, body: &'a [u8]) -> Result<Self, InvalidRequest> {
        let odd = |error: serde_json::Error| InvalidRequest::Json(error.to_string());
        let fields: Fields<'a> = serde_json::from_slice(body).map_err(odd)?;
        let model = fields.read("model").map(|Read(model)| model).filter(|model| !model.is_empty());
        let model = model.ok_or(InvalidRequest::Model)?;
        let streams = match fields.get("stream").map(RawValue::get) {
            Some("true") => true,
            None | Some("false" | "null") => false,
            Some(_) => return Err(InvalidRequest::Stream),
        };
        fields.check(endpoint)?;
        let wants_usage = match fields.said(STREAM_OPTIONS) {
            Some(options) if options.get().len() <= MAX_STREAM_OPTIONS_BYTES => {
                let options = serde_json::from_str::<StreamOptions>(options.get());
                options.map_err(|_| InvalidRequest::StreamOptions)?.include_usage.unwrap_or_default()
            }
            Some(_) => return Err(InvalidRequest::StreamOptions),
            None => false,
        };
        let counted = fields.0.iter().filter(|(name, _)| name != "model");
        let prompt_tokens = counted.map(|(_, value)| tokens::of(value)).sum();
        Ok(Self { endpoint, body, fields, model, streams, wants_usage, prompt_tokens })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer comes piece by piece.
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.streams
    }

    /// An estimate of the request's tokens.
    #[must_use]
    pub const fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// How many answers it wants.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.fields.read::<u64>("n").unwrap_or(1).max(1)
    }

    /// The most tokens that one answer may have, if the request says it: of several fields that say it the largest, because servers read one or the other.
    /// What is no such number says nothing: -1 is none at all to some servers. Vectors have none.
    #[must_use]
    pub fn max_answer_tokens(&self) -> Option<u64> {
        if self.endpoint == Endpoint::Embeddings {
            return Some(0);
        }
        let said = self.lengths().iter().filter(|field| self.fields.said(field).is_some());
        let most = said.map(|field| self.fields.read::<u64>(field)).try_fold(0, |most, tokens| Some(most.max(tokens?)));
        most.filter(|most| *most > 0)
    }

    fn lengths(&self) -> &'static [&'static str] {
        match self.endpoint {
            Endpoint::ChatCompletions => &LENGTHS_OF_CHAT,
            Endpoint::Responses => &LENGTHS_OF_RESPONSES,
            Endpoint::Embeddings => &[],
        }
    }

    /// Whether the tokens of a stream are reported only because we ask for it, so that the program is not to see the report.
    #[must_use]
    pub const fn asks_for_usage(&self) -> bool {
        matches!(self.endpoint, Endpoint::ChatCompletions) && self.streams && !self.wants_usage
    }

    /// The names of the fields that these additions add, for servers that refuse what they do not know.
    pub fn added(&self, additions: Additions) -> impl Iterator<Item = &'static str> {
        let usage = (additions.usage && self.asks_for_usage()).then_some([STREAM_OPTIONS, INCLUDE_USAGE]);
        let is_new = |field: &&str| self.fields.get(field).is_none();
        let length = additions.max_answer_tokens.and_then(|_| self.length_field()).filter(is_new);
        usage.into_iter().flatten().chain(length)
    }

    /// The field that says how long an answer may be: one that the request has, else the newest.
    fn length_field(&self) -> Option<&'static str> {
        let is_there = |field: &&&str| self.fields.said(field).is_some();
        self.lengths().iter().find(is_there).or(self.lengths().first()).copied()
    }

    /// The body for a provider. It is the program's own, but for these additions, and for `store`: an answer of Responses is kept nowhere.
    #[must_use]
    pub fn body(&self, additions: Additions) -> Cow<'a, [u8]> {
        let mut changes: Vec<(&'static str, String)> = Vec::new();
        if additions.usage && self.asks_for_usage() {
            changes.push((STREAM_OPTIONS, self.reporting_options()));
        }
        if let Some((most, field)) = additions.max_answer_tokens.zip(self.length_field()) {
            changes.push((field, most.to_string()));
            // The others must not say more.
            let is_as_short = |other: &str| self.fields.read::<u64>(other).is_some_and(|tokens| tokens <= most);
            let said = self.lengths().iter().filter(|other| **other != field && self.fields.said(other).is_some());
            changes.extend(said.filter(|other| !is_as_short(other)).map(|other| (*other, most.to_string())));
        }
        if self.endpoint == Endpoint::Responses && self.fields.said(STORE).is_none() {
            changes.push((STORE, "false".to_owned()));
        }
        if changes.is_empty() {
            return Cow::Borrowed(self.body);
        }
        let kept = self.fields.0.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        let kept = kept.map(|(name, value)| (&**name, value.get()));
        let changed = changes.iter().map(|(name, value)| (*name, value.as_str()));
        Cow::Owned(object(kept.chain(changed), self.body.len()))
    }

    /// What the request says about its stream, and that it reports its tokens.
    fn reporting_options(&self) -> String {
        let options: Fields<'_> = self.fields.read(STREAM_OPTIONS).unwrap_or(Fields(Vec::new()));
        let others = options.0.iter().filter(|(name, _)| name != INCLUDE_USAGE);
        let others = others.map(|(name, value)| (&**name, value.get()));
        String::from_utf8(object(others.chain([(INCLUDE_USAGE, "true")]), 0)).unwrap_or_default()
    }
}

/// Writes an object of at least one field.
fn object<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>, about_bytes: usize) -> Vec<u8> {
    let mut written = Vec::with_capacity(about_bytes.saturating_add(64));
    for (name, value) in fields {
        written.push(if written.is_empty() { b'{' } else { b',' });
        // Writing a text into memory always succeeds.
        let _ = serde_json::to_writer(&mut written, name);
        written.push(b':');
        written.extend_from_slice(value.as_bytes());
    }
    written.push(b'}');
    written
}

/// A name as servers compare it that do not care about case. Go's decoder takes two more letters for s and k.
fn folded(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests;
