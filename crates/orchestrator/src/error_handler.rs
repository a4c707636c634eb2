//! Decides what an error means: whether the same request may be sent again, when, and what to tell the person.
//!
//! [`crate::refusal`] reads the refusals of a model's server.

use std::time::Duration;

use completions::{CompletionError, ProviderError, Withheld};
use domain::RunFailure;
use models::Provider;
use storage::{budgets::Budget, runs::ABANDONED_CODE};

use crate::{
    Unreachable,
    refusal::{self, Refusal},
};

const BUDGET: &str = "budget";
const EMPTY: &str = "model_empty";
const NOT_OFFERED: &str = "model_not_offered";
const UNFIT: &str = "answer_unfit";

/// The requests for one round, including the first.
pub const MAX_ATTEMPTS: u32 = 4;
/// The executors of one run since its last finished step. Hosts may die, but if this many did, the cause is the run itself, or a host that allows
/// less time than one round of its model takes. Each executor pays for that round again.
pub const MAX_EXECUTORS: u64 = 10;
/// The first pause; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest time that a person waits for an answer to begin. If a server asks for a longer pause, the person is told instead.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The notice to the person when the model's server accepted only a shorter request.
pub(crate) const SHORTENED: &str = "This is more than the model can read at once. The oldest part of the conversation, or the list of tools, was shortened.";
/// The notice to the person when the model's server accepted no tools.
pub(crate) const WITHOUT_TOOLS: &str = "The model's server does not take our tools. The model answers without them.";
/// The notice to the person when the tools cannot be listed.
pub(crate) const UNLISTED_TOOLS: &str =
    "The tools could not be listed in time. The model answers without them. Ask again to have them used.";
/// The notice to the person when pictures are attached and the model gets none.
pub(crate) const WITHOUT_PICTURES: &str =
    "This model does not look at pictures. It was told that there are some. Choose one that sees them.";

/// The notice to a person whose answer cannot be stored.
pub(crate) const UNWRITABLE: &str = "The answer cannot be stored: the disk of this installation is full or read-only. Ask the administrator to fix it, then \
                          open this conversation again, and the answer goes on.";

/// What is left of words about the provider of `openai_base_url` for another one.
const STANDARD_ADDRESS: &str = "openai_base_url";

/// A failed request to the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnFailure {
    /// A stable code for programs.
    pub code: &'static str,
    /// The message for the person: what happened and what to do.
    pub message: String,
    /// Whether the failure may pass by itself in a moment, so the same request is sent again.
    pub transient: bool,
    /// Whether a new request of the person may succeed, now or later.
    pub retryable: bool,
    /// The pause that the server asked for.
    pub retry_after: Option<Duration>,
    /// The cause for the log. It contains nothing that the server said.
    pub cause: String,
    /// What the server refuses, if it said so.
    pub refusal: Option<Refusal>,
    /// The server's error. It may contain anything, so it is in no log, and the person sees it only after [`Withheld`] has removed secrets.
    pub said: Box<ProviderError>,
}

impl TurnFailure {
    /// A failure without an error from the server.
    pub(crate) fn new(
        code: &'static str,
        transient: bool,
        message: impl Into<String>,
        cause: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            transient,
            retryable: transient,
            retry_after: None,
            cause: cause.into(),
            refusal: None,
            said: Box::default(),
        }
    }

    /// A failure that only the person retries, because each request costs money or the person has waited long enough.
    fn for_the_person_to_repeat(code: &'static str, message: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, false, message, cause) }
    }

    /// The same failure of a provider, with the words for an administrator about this provider.
    #[must_use]
    pub fn of(mut self, provider: &Provider) -> Self {
        if provider.name != models::STANDARD {
            self.message =
                self.message.replace(STANDARD_ADDRESS, &format!("base_url of the provider {}", provider.name));
        }
        self
    }

    /// Whether another provider is asked instead: this one failed, and it is not the installation that refuses.
    pub(crate) fn is_of_provider(&self) -> bool {
        !matches!(self.code, BUDGET | NOT_OFFERED)
    }

    /// The failure as it is stored with the run.
    #[must_use]
    pub fn to_run_failure(&self) -> RunFailure {
        RunFailure { code: self.code.to_owned(), message: self.message.clone() }
    }

    /// The pause before request number `next` (2 for the second). `None`: do not send it.
    #[must_use]
    pub fn pause_before(&self, next: u32) -> Option<Duration> {
        if !self.transient || next > MAX_ATTEMPTS {
            return None;
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << next.saturating_sub(2).min(8));
        Some(self.retry_after.unwrap_or(doubled)).filter(|pause| *pause <= MAX_PAUSE)
    }
}

