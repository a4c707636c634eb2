//! Reads the refusals of a model's server, from status, headers and text, and writes the message for the person: what the server says, and what to do
//! next.
//!
//! The server's text goes to the person without secrets, and never into the log, which gets the status and known codes.

use std::time::{Duration, SystemTime};

use completions::{ProviderError, Withheld, learning::About};
use http::{HeaderMap, header};

use crate::error_handler::{MAX_PAUSE, TurnFailure};

/// What is refused. Each kind has its own next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request has more tokens than the model reads.
    TooLong,
    /// The account has no money or quota left. Waiting a moment does not help.
    Quota,
    /// There are too many requests just now.
    Busy,
    /// The key is refused.
    Key,
    /// The caller or the contents are refused, for example because of a country, a content policy or a proxy.
    Forbidden,
    /// The model is refused.
    Model,
    /// There is no model's server at this address.
    Address,
    /// The server has moved.
    Moved,
    /// The form of the request is refused: a field, a role, a schema. The error's text may say which: [`ProviderError::names`].
    Request,
    /// The model's last tool call is malformed. The next attempt may be better.
    Slip,
    /// The server has an internal fault.
    Fault,
    /// An error that is not known here.
    Unknown,
}

impl Refusal {
    /// The part of the request that may cause the refusal.
    #[must_use]
    pub const fn about(self) -> Option<About> {
        match self {
            Self::TooLong => Some(About::Length),
            // Servers also blame the model for features that it does not support.
            Self::Request | Self::Model => Some(About::Form),
            Self::Unknown => Some(About::Unknown),
            Self::Fault => Some(About::Fault),
            Self::Quota => Some(About::Price),
            Self::Slip => Some(About::Call),
            Self::Busy | Self::Key | Self::Forbidden | Self::Address | Self::Moved => None,
        }
    }
}

/// The account has no money or quota left; no pause helps.
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
    // The account's balance is too low or overdue.
    "余额不足",
    "欠费",
];
/// The quota will be renewed, but hardly within a minute.
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
    // "Too long", about a prompt.
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
    // "Sensitive", about contents.
    "敏感",
];
/// The server cannot read the tool call that the model wrote.
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
/// The server's parser finds the request invalid.
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
/// Texts that say no more than the status.
const BARE: [&str; 4] = ["not found", "404", "no route", "cannot post"];
/// Texts of servers that do not have this path.
const WRONG_PATH: [&str; 4] = ["invalid url", "unknown request url", "unrecognized request url", "unexpected endpoint"];

/// The failure for a response whose status is an error.
#[must_use]
pub fn refused(status: u16, headers: &HeaderMap, body: &[u8], withheld: &Withheld<'_>) -> TurnFailure {
    let said = ProviderError::from_body(body);
    let retry_after =
        retry_after(headers).or_else(|| said.retry_after.as_deref().and_then(duration)).or_else(|| in_words(&said));
    let refusal = refusal(Some(status), &said, retry_after);
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let failure = failure(refusal, Some(status), said, retry_after, location, withheld);
    // Some servers say that the same request will fail again.
    let is_final = headers.get("x-should-retry").is_some_and(|again| again == "false");
    TurnFailure { transient: failure.transient && !is_final, ..failure }
}

/// The failure for an error that the server reports instead of the answer, or in the middle of it.
#[must_use]
pub fn reported(said: &ProviderError, withheld: &Withheld<'_>) -> TurnFailure {
    let retry_after = said.retry_after.as_deref().and_then(duration).or_else(|| in_words(said));
    failure(refusal(said.status, said, retry_after), said.status, said.clone(), retry_after, None, withheld)
}

/// The failure for a server that is not a model's server.
pub(crate) fn no_model_server(message: &str, cause: impl Into<String>) -> TurnFailure {
    TurnFailure { refusal: Some(Refusal::Address), ..TurnFailure::new("model_address", false, message, cause) }
}

fn refusal(status: Option<u16>, said: &ProviderError, retry_after: Option<Duration>) -> Refusal {
    let comes_back = retry_after.is_some_and(|pause| pause <= MAX_PAUSE);
    let is_limit = matches!(status, None | Some(400 | 403 | 412 | 429));
    // Some servers mention paid plans at every limit. They also say when the limit ends, if it does.
    let is_for_a_moment = comes_back && said.retry_after.is_some() && !said.is_about(&["perday"]);
    // The text names a tool or a property, which may have any name.
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
        // An HTTP server that is not a model's server: another port, a proxy.
        Some(400) if said.is_page => Refusal::Address,
        // 409: the model is being loaded. 498: the cheaper machines are full.
        Some(408 | 409 | 425 | 429 | 498 | 529) => Refusal::Busy,
        Some(403 | 407 | 451) => Refusal::Forbidden,
        Some(501 | 505) => Refusal::Request,
        // 424: a server behind it failed. 499: the server gave up.
        Some(424 | 499 | 500..) => Refusal::Fault,
        None | Some(400) if !is_form && said.is_about(&CONTENTS) => Refusal::Forbidden,
        Some(_) => Refusal::Request,
        None if said.is_about(&BUSY) => Refusal::Busy,
        None if said.is_about(&FAULT) => Refusal::Fault,
        None if said.is_about(&REQUEST) => Refusal::Request,
        None => Refusal::Unknown,
    }
}

/// Whether the model is refused. Many errors mention the model, so other hints count only with a status that says that something is missing.
fn is_about_model(status: Option<u16>, said: &ProviderError) -> bool {
    let is_missing = matches!(status, Some(403 | 404)) && said.words.to_lowercase().contains("model");
    said.is_about(&MODEL)
        || (is_missing && said.is_about(&["not exist", "not found", "no such", "not available", "not_found_error"]))
}

/// Whether the text says only that nothing is there.
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
) -> TurnFailure {
    let words = withheld.shown(&said.words);
    let number = status.map(|status| format!(" ({status})")).unwrap_or_default();
    // The message begins with the server's text, if there is any.
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
    TurnFailure {
        retryable: transient || refusal == Refusal::Unknown,
        retry_after,
        refusal: Some(refusal),
        said: Box::new(said),
        ..TurnFailure::new(code, transient, message.trim_end(), cause)
    }
}

/// The cause for the log: the status, and the known codes. The rest of the server's text may contain what people said.
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

/// An address without parts that may be secret.
fn bare(location: &str) -> &str {
    location.split(['?', '#']).next().unwrap_or_default()
}

/// `Retry-After` (RFC 9110, section 10.2.3) in seconds or as a date, or `retry-after-ms`. A time in the past counts as none.
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
    // By the server's clock if it sends its time, because ours may differ.
    let now = text(header::DATE).and_then(|now| httpdate::parse_http_date(now).ok()).unwrap_or_else(SystemTime::now);
    date.duration_since(now).ok().filter(|pause| !pause.is_zero())
}

/// The pause that some servers state only in words: "Please try again in 7.66s", "retry after 6 seconds".
fn in_words(said: &ProviderError) -> Option<Duration> {
    let words = said.words.to_lowercase();
    let before = ["try again in ", "retry in ", "again after ", "retry after ", "please wait "];
    before.into_iter().find_map(|before| duration(words.split_once(before)?.1))
}

/// The duration at the beginning of a text: `12s`, `2m30.5s`, `6 seconds`. A number without a unit is not one.
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
