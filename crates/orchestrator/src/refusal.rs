//! What a model's server refuses, from its status, its headers and its words, and what to tell the person: what it says, and the next step.
//!
//! Its words go to the person without what must not be seen, and never into the log, where there is a status and a code that is known here.

use std::time::{Duration, SystemTime};

use completions::{ProviderError, Withheld, learning::About};
use http::{HeaderMap, header};

use crate::error_handler::{Failure, MAX_PAUSE};

/// What is refused, as far as somebody can do something about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A request with more tokens than the model reads.
    TooLong,
    /// More of what was paid for: waiting a moment does not help.
    Quota,
    /// More requests just now.
    Busy,
    /// The key.
    Key,
    /// Whoever asks or what they ask: a country, a rule about contents, a proxy.
    Forbidden,
    /// The model.
    Model,
    /// Nothing: there is no model's server at this address.
    Address,
    /// To answer here: it has moved.
    Moved,
    /// The form of the request: a field, a role, a schema. Its words may say which: [`ProviderError::names`].
    Request,
    /// A call of a tool that its model has just written: the next one may be better.
    Slip,
    /// Nothing: it has a fault of its own.
    Fault,
    /// It reports an error that nothing here knows.
    Unknown,
}

impl Refusal {
    /// What may be wrong with how the request was written.
    #[must_use]
    pub const fn about(self) -> Option<About> {
        match self {
            Self::TooLong => Some(About::Length),
            // What a model does not support is said of the model, too.
            Self::Request | Self::Model => Some(About::Form),
            Self::Unknown => Some(About::Unknown),
            Self::Fault => Some(About::Fault),
            Self::Quota => Some(About::Price),
            Self::Slip => Some(About::Call),
            Self::Busy | Self::Key | Self::Forbidden | Self::Address | Self::Moved => None,
        }
    }
}

/// The person has nothing left; no pause helps.
const NOTHING_LEFT: [&str; 18] = [
    "insufficient_quota",
    "billing",
    "insufficient_balance",
    "insufficient balance",
    "insufficient_credits",
    "insufficient credits",
    "credit balance",
    "payment_required",
    "access_terminated",
    "arrearage",
    "good standing",
    "spending limit",
    "any credits",
    "no credits",
    "out of credits",
    "not enough credits",
    // Of the account's money: too little, or owed.
    "余额不足",
    "欠费",
];
/// There will be more, but hardly within a minute.
const NOTHING_LEFT_TODAY: [&str; 14] = [
    "quota",
    "per day",
    "per-day",
    "per_day",
    "perday",
    "byday",
    "86400",
    "daily",
    "24 hours",
    "per week",
    "weekly",
    "per month",
    "monthly",
    "usage limit",
];
const TOO_LONG: [&str; 29] = [
    "context_length_exceeded",
    "context_window_exceeded",
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "context limit",
    "context_length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "too many tokens",
    "reduce the length",
    "request_too_large",
    "max_model_len",
    "input token count",
    "exceed_context_size_error",
    "tokens_limit_reached",
    "maximum prompt length",
    "maximum model length",
    "maximum allowed length",
    "range of input length",
    "max input characters",
    "model token limit",
    "in the prompt cannot exceed",
    "`inputs` must have less than",
    "`max_new_tokens` must be",
    // "Too long", of a prompt.
    "超长",
];
const KEY: [&str; 16] = [
    "invalid_api_key",
    "incorrect_api_key",
    "api_key_invalid",
    "authentication_error",
    "invalid_authentication",
    "unauthenticated",
    "invalid api key",
    "invalid api-key",
    "invalidapikey",
    "invalid apikey",
    "incorrect api key",
    "api key not valid",
    "api key is invalid",
    "invalid access token",
    "access token invalid",
    "login fail",
];
const MODEL: [&str; 14] = [
    "model_not_found",
    "model_not_available",
    "unknown_model",
    "deploymentnotfound",
    "invalid_model",
    "unknown model",
    "no such model",
    "invalid model",
    "not a valid model",
    "model does not exist",
    "model not exist",
    "no models loaded",
    "model_not_loaded",
    // "The model does not exist".
    "模型不存在",
];
const CONTENTS: [&str; 11] = [
    "content_policy",
    "content_filter",
    "moderation",
    "flagged",
    "responsibleaipolicyviolation",
    "unsupported_country",
    "data_inspection_failed",
    "inappropriate content",
    "new_sensitive",
    "prohibited_content",
    // "Sensitive", of contents.
    "敏感",
];
/// What the model wrote is no call that its server can read.
const SLIP: [&str; 8] = [
    "tool_use_failed",
    "failed to call a function",
    "parsing tool call",
    "failed to parse tool call",
    "failed to parse input at pos",
    "tool call validation failed",
    "malformed_function_call",
    "malformed function call",
];
/// The request is wrong, as its parser says.
const REQUEST: [&str; 6] =
    ["invalid_request", "badrequest", "bad_request", "validation", "invalidparameter", "invalid params"];
