//! Parses a provider's error, in any form: its message, its codes, the field it names.
//!
//! The message may contain anything, such as a key or the request. A person sees it only through [`crate::Withheld`], and it is never logged.

use serde_json::{Map, Value};

use crate::repair::repaired;

/// How deep nested errors are read: gateways pass on errors of other gateways.
const MAX_DEPTH: u32 = 6;
/// More deeply nested JSON is not repaired, because no parser reads it.
const MAX_NESTING: usize = 128;
/// The rest of a longer message is ignored: this is ten times what a person is shown.
const MAX_CHARS: usize = 3_000;
/// More codes than any error has.
const MAX_CODES: usize = 16;

/// Fields with the message, the best first. Names are compared without case, `_` and `-`, because servers write them differently.
const WORDS: [&str; 14] = [
    "message",
    "msg",
    "errordescription",
    "detail",
    "errormessage",
    "errormsg",
    "statusmsg",
    "statusmessage",
    "description",
    "reason",
    "title",
    "text",
    "details",
    "errorcode",
];
/// The first of these make an object a message; the others also occur in other objects.
const CERTAIN_WORDS: usize = 8;
/// Fields with codes.
const CODES: [&str; 8] = ["code", "type", "status", "reason", "errorcode", "errortype", "statuscode", "errcode"];
/// Those that tell success or failure beside a message.
const OUTCOMES: [&str; 5] = ["code", "status", "errorcode", "statuscode", "errcode"];
/// Their values for success.
const WELL: [&str; 7] = ["ok", "success", "succeeded", "successful", "true", "none", "null"];
/// Fields that wrap an error.
const AROUND: [&str; 3] = ["baseresp", "response", "xgroq"];
/// Words in the names of events that report a state.
const STATES: [&str; 31] = [
    "ping",
    "pong",
    "heartbeat",
    "keepalive",
    "alive",
    "status",
    "progress",
    "queue",
    "queued",
    "queueing",
    "queuing",
    "waiting",
    "wait",
    "loading",
    "pending",
    "processing",
    "started",
    "starting",
    "start",
    "init",
    "connected",
    "connecting",
    "info",
    "notice",
    "notification",
    "log",
    "debug",
    "warning",
    "metadata",
    "update",
    "comment",
];

/// A provider's error.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProviderError {
    /// The message as it came, shortened. Empty when there is none.
    pub words: String,
    /// All codes of the error: `context_length_exceeded`, `invalid_request_error`.
    pub codes: Vec<String>,
    /// The HTTP status that it names.
    pub status: Option<u16>,
    /// The field of the request that it is about.
    pub param: Option<String>,
    /// When to retry, if a field says so: `12s`.
    pub retry_after: Option<String>,
    /// The response was an HTML page.
    pub is_page: bool,
}

