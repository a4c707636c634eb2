//! What an error means: whether the same request may be sent again, when, and what to tell the person.
//!
//! Providers' own words are shown only where they cannot hold a secret of the operator's.

use std::time::Duration;

use completions::CompletionError;
use domain::RunFailure;

use crate::Unreachable;

/// Requests for one round, the first included.
pub const MAX_ATTEMPTS: u32 = 4;
/// Executors of one run since its last finished step: hosts die, but if this many did, it is the run that kills them, or a host that allows less
/// time than one round of its model takes. Each of them pays for that round again.
pub const MAX_EXECUTORS: u64 = 10;
/// The first pause; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A person waits this long for an answer to begin, hardly longer: what asks for a longer pause is told to the person instead.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Not asked again by itself, because the person has waited long enough.
const SILENT: &str = "model_silent";

/// Something went wrong with the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Stable, for programs.
    pub code: &'static str,
    /// For the person: what happened and what to do.
    pub message: String,
    /// Whether it may pass by itself.
    pub transient: bool,
    /// What the server asked for.
    pub retry_after: Option<Duration>,
    /// For the log.
    pub cause: String,
}

impl Failure {
    fn new(code: &'static str, transient: bool, message: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { code, message: message.into(), transient, retry_after: None, cause: cause.into() }
    }

    /// Whether the person may hope for more by asking again, now or in a while.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.transient || self.code == SILENT
    }

    /// As it is kept with the run.
    #[must_use]
    pub fn to_run_failure(&self) -> RunFailure {
        RunFailure { code: self.code.to_owned(), message: self.message.clone() }
    }

    /// How long to wait before request number `next` (2 for the second); `None`: do not send it.
    #[must_use]
    pub fn pause_before(&self, next: u32) -> Option<Duration> {
        if !self.transient || next > MAX_ATTEMPTS {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << next.saturating_sub(2).min(8));
        Some(self.retry_after.unwrap_or(doubled)).filter(|pause| *pause <= MAX_PAUSE)
    }
}

/// Too many executors died over the run.
#[must_use]
pub fn given_up(executors: u64) -> Failure {
    let cause = format!("{executors} executors began this run and none finished it");
    let message = "This answer was begun again and again and never finished. Try a shorter question or another model.";
    Failure::new("run_given_up", false, message, cause)
}

/// The server could not be reached, or the connection broke.
#[must_use]
pub fn unreachable(error: &Unreachable, begun: bool) -> Failure {
    match error {
        Unreachable::NotAllowed(cause) => Failure::new(
            "model_not_allowed",
            false,
            "This installation is not allowed to reach its model. Whoever runs it must allow the address.",
            cause,
        ),
        Unreachable::Connection(cause) if begun => broke_off(cause),
        Unreachable::Connection(cause) => {
            Failure::new("model_unreachable", true, "The model cannot be reached right now. Try again.", cause)
        }
    }
}

/// The server answered with something else than a stream.
#[must_use]
pub fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let words = serde_json::from_slice(body).map_or_else(
        |_| String::from_utf8_lossy(body).chars().take(300).collect(),
        |json| completions::round::provider_message(&json),
    );
    let cause = format!("status {status}: {words}");
    let failure = match status {
        401 | 403 => Failure::new(
            "model_unauthorized",
            false,
            "The model's provider does not accept this installation's key. Whoever runs it must set another.",
            cause,
        ),
        404 => Failure::new("model_not_found", false, "The model's provider does not know this model.", cause),
        408 | 425 | 429 => {
            Failure::new("model_busy", true, "The model is too busy right now. Try again in a while.", cause)
        }
        500.. => Failure::new("model_error", true, "The model's provider has a problem right now. Try again.", cause),
        _ => Failure::new("model_refused", false, format!("The model's provider refused the request: {words}"), cause),
    };
    Failure { retry_after, ..failure }
}

/// What came is no whole answer.
#[must_use]
pub fn incomplete(error: &CompletionError) -> Failure {
    let cause = error.to_string();
    match error {
        CompletionError::Provider { message } => {
            Failure::new("model_error", true, format!("The model's provider reported: {message}"), cause)
        }
        CompletionError::AnswerTooLong => {
            Failure::new("answer_too_long", false, "The answer grew too long and was cut.", cause)
        }
        CompletionError::Unfinished => broke_off(&cause),
        CompletionError::Malformed(_) | CompletionError::EventTooLong(_) => {
            Failure::new("model_malformed", true, "The model's server sent something unreadable. Try again.", cause)
        }
    }
}

/// Nothing came for too long.
#[must_use]
pub fn silent(silence: Duration) -> Failure {
    let cause = format!("nothing for {} s", silence.as_secs_f32());
    Failure::new(SILENT, false, "The model stopped answering. What it wrote is kept; try again.", cause)
}

fn broke_off(cause: &str) -> Failure {
    Failure::new("model_broke_off", true, "The connection to the model broke. What it wrote is kept; try again.", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_with_longer_pauses_and_not_for_ever() {
        let busy = refused(503, None, b"");
        let pauses: Vec<_> = (2..=5).map(|next| busy.pause_before(next).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(500), Some(1000), Some(2000), None]);
    }

    #[test]
    fn the_server_says_when_to_come_back_unless_nobody_would_wait_that_long() {
        let after = |seconds| refused(429, Some(Duration::from_secs(seconds)), b"").pause_before(2);
        assert_eq!(after(3), Some(Duration::from_secs(3)));
        assert_eq!(after(3_600), None);
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        for status in [400, 401, 403, 404, 422] {
            assert_eq!(refused(status, None, b"").pause_before(2), None, "{status}");
        }
        assert_eq!(unreachable(&Unreachable::NotAllowed("x".into()), false).pause_before(2), None);
    }

    #[test]
    fn a_rejected_key_is_not_shown_to_the_person() {
        let failure = refused(401, None, br#"{"error":{"message":"Incorrect API key provided: sk-abc"}}"#);
        assert!(!failure.message.contains("sk-abc"));
        let failure = refused(400, None, br#"{"error":{"message":"too many tokens"}}"#);
        assert!(failure.message.contains("too many tokens"));
    }
}
