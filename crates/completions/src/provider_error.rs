//! What a provider says when something goes wrong, in whatever form it says it: its words, its codes, the field it names.
//!
//! The words may hold anything: a key, the request. They go through [`crate::Withheld`] before a person reads them, and never into a log.

use serde_json::{Map, Value};

use crate::{loose, repair::repaired};

/// Errors within errors are read this deep: gateways pass on what other gateways passed on.
const MAX_DEPTH: u32 = 6;
/// Words beyond this are not looked at: ten times what a person is shown.
const MAX_CHARS: usize = 3_000;
/// More codes than any error has.
const MAX_CODES: usize = 16;

/// Where errors have their words, the best first.
const WORDS: [&str; 13] = [
    "message",
    "Message",
    "msg",
    "error_description",
    "detail",
    "description",
    "error_message",
    "errorMessage",
    "error_msg",
    "reason",
    "title",
    "text",
    "error_code",
];
/// Where they have codes.
const CODES: [&str; 9] =
    ["code", "type", "status", "reason", "error_code", "error_type", "status_code", "statusCode", "__type"];

/// An error in a provider's words.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProviderError {
    /// Its words as they came, cut. Empty when it has none.
    pub words: String,
    /// Whatever it calls the error: `context_length_exceeded`, `invalid_request_error`.
    pub codes: Vec<String>,
    /// The HTTP status that it names.
    pub status: Option<u16>,
    /// The field of the request that it is about.
    pub param: Option<String>,
    /// It is a page for browsers.
    pub is_page: bool,
}

impl ProviderError {
    /// The body of an answer that is an error.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('<') {
            return Self { is_page: true, ..Self::default() };
        }
        // Some servers refuse in the form that they would have answered in.
        let events = || text.lines().filter_map(|line| json(line.strip_prefix("data:").unwrap_or(line)));
        match json(text).or_else(|| events().find(|value| value.is_object() || value.is_array())) {
            Some(value) => Self::read(&value, MAX_DEPTH),
            // JSON that was cut is no words, and may hold what the person wrote.
            None if text.starts_with(['{', '[']) => Self::default(),
            None => Self::in_words(text),
        }
    }

    /// These words.
    pub(crate) fn in_words(words: &str) -> Self {
        Self { words: words.chars().take(MAX_CHARS).collect(), ..Self::default() }
    }

    /// The error in a chunk, if there is one.
    pub(crate) fn in_chunk(chunk: &Value, has_choices: bool, names_error: bool) -> Option<Self> {
        let Some(fields) = chunk.as_object() else {
            let words = chunk.as_str().filter(|_| names_error)?;
            return Some(Self::in_words(words));
        };
        let reported = ["error", "errors"].iter().any(|name| fields.get(*name).is_some_and(says_something));
        let named = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let is_error = names_error || [named("object"), named("type"), named("status")].contains(&"error");
        let has_words = || {
            ["message", "detail", "error_description", "error_message", "msg"]
                .iter()
                .any(|name| fields.get(*name).is_some_and(says_something))
        };
        // A chunk has no words beside its choices: an object that has some instead of choices is an error.
        let status = named("status").to_lowercase();
        let is_well = !status.is_empty() && !status.contains("err") && !status.contains("fail");
        let is_chunk = fields.contains_key("choices") || fields.contains_key("usage");
        let has_words = || !is_chunk && !is_well && has_words();
        let empty_error = || fields.get("error").is_some_and(Value::is_object);
        let found = reported
            || (!has_choices && (is_error || (!loose::is_sign_of_life(chunk) && (has_words() || empty_error()))));
        found.then(|| Self::read(chunk, MAX_DEPTH))
    }

    /// The error that stands beside what the model said.
    pub(crate) fn in_choice(error: &Value) -> Option<Self> {
        says_something(error).then(|| Self::read(error, MAX_DEPTH))
    }

    /// Whether it is about this field of the request.
    #[must_use]
    pub fn names(&self, field: &str) -> bool {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let whole = |text: &str| text.split(|character| !is_part(character)).any(|word| word == field);
        self.param.as_deref().is_some_and(whole) || whole(&self.words)
    }

    /// Whether it has one of these codes, or speaks of one of these things. `phrases` are in lower case.
    #[must_use]
    pub fn is_about(&self, phrases: &[&str]) -> bool {
        let texts = self.codes.iter().chain([&self.words]).map(|text| text.to_lowercase());
        texts.into_iter().any(|text| phrases.iter().any(|phrase| text.contains(phrase)))
    }

    fn read(value: &Value, depth: u32) -> Self {
        match value {
            Value::String(text) => match json(text).filter(|value| value.is_object() && depth > 0) {
                Some(value) => Self::read(&value, depth - 1),
                None => Self::in_words(text.trim()),
            },
            Value::Array(errors) if depth > 0 => {
                let errors = errors.iter().map(|error| Self::read(error, depth - 1));
                errors.into_iter().find(|error| !error.words.is_empty()).unwrap_or_default()
            }
            Value::Object(fields) if depth > 0 => Self::read_fields(fields, depth - 1),
            _ => Self::default(),
        }
    }

    fn read_fields(fields: &Map<String, Value>, depth: u32) -> Self {
        let within =
            |name: &str| fields.get(name).filter(|value| says_something(value)).map(|value| Self::read(value, depth));
        let own = WORDS.iter().find_map(|name| within(name).filter(|error| !error.words.is_empty()));
        let reported = ["error", "errors"].iter().find_map(|name| within(name));
        // `{"error": "invalid_request", "message": "..."}`: the former is a code.
        let code_instead = fields.get("error").and_then(Value::as_str).filter(|_| own.is_some());
        let mut error = match (reported, own) {
            (Some(reported), None) => reported,
            (Some(reported), Some(_)) if code_instead.is_none() && !reported.words.is_empty() => reported,
            (_, own) => own.unwrap_or_default(),
        };
        if let Some(place) = fields.get("loc").and_then(Value::as_array) {
            let place: Vec<String> =
                place.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
            error.words = format!("{}: {}", place.join("."), error.words);
        }
        // What a gateway was told by who it asked.
        if let Some(raw) = fields.get("metadata").and_then(|metadata| metadata.get("raw")) {
            let raw = Self::read(raw, depth);
            error.words =
                [error.words, raw.words].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ");
            error.codes.extend(raw.codes);
        }
        let details = fields.get("details").and_then(Value::as_array).into_iter().flatten();
        let codes =
            CODES.iter().filter_map(|name| fields.get(*name)).chain(details.filter_map(|detail| detail.get("reason")));
        for code in codes {
            let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
            if let Some(status) = code.parse().ok().filter(|status| (400..600).contains(status)) {
                error.status.get_or_insert(status);
            } else if is_code(&code) {
                error.codes.push(code);
            }
        }
        error.codes.extend(code_instead.filter(|code| is_code(code)).map(str::to_owned));
        error.codes.truncate(MAX_CODES);
        error.param = error.param.or_else(|| Some(fields.get("param")?.as_str()?.to_owned()));
        error.words = error.words.chars().take(MAX_CHARS).collect();
        error
    }
}

/// A name, not words: short, without spaces.
fn is_code(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    (2..=64).contains(&text.len())
        && text.chars().all(is_part)
        && text.contains(|character: char| character.is_ascii_alphabetic())
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(fields) => fields.values().any(says_something),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['{', '[', '"']) {
        return None;
    }
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&repaired(text))).ok()
}