impl ProviderError {
    /// Parses the body of an error response.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('<') {
            return Self { is_page: true, ..Self::default() };
        }
        // Some servers send an error in the same form as an answer.
        let events = || text.lines().filter_map(|line| json(line.strip_prefix("data:").unwrap_or(line)));
        match json(text).or_else(|| events().find(|value| value.is_object() || value.is_array())).or_else(|| cut(text))
        {
            Some(value) => Self::read(&value, MAX_DEPTH),
            // Broken JSON is not a message, and may contain the person's text.
            None if text.starts_with(['{', '[']) => Self::default(),
            None => Self::in_words(text),
        }
    }

    /// An error with this message.
    pub(crate) fn in_words(words: &str) -> Self {
        Self { words: words.chars().take(MAX_CHARS).collect(), ..Self::default() }
    }

    /// The error in a chunk, if any.
    #[must_use]
    pub fn in_chunk(chunk: &Value, has_choices: bool, names_error: bool) -> Reported {
        let Some(fields) = chunk.as_object() else {
            let words = chunk.as_str().filter(|_| names_error);
            return words.map_or(Reported::Nothing, |words| Reported::Error(Self::in_words(words)));
        };
        let reported = ["error", "errors"].iter().any(|name| field(fields, name).is_some_and(is_error))
            || field(fields, "xgroq").and_then(|groq| groq.get("error")).is_some_and(is_error)
            || field(fields, "baseresp").and_then(Value::as_object).is_some_and(|base| outcome(base) == Outcome::Bad)
            || field(fields, "response").and_then(|response| response.get("Error")).is_some_and(is_error);
        if reported {
            return Reported::Error(Self::read(chunk, MAX_DEPTH));
        }
        if has_choices {
            return Reported::Nothing;
        }
        let kinds =
            ["object", "type", "status"].map(|name| fields.get(name).and_then(Value::as_str).unwrap_or_default());
        if names_error || kinds.iter().any(|kind| kind.eq_ignore_ascii_case("error")) || exception(fields).is_some() {
            return Reported::Error(Self::read(chunk, MAX_DEPTH));
        }
        let has_words = WORDS.iter().take(CERTAIN_WORDS).any(|name| field(fields, name).is_some());
        // A chunk has no message beside its choices. An object with only a message may be an error.
        let is_chunk = fields.get("choices").or_else(|| fields.get("usage")).is_some_and(says_something);
        match outcome(fields) {
            // Perhaps only a tool of the server failed, and the model continues.
            _ if kinds.iter().any(|kind| is_bad(kind)) => Reported::Perhaps(Self::read(chunk, MAX_DEPTH)),
            _ if is_sign_of_life(chunk) => Reported::Nothing,
            Outcome::Bad if has_words || is_failure(fields) => Reported::Error(Self::read(chunk, MAX_DEPTH)),
            Outcome::Unknown if has_words && !is_chunk => Reported::Perhaps(Self::read(chunk, MAX_DEPTH)),
            Outcome::Unknown if fields.get("error").is_some_and(Value::is_object) => Reported::Perhaps(Self::default()),
            Outcome::Bad | Outcome::Well | Outcome::Unknown => Reported::Nothing,
        }
    }

    /// The error beside a choice's text.
    pub(crate) fn in_choice(error: &Value) -> Option<Self> {
        is_error(error).then(|| Self::read(error, MAX_DEPTH))
    }

    /// Whether it is about this field of the request.
    #[must_use]
    pub fn names(&self, field: &str) -> bool {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let whole = |text: &str| text.split(|character| !is_part(character)).any(|word| word == field);
        self.param.as_deref().is_some_and(whole) || whole(&self.words)
    }

    /// Whether one of its codes or its message contains one of these phrases, which are in lower case.
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
        let read = |value: &Value| Self::read(value, depth);
        let own = WORDS.iter().filter_map(|name| field(fields, name)).map(read).find(|error| !error.words.is_empty());
        let reported = ["error", "errors"].iter().find_map(|name| field(fields, name)).map(read);
        let around = || AROUND.iter().filter_map(|name| field(fields, name)).map(read);
        let reported = reported.or_else(|| around().find(|error| !error.words.is_empty()));
        let reported = reported.or_else(|| {
            let (name, value) = exception(fields)?;
            let mut error = read(value);
            error.codes.push(name.to_owned());
            Some(error)
        });
        // In `{"error": "invalid_request", "message": "..."}` the former is a code.
        let code_instead = field(fields, "error").and_then(Value::as_str).filter(|_| own.is_some());
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
        // The error that a gateway got from its upstream.
        if let Some(raw) = fields.get("metadata").and_then(|metadata| metadata.get("raw")) {
            let raw = Self::read(raw, depth);
            error.words =
                [error.words, raw.words].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ");
            error.codes.extend(raw.codes);
        }
        let details = fields.get("details").and_then(Value::as_array).into_iter().flatten();
        // Google's details: a reason, an exceeded limit, the time to retry.
        let limit = |detail: &Value| detail.get("violations")?.as_array()?.first()?.get("quotaId").cloned();
        let of_details: Vec<_> =
            details.clone().flat_map(|detail| [detail.get("reason").cloned(), limit(detail)]).flatten().collect();
        let delay = details.filter_map(|detail| detail.get("retryDelay")?.as_str()).next();
        error.retry_after = error.retry_after.or_else(|| delay.map(str::to_owned));
        let codes = CODES.iter().filter_map(|name| field(fields, name)).chain(&of_details);
        for code in codes {
            let code = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
            // Amazon's codes begin with a namespace.
            let code = code.rsplit('#').next().unwrap_or_default();
            if let Some(status) = code.parse().ok().filter(|status| (400..600).contains(status)) {
                error.status.get_or_insert(status);
            } else if is_code(code) {
                error.codes.push(code.to_owned());
            }
        }
        error.codes.extend(code_instead.filter(|code| is_code(code)).map(str::to_owned));
        error.codes.truncate(MAX_CODES);
        error.param = error.param.or_else(|| Some(fields.get("param")?.as_str()?.to_owned()));
        error.words = error.words.chars().take(MAX_CHARS).collect();
        error
    }
}

/// Whether a text is a code and not a message: short, without spaces.
fn is_code(text: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    (2..=64).contains(&text.len())
        && text.chars().all(is_part)
        && text.contains(|character: char| character.is_ascii_alphabetic())
}

/// The result of looking for an error in a chunk.
pub enum Reported {
    /// No error.
    Nothing,
    /// A message that is an error if nothing more comes: servers use the same form to say that they are still loading.
    Perhaps(ProviderError),
    /// An error.
    Error(ProviderError),
}

/// Success or failure, according to the fields beside a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Well,
    Bad,
    Unknown,
}