const BUSY: [&str; 8] = [
    "rate_limit",
    "rate limit",
    "too_many_requests",
    "too many requests",
    "throttling",
    "overloaded",
    "resource_exhausted",
    "over_capacity",
];
const FAULT: [&str; 7] = [
    "server_error",
    "internal_error",
    "api_error",
    "bad_gateway",
    "service_unavailable",
    "unavailable",
    "gateway_timeout",
];
/// What says no more than a status does.
const BARE: [&str; 4] = ["not found", "404", "no route", "cannot post"];
/// What a server says that has no such path.
const WRONG_PATH: [&str; 4] = ["invalid url", "unknown request url", "unrecognized request url", "unexpected endpoint"];

/// The server answered with a status that is no answer.
#[must_use]
pub fn refused(status: u16, headers: &HeaderMap, body: &[u8], withheld: &Withheld<'_>) -> Failure {
    let said = ProviderError::from_body(body);
    let retry_after =
        retry_after(headers).or_else(|| said.retry_after.as_deref().and_then(duration)).or_else(|| in_words(&said));
    let refusal = refusal(Some(status), &said, retry_after);
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let failure = failure(refusal, Some(status), said, retry_after, location, withheld);
    // Some say that the same request will fail again.
    let is_final = headers.get("x-should-retry").is_some_and(|again| again == "false");
    Failure { transient: failure.transient && !is_final, ..failure }
}

/// The server reported an error where the answer should have been, or in the middle of it.
#[must_use]
pub fn reported(said: &ProviderError, withheld: &Withheld<'_>) -> Failure {
    let retry_after = said.retry_after.as_deref().and_then(duration).or_else(|| in_words(said));
    failure(refusal(said.status, said, retry_after), said.status, said.clone(), retry_after, None, withheld)
}

/// What answers is something else.
pub(crate) fn no_model_server(message: &str, cause: impl Into<String>) -> Failure {
    Failure { refusal: Some(Refusal::Address), ..Failure::new("model_address", false, message, cause) }
}