/// No provider has the model.
#[must_use]
pub fn not_offered(model: &str) -> TurnFailure {
    let message = format!("No provider of this installation has the model {model} any more. Choose another model.");
    TurnFailure::for_the_person_to_repeat(NOT_OFFERED, message, "no provider has the model")
}

/// The notice to a person that a provider failed before it said anything, and that another one is asked.
#[must_use]
pub fn switched(failed: &str, failure: &TurnFailure, next: &str) -> String {
    let why = match failure.refusal {
        Some(Refusal::Busy) => "is too busy",
        Some(Refusal::Quota) => "has no quota left",
        Some(Refusal::Key) => "refuses this installation's key",
        Some(_) => "refuses the request",
        None if failure.code == EMPTY => "says nothing",
        None => "does not answer",
    };
    format!("The provider {failed} {why}. {next} is asked instead.")
}

/// The answer does not have the form that was wanted. `faults`: how not, in words that may quote it.
#[must_use]
pub fn unfit(faults: &str, was_cut: bool) -> TurnFailure {
    let why = if was_cut {
        "It was cut because it reached its greatest length. Allow a longer answer, or ask for less."
    } else {
        "Try again, or choose another model."
    };
    let message = format!("The answer does not have the form that was asked for: {faults}. {why}");
    TurnFailure::for_the_person_to_repeat(UNFIT, message, "the answer does not fit its schema")
}

/// Too many executors of the run died.
#[must_use]
pub fn given_up(executors: u64) -> TurnFailure {
    let cause = format!("{executors} executors began this run and none finished it");
    let message = "This answer was begun again and again and never finished. Try a shorter question or another model.";
    TurnFailure::new("run_given_up", false, message, cause)
}

/// Too little is left of a budget for another request; `is_reserved`: only as long as other answers are in progress.
#[must_use]
pub fn over_budget(budget: &Budget, is_reserved: bool) -> TurnFailure {
    let words = if is_reserved { budget.reserved() } else { budget.used_up() };
    let cause = format!("{} of {}: {} of {} left", budget.kind.as_str(), budget.subject, budget.left, budget.amount);
    TurnFailure::for_the_person_to_repeat(BUDGET, words, cause)
}

/// A budget of money counts, and the operator's prices cannot be read.
#[must_use]
pub fn unreadable_prices() -> TurnFailure {
    let words = "What models cost cannot be read here, and a budget of money counts for you, so no model is asked. An administrator must mend the prices; then try again.";
    TurnFailure::for_the_person_to_repeat("budget", words.to_owned(), "model_prices cannot be read".to_owned())
}

/// The answer became longer than what is left of a budget.
#[must_use]
pub fn cut_by_budget(budget: &Budget, is_reserved: bool) -> TurnFailure {
    let failure = over_budget(budget, is_reserved);
    TurnFailure { message: format!("The answer was ended here. {}", failure.message), ..failure }
}

/// Nobody read the run in time.
#[must_use]
pub fn abandoned(failure: &RunFailure) -> TurnFailure {
    TurnFailure::new(ABANDONED_CODE, true, failure.message.as_str(), "nobody read the run within a day")
}