fn outcome(fields: &Map<String, Value>) -> Outcome {
    let mut outcome = match fields.get("success").and_then(Value::as_bool) {
        Some(true) => Outcome::Well,
        Some(false) => return Outcome::Bad,
        None => Outcome::Unknown,
    };
    for name in OUTCOMES {
        let Some(value) = fields.iter().find_map(|(key, value)| is_named(key, name).then_some(value)) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
        let number = text.trim().parse::<i64>().ok();
        match text.trim() {
            "" | "null" => {}
            _ if number.is_some_and(|number| number == 0 || (200..300).contains(&number)) => outcome = Outcome::Well,
            text if is_well(text) => outcome = Outcome::Well,
            // Any other status means that something continues.
            text if name == "status" && number.is_none() && !is_bad(text) => outcome = Outcome::Well,
            _ => return Outcome::Bad,
        }
    }
    outcome
}

/// Whether the fields show a failure without a message.
fn is_failure(fields: &Map<String, Value>) -> bool {
    let is_status = |value: &Value| value.as_u64().is_some_and(|status| (400..600).contains(&status));
    fields.get("success") == Some(&Value::Bool(false))
        || OUTCOMES.iter().any(|name| field(fields, name).is_some_and(is_status))
}

/// Whether the value of an error field is an error.
fn is_error(value: &Value) -> bool {
    let is_none = match value {
        Value::Object(fields) => {
            let words = ProviderError::read(value, MAX_DEPTH).words;
            outcome(fields) == Outcome::Well && (words.is_empty() || is_well(&words))
        }
        Value::String(text) => is_well(text),
        _ => false,
    };
    says_something(value) && !is_none
}

/// Whether a kind or status means an error.
fn is_bad(name: &str) -> bool {
    let name = name.to_lowercase();
    ["error", "fail", "exception"].iter().any(|part| name.contains(part)) || name.starts_with("err")
}

fn is_well(text: &str) -> bool {
    WELL.contains(&text.trim().to_lowercase().as_str())
}

/// Whether the chunk is only a keep-alive or a progress report.
pub(crate) fn is_sign_of_life(chunk: &Value) -> bool {
    let Some(fields) = chunk.as_object() else { return false };
    let kinds = ["type", "object", "event"].iter().filter_map(|name| fields.get(*name)?.as_str());
    let is_state = |kind: &str| {
        let kind = kind.to_lowercase();
        let mut words = kind.split(|character: char| !character.is_alphanumeric());
        !is_bad(&kind) && words.any(|word| STATES.contains(&word))
    };
    fields.is_empty() || kinds.into_iter().any(is_state)
}

/// An error under its own name: `{"throttlingException": {"message": "..."}}`.
fn exception(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let is_exception = |name: &str| name.to_lowercase().ends_with("exception");
    let (name, value) = fields.iter().find(|(name, value)| is_exception(name) && says_something(value))?;
    Some((name, value))
}

/// The value of a field, however its name is written, if it is not empty.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find_map(|(key, value)| (is_named(key, name) && says_something(value)).then_some(value))
}

fn is_named(key: &str, name: &str) -> bool {
    let letters = key.bytes().filter(|byte| !b"_-".contains(byte)).map(|byte| byte.to_ascii_lowercase());
    key == name || letters.eq(name.bytes())
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

/// Parses JSON that was cut: closes it where it ends, or after its last complete value.
fn cut(text: &str) -> Option<Value> {
    let text = text.strip_prefix("data:").unwrap_or(text).trim_start();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let (mut open, mut in_string, mut escaped) = (Vec::new(), false, false);
    // The end of the last complete value with the brackets open there, and the beginning of an unfinished escape.
    let (mut whole, mut escape) = ((0, Vec::new()), None);
    for (at, character) in text.char_indices() {
        if in_string {
            match character {
                _ if escaped => escaped = false,
                '\\' => (escaped, escape) = (true, Some(at)),
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match character {
            '"' => in_string = true,
            '{' | '[' => {
                open.push(if character == '{' { '}' } else { ']' });
                if open.len() > MAX_NESTING {
                    return None;
                }
                whole = (at + 1, open.clone());
            }
            '}' | ']' => {
                open.pop();
            }
            ',' => whole = (at, open.clone()),
            _ => {}
        }
    }
    let closed = |text: &str, open: &[char]| {
        let closed: String = text.chars().chain(open.iter().rev().copied()).collect();
        json(&closed)
    };
    // `\u00` is cut within six characters of its beginning.
    let end = escape.filter(|at| in_string && text.len() - at < 6).unwrap_or(text.len());
    let as_text = in_string.then(|| closed(&format!("{}\"", text.get(..end)?), &open)).flatten();
    as_text.or_else(|| closed(text.get(..whole.0)?, &whole.1))
}