fn refusal(status: Option<u16>, said: &ProviderError, retry_after: Option<Duration>) -> Refusal {
    let comes_back = retry_after.is_some_and(|pause| pause <= MAX_PAUSE);
    let is_limit = matches!(status, None | Some(400 | 403 | 412 | 429));
    // One that says of every limit that one could pay for more says beside it when there is more.
    let is_for_a_moment = comes_back && said.retry_after.is_some() && !said.is_about(&["perday"]);
    // It names a tool or one of its properties, which may be called anything.
    let is_form = status == Some(400) && said.is_about(&["schema", "function", "tools[", "parameter"]);
    match status {
        Some(300..400) => Refusal::Moved,
        Some(401) => Refusal::Key,
        Some(402) => Refusal::Quota,
        Some(429) | None if said.is_about(&["context_length_exceeded"]) => Refusal::TooLong,
        Some(413) => Refusal::TooLong,
        None | Some(400 | 422 | 500) if said.is_about(&SLIP) => Refusal::Slip,
        None | Some(400 | 500) if said.is_about(&["throttling"]) => Refusal::Busy,
        None | Some(400 | 422 | 500) if said.is_about(&TOO_LONG) => Refusal::TooLong,
        Some(429) if is_for_a_moment => Refusal::Busy,
        _ if is_limit && !is_form && said.is_about(&NOTHING_LEFT) => Refusal::Quota,
        Some(429) if said.is_about(&["perday"]) => Refusal::Quota,
        None | Some(429) if !comes_back && said.is_about(&NOTHING_LEFT_TODAY) => Refusal::Quota,
        None | Some(400 | 403) if said.is_about(&KEY) => Refusal::Key,
        None | Some(400 | 403 | 404) if is_about_model(status, said) => Refusal::Model,
        Some(404 | 405 | 410) if says_nothing(said) => Refusal::Address,
        None | Some(404) if said.is_about(&WRONG_PATH) => Refusal::Address,
        // What speaks HTTP, and not this: another port, a proxy.
        Some(400) if said.is_page => Refusal::Address,
        // 409: the model is being loaded; 498: so says one whose cheaper machines are taken.
        Some(408 | 409 | 425 | 429 | 498 | 529) => Refusal::Busy,
        Some(403 | 407 | 451) => Refusal::Forbidden,
        Some(501 | 505) => Refusal::Request,
        // 424: what stands behind the server failed; 499: it gave up itself.
        Some(424 | 499 | 500..) => Refusal::Fault,
        None | Some(400) if !is_form && said.is_about(&CONTENTS) => Refusal::Forbidden,
        Some(_) => Refusal::Request,
        None if said.is_about(&BUSY) => Refusal::Busy,
        None if said.is_about(&FAULT) => Refusal::Fault,
        None if said.is_about(&REQUEST) => Refusal::Request,
        None => Refusal::Unknown,
    }
}

/// Whether it is the model that is refused. Much else is said of models, so only a status that says that something is missing makes hints enough.
fn is_about_model(status: Option<u16>, said: &ProviderError) -> bool {
    let is_missing = matches!(status, Some(403 | 404)) && said.words.to_lowercase().contains("model");
    said.is_about(&MODEL)
        || (is_missing && said.is_about(&["not exist", "not found", "no such", "not available", "not_found_error"]))
}

/// Whether it says no more than that nothing is there.
fn says_nothing(said: &ProviderError) -> bool {
    let words = said.words.to_lowercase();
    said.is_page || words.is_empty() || (words.len() < 60 && BARE.iter().any(|bare| words.contains(bare)))
}

fn failure(
    refusal: Refusal,
    status: Option<u16>,
    said: ProviderError,
    retry_after: Option<Duration>,
    location: Option<&str>,
    withheld: &Withheld<'_>,
) -> Failure {
    let words = withheld.shown(&said.words);
    let number = status.map(|status| format!(" ({status})")).unwrap_or_default();
    // What happened, in its words where there are any.
    let because = |what: &str, next: &str| match (words.as_str(), said.is_page) {
        ("", true) => format!("{what}{number}, with a web page. {next}"),
        ("", false) => format!("{what}{number}. {next}"),
        (words, _) => format!("{what}: {} {next}", sentence(words)),
    };
    let administrator = "An administrator should check the address (openai_base_url).";
    let (code, message) = match refusal {
        Refusal::TooLong => (
            "model_refused",
            because(
                "This is more than the model can read at once",
                "Begin a new conversation, or ask for less at once.",
            ),
        ),
        Refusal::Quota => (
            "model_quota",
            because(
                "The model's provider gives this installation no more",
                "An administrator should look at its plan and billing there.",
            ),
        ),
        Refusal::Busy => ("model_busy", because("The model is too busy right now", &again(retry_after))),
        Refusal::Key => {
            ("model_unauthorized", "The model's provider refused the key. An administrator can set another.".to_owned())
        }
        Refusal::Forbidden if said.is_page => (
            "model_forbidden",
            format!(
                "Something between here and the model refused the request{number}, with a web page. An administrator should look at proxies and firewalls."
            ),
        ),
        Refusal::Forbidden => ("model_forbidden", because("The model's provider refused to answer", "")),
        Refusal::Model => {
            ("model_not_found", because("The model's provider does not know this model", "Choose another one."))
        }
        Refusal::Address if said.is_page => (
            "model_address",
            format!("This address answers with a web page{number}, not as a model server. {administrator}"),
        ),
        Refusal::Address => {
            ("model_address", format!("No model server answers at this address{number}. {administrator}"))
        }
        Refusal::Moved => {
            let place = location.map(|location| format!(" to {}", withheld.shown(bare(location)))).unwrap_or_default();
            (
                "model_moved",
                format!(
                    "The model's server has moved{place}{number}. An administrator must set that address as openai_base_url."
                ),
            )
        }
        Refusal::Request => ("model_refused", because("The model's provider refused the request", "")),
        Refusal::Slip => {
            ("model_error", because("The model asked for a tool in a way that cannot be read", "Try again."))
        }
        Refusal::Fault => ("model_error", because("The model's provider has a problem right now", "Try again.")),
        Refusal::Unknown => ("model_error", because("The model's provider reported an error", "Try again.")),
    };
    let transient = matches!(refusal, Refusal::Busy | Refusal::Slip | Refusal::Fault);
    let cause = cause(status, &said);
    Failure {
        retryable: transient || refusal == Refusal::Unknown,
        retry_after,
        refusal: Some(refusal),
        said: Box::new(said),
        ..Failure::new(code, transient, message.trim_end(), cause)
    }
}