/// The server could not be reached, or the connection broke.
#[must_use]
pub fn unreachable(error: &Unreachable, begun: bool) -> TurnFailure {
    match error {
        Unreachable::NotAllowed(cause) => TurnFailure::new(
            "model_not_allowed",
            false,
            "This installation is not allowed to reach its model. Ask the administrator to allow the address.",
            cause,
        ),
        Unreachable::Connection(cause) if begun => broke_off(cause),
        Unreachable::Connection(cause) => {
            TurnFailure::new("model_unreachable", true, "The model cannot be reached right now. Try again.", cause)
        }
    }
}

/// The response is not a complete answer.
#[must_use]
pub fn incomplete(error: &CompletionError, withheld: &Withheld<'_>) -> TurnFailure {
    let cause = error.to_string();
    match error {
        CompletionError::Provider(error) => refusal::reported(error, withheld),
        CompletionError::AnswerTooLong => {
            TurnFailure::new("answer_too_long", false, "The answer grew too long and was cut.", cause)
        }
        CompletionError::CallsTooLong => TurnFailure::for_the_person_to_repeat(
            "model_malformed",
            "The model wanted to use more tools at once than it may. Try again.",
            cause,
        ),
        CompletionError::Unfinished => broke_off(&cause),
        CompletionError::Malformed | CompletionError::EventTooLong(_) => TurnFailure::for_the_person_to_repeat(
            "model_malformed",
            "The model's server sent something unreadable. Try again.",
            cause,
        ),
        CompletionError::WebPage => refusal::no_model_server(
            "This address answers with a web page, not as a model server. An administrator should check the address (openai_base_url).",
            cause,
        ),
        CompletionError::Foreign => refusal::no_model_server(
            "This address does not answer as a model server does. An administrator should check the address (openai_base_url).",
            cause,
        ),
    }
}

/// The answer has ended, and it is empty.
#[must_use]
pub fn said_nothing(finish_reason: Option<&str>) -> TurnFailure {
    let message = match finish_reason {
        Some("length") => "The model used all its room before it said anything. Try again, or ask for less.",
        Some("content_filter") => "The model's provider held the answer back. Try to ask in another way.",
        _ => "The model said nothing. Try again.",
    };
    let cause = format!("an answer without text, finish reason {}", finish_reason.unwrap_or("none"));
    TurnFailure::for_the_person_to_repeat(EMPTY, message, cause)
}

/// The model was silent for too long.
#[must_use]
pub fn silent(silence: Duration) -> TurnFailure {
    let cause = format!("nothing for {} s", silence.as_secs_f32());
    let message = "The model stopped answering. What it wrote is kept; try again.";
    TurnFailure::for_the_person_to_repeat("model_silent", message, cause)
}

fn broke_off(cause: &str) -> TurnFailure {
    TurnFailure::new(
        "model_broke_off",
        true,
        "The connection to the model broke. What it wrote is kept; try again.",
        cause,
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn refused(status: u16, retry_after_s: Option<u64>) -> TurnFailure {
        let headers: HeaderMap =
            retry_after_s.map(|after| (http::header::RETRY_AFTER, after.into())).into_iter().collect();
        refusal::refused(status, &headers, b"", &Withheld::default())
    }

    #[test]
    fn what_may_pass_is_tried_again_with_longer_pauses_and_not_for_ever() {
        let busy = refused(503, None);
        let pauses: Vec<_> = (2..=5).map(|next| busy.pause_before(next).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(500), Some(1000), Some(2000), None]);
    }

    #[test]
    fn the_server_says_when_to_come_back_unless_nobody_would_wait_that_long() {
        assert_eq!(refused(429, Some(3)).pause_before(2), Some(Duration::from_secs(3)));
        assert_eq!(refused(429, Some(3_600)).pause_before(2), None);
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        for status in [301, 307, 400, 401, 402, 403, 404, 405, 411, 413, 422, 501] {
            assert_eq!(refused(status, None).pause_before(2), None, "{status}");
        }
        assert_eq!(unreachable(&Unreachable::NotAllowed("x".into()), false).pause_before(2), None);
    }
}