/// For the log: a status, and those codes that are known here. Whatever else the server says may hold what people said.
fn cause(status: Option<u16>, said: &ProviderError) -> String {
    let known =
        [&NOTHING_LEFT[..], &TOO_LONG, &KEY, &MODEL, &CONTENTS, &SLIP, &BUSY, &FAULT, &["invalid_request_error"]]
            .concat();
    let status = status.map_or_else(|| "an error in the stream".to_owned(), |status| format!("status {status}"));
    let mut cause = vec![status];
    for code in said.codes.iter().map(|code| code.to_lowercase()) {
        if known.contains(&code.as_str()) && !cause.contains(&code) {
            cause.push(code);
        }
    }
    cause.join(", ")
}

fn again(retry_after: Option<Duration>) -> String {
    match retry_after.map(|pause| pause.as_secs().div_ceil(60)) {
        Some(minutes @ 2..) => format!("Try again in {minutes} minutes."),
        Some(_) | None => "Try again in a while.".to_owned(),
    }
}

fn sentence(words: &str) -> String {
    if words.ends_with(['.', '!', '?', '\u{2026}', '\u{3002}']) { words.to_owned() } else { format!("{words}.") }
}

/// An address without what may be secret in it.
fn bare(location: &str) -> &str {
    location.split(['?', '#']).next().unwrap_or_default()
}

/// `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date, or in milliseconds where a server says those. What is over counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: header::HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds =
        text(header::HeaderName::from_static("retry-after-ms")).and_then(|after| after.parse::<f64>().ok());
    if let Some(pause) = milliseconds.and_then(|after| Duration::try_from_secs_f64(after / 1_000.0).ok()) {
        return Some(pause);
    }
    let after = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(after).ok()?;
    // By the server's clock, if it tells: ours may be another.
    let now = text(header::DATE).and_then(|now| httpdate::parse_http_date(now).ok()).unwrap_or_else(SystemTime::now);
    date.duration_since(now).ok().filter(|pause| !pause.is_zero())
}

/// When to come back, as some say it in their words only: "Please try again in 7.66s", "retry after 6 seconds".
fn in_words(said: &ProviderError) -> Option<Duration> {
    let words = said.words.to_lowercase();
    let before = ["try again in ", "retry in ", "again after ", "retry after ", "please wait "];
    before.into_iter().find_map(|before| duration(words.split_once(before)?.1))
}

/// A duration as text begins with it: `12s`, `2m30.5s`, `6 seconds`. A number alone is of nothing.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text.trim_start(), None);
    loop {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let Some((number, unit)) = rest.split_at_checked(end).filter(|(number, _)| !number.is_empty()) else { break };
        let unit = unit.strip_prefix(' ').unwrap_or(unit);
        let end = unit.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at_checked(end)?;
        let of_unit = match unit.to_ascii_lowercase().as_str() {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3_600.0,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number.parse::<f64>().ok()? * of_unit);
        rest = after;
    }
    Duration::try_from_secs_f64(seconds?).ok()
}
