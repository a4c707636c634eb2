//! Asks the model, again while it is busy and has not begun, and passes its answer on piece by piece.
//!
//! If an executor died during an answer, the next one asks for the answer again. While the model repeats the same text, readers get nothing twice. If
//! it says something else, readers are told to discard the old text.

use std::time::Duration;

use bytes::Bytes;
use completions::{CompletionError, Dialect, Lesson, Piece, Round, Withheld, dialect::Field, learning};
use domain::{RunStep, event::Event, event::Progress};
use futures::StreamExt;
use models::Provider;
use traces::{Span, names};
use unpack::Unreadable;

use crate::{
    Host, ModelAnswer, Reader, Severity, Unreachable,
    api::Reading,
    budget::RunBudget,
    error_handler::{self, TurnFailure},
    prompt_builder::Prompt,
    refusal::{self, Refusal},
    session_manager::{Interrupted, RunSession},
    spans,
    unpacking::Unpacking,
};

/// How much of an error's body is read: some servers repeat the whole request before the error. A body that was cut is read as far as it goes.
const MAX_ERROR_BYTES: usize = 2 * 1024 * 1024;

/// How long to wait for an error's body, which normally comes with the head. Some servers leave the connection open.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for more after the model has said why it stopped. Only the usage follows, at once. Some servers leave the connection open.
const GRACE: Duration = Duration::from_secs(1);

/// Why a request ended early.
#[derive(Debug)]
pub enum Stopped {
    /// The run must not go on.
    Interrupted(Interrupted),
    /// The model failed.
    Failed(TurnFailure),
    /// The server refused the request and wants another dialect. Contains the message for the case that this does not help.
    Refused(Box<(Lesson, TurnFailure)>),
}

impl From<Interrupted> for Stopped {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// The parts of an interrupted answer that readers already have.
#[derive(Debug)]
pub struct Told {
    text: Repeated,
    reasoning: Repeated,
}

impl Told {
    /// From the run's log.
    #[must_use]
    pub fn new(progress: Progress) -> Self {
        Self { text: Repeated::new(progress.text), reasoning: Repeated::new(progress.thinking) }
    }

    /// The text and reasoning that readers have and the model has not repeated.
    #[must_use]
    pub fn remaining(&self) -> (&str, &str) {
        (self.text.rest(), self.reasoning.rest())
    }

    fn is_empty(&self) -> bool {
        self.text.rest().is_empty() && self.reasoning.rest().is_empty()
    }

    /// The new part of a piece. `None`: the model says something else this time.
    fn new_part<'a>(&mut self, piece: &'a Piece) -> Option<&'a str> {
        match piece {
            Piece::Text(said) if self.reasoning.rest().is_empty() => self.text.new_part(said),
            // The model reasoned less than the last time.
            Piece::Text(_) => None,
            Piece::Reasoning(said) => self.reasoning.new_part(said),
            Piece::Reconsidered => None,
        }
    }

    fn forget(&mut self) {
        *self = Self::new(Progress::default());
    }
}

/// A text that the model repeats piece by piece. It is not shortened meanwhile, because an answer may be long and have many pieces.
#[derive(Debug)]
struct Repeated {
    told: String,
    /// The length of the repeated part.
    said: usize,
}

impl Repeated {
    const fn new(told: String) -> Self {
        Self { told, said: 0 }
    }

    fn rest(&self) -> &str {
        self.told.get(self.said..).unwrap_or_default()
    }

    fn new_part<'a>(&mut self, said: &'a str) -> Option<&'a str> {
        if self.rest().starts_with(said) {
            self.said += said.len();
            return Some("");
        }
        let new = said.strip_prefix(self.rest())?;
        self.said = self.told.len();
        Some(new)
    }
}

/// Whom to ask, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Its dialect.
    pub dialect: &'a Dialect,
    /// Whether another one is asked if it fails, instead of this one again.
    pub has_successor: bool,
    /// The longest silence.
    pub silence: Duration,
}

/// Sends a request and reads the answer to its end. `round` has the answer so far, even after an error. A request that is refused for its form is not
/// repeated here, even if the server is also busy.
///
/// # Errors
/// [`Stopped`].
pub async fn ask<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    asked: Asked<'_>,
    prompt: &Prompt,
    round: &mut Round,
    told: &mut Told,
    budget: &mut RunBudget,
) -> Result<(), Stopped> {
    let mut attempt = 1;
    loop {
        let mut span = spans::of_request(asked, &session.run.model);
        let heard = ask_once(session, asked, &prompt.body, round, told, budget, &mut span).await;
        spans::answered(&mut span, round, &heard);
        drop(span);
        match &heard {
            Ok(()) => metrics::provider_request(&asked.provider.name, "ok"),
            Err(Stopped::Failed(failure)) => metrics::provider_request(&asked.provider.name, failure.code),
            Err(Stopped::Interrupted(_) | Stopped::Refused(_)) => {}
        }
        let failure = match heard {
            Err(Stopped::Failed(failure)) if !round.has_begun() => failure.of(asked.provider),
            Err(Stopped::Failed(failure)) => return Err(Stopped::Failed(failure.of(asked.provider))),
            other => return other,
        };
        let lesson = failure
            .refusal
            .and_then(Refusal::about)
            .and_then(|about| learning::lesson(about, &failure.said, asked.dialect, &prompt.sent));
        if let Some(lesson) = lesson {
            return Err(Stopped::Refused(Box::new((lesson, failure))));
        }
        attempt += 1;
        let pause = failure.pause_before(attempt).filter(|_| !asked.has_successor);
        let Some(pause) = pause else { return Err(Stopped::Failed(failure)) };
        session.host().log(
            Severity::Info,
            "asking the model again",
            serde_json::json!({
                "run_id": session.run.id, "attempt": attempt, "pause_ms": millis(pause), "code": failure.code, "cause": failure.cause,
            }),
        );
        session.outbox.tell(&Event::Retrying { attempt, retry_after_ms: millis(pause) });
        let host = session.host();
        session.attend(Duration::MAX, host.sleep(pause)).await?;
        *round = Round::default();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn ask_once<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    asked: Asked<'_>,
    body: &[u8],
    round: &mut Round,
    told: &mut Told,
    budget: &mut RunBudget,
    span: &mut Span,
) -> Result<(), Stopped> {
    let (host, silence) = (session.host(), asked.silence);
    let began = host.now();
    let patience = models::head_patience(silence, asked.has_successor, asked.dialect.sends(Field::Stream));
    let sent = trace_context::within(span.scope(), host.ask_model(asked.provider, body.to_vec()));
    let answer = session.attend(patience, sent).await;
    let mut answer =
        within(answer, patience)?.map_err(|error| Stopped::Failed(error_handler::unreachable(&error, false)))?;
    let secrets = asked.provider.secrets();
    let withheld = Withheld { authorization: &secrets, request: body };
    if !(200..300).contains(&answer.status) {
        return Err(Stopped::Failed(refused(session, answer, &withheld).await?));
    }
    let (mut unpacking, mut pieces) = (Unpacking::new(&answer.headers), Vec::new());
    let mut reading = Reading::of(asked.provider.api);
    let (mut finished_at, mut has_begun) = (None, false);
    loop {
        let chunk = match round.doubt() {
            _ if round.is_done() => None,
            None => next(session, &mut answer.body, finished_at, silence).await?,
            // The server's last words say more than the fact that nothing followed.
            Some(doubt) => match next(session, &mut answer.body, finished_at, silence).await {
                Ok(Some(Err(_))) | Err(Stopped::Failed(_)) => {
                    return Err(Stopped::Failed(error_handler::incomplete(&doubt, &withheld)));
                }
                heard => heard?,
            },
        };
        let (heard, ended) = match chunk {
            Some(Ok(bytes)) => {
                (unpacking.read(&bytes, |plain| reading.feed(round, plain, &mut pieces), unreadable), false)
            }
            // A broken connection after the end does not spoil the answer.
            Some(Err(_)) if finished_at.is_some() => (reading.finish(round, &mut pieces), true),
            Some(Err(error)) => {
                return Err(Stopped::Failed(error_handler::unreachable(&error, round.has_begun())));
            }
            None => (reading.finish(round, &mut pieces), true),
        };
        let (heard, ended) = match heard {
            // The same holds for a body that cannot be unpacked after the end.
            Err(_) if round.finish_reason.is_some() => (reading.finish(round, &mut pieces), true),
            heard => (heard, ended),
        };
        if round.finish_reason.is_some() && (finished_at.is_none() || !pieces.is_empty()) {
            finished_at = Some(host.now());
        }
        if !std::mem::replace(&mut has_begun, round.has_begun()) && round.has_begun() {
            let took = host.now().saturating_sub(began);
            metrics::first_token(&session.run.model, took);
            span.set(names::GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, took.as_secs_f64());
        }
        // The pieces before an error are passed on first.
        pass_on(session, &mut pieces, round, told)?;
        session.deliver().await?;
        budget.cover(session, round).await?;
        heard.map_err(|error| Stopped::Failed(error_handler::incomplete(&error, &withheld)))?;
        if ended {
            break;
        }
    }
    if !told.is_empty() {
        restart(session, round, told);
    }
    Ok(())
}

/// The error for a body that cannot be unpacked.
fn unreadable(error: Unreadable) -> CompletionError {
    match error {
        Unreadable::TooLong(_) => CompletionError::AnswerTooLong,
        Unreadable::Unknown(_) | Unreadable::Broken(_) => CompletionError::Malformed,
    }
}

/// The next part of the body. `None`: the body has ended, or the model has said why it stopped and nothing came in time.
async fn next<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    body: &mut H::Body,
    finished_at: Option<Duration>,
    silence: Duration,
) -> Result<Option<Result<Bytes, Unreachable>>, Stopped> {
    let Some(finished_at) = finished_at else {
        return within(session.attend(silence, body.next()).await, silence);
    };
    let grace = finished_at.saturating_add(GRACE).saturating_sub(session.host().now());
    if grace.is_zero() {
        return Ok(None);
    }
    match session.attend(grace, body.next()).await {
        Err(Interrupted::TimedOut) => Ok(None),
        heard => Ok(heard?),
    }
}

/// A wait that took too long is the model's failure.
fn within<T>(result: Result<T, Interrupted>, silence: Duration) -> Result<T, Stopped> {
    result.map_err(|interrupted| match interrupted {
        Interrupted::TimedOut => Stopped::Failed(error_handler::silent(silence)),
        other => Stopped::Interrupted(other),
    })
}

async fn refused<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    answer: ModelAnswer<H::Body>,
    withheld: &Withheld<'_>,
) -> Result<TurnFailure, Interrupted> {
    let ModelAnswer { status, headers, mut body } = answer;
    let (host, mut unpacking, mut bytes) = (session.host(), Unpacking::new(&headers), Vec::new());
    let until = host.now().saturating_add(ERROR_PATIENCE);
    while bytes.len() < MAX_ERROR_BYTES {
        let left = until.saturating_sub(host.now());
        if left.is_zero() {
            break;
        }
        match session.attend(left, body.next()).await {
            Ok(Some(Ok(chunk))) => {
                let keep = |plain: &[u8]| {
                    let room = MAX_ERROR_BYTES.saturating_sub(bytes.len()).min(plain.len());
                    bytes.extend_from_slice(plain.get(..room).unwrap_or_default());
                    Ok(())
                };
                if unpacking.read(&chunk, keep, unreadable).is_err() {
                    break;
                }
            }
            Ok(Some(Err(_)) | None) | Err(Interrupted::TimedOut) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(refusal::refused(status, &headers, &bytes, withheld))
}

fn pass_on<H: Host, R: Reader>(
    session: &mut RunSession<'_, H, R>,
    pieces: &mut Vec<Piece>,
    round: &Round,
    told: &mut Told,
) -> Result<(), Interrupted> {
    if pieces.is_empty() && round.tool_calls.is_empty() {
        return Ok(());
    }
    session.step(RunStep::ModelAnswers)?;
    for piece in pieces.iter() {
        let new = if told.is_empty() { said(piece) } else { told.new_part(piece) };
        let Some(new) = new else {
            // Everything of this round so far is sent again, including the rest of this chunk.
            restart(session, round, told);
            break;
        };
        match piece {
            _ if new.is_empty() => {}
            Piece::Text(_) => session.outbox.write_token(new),
            Piece::Reasoning(_) => session.outbox.write(&Event::Thinking { content: new }),
            Piece::Reconsidered => {}
        }
    }
    pieces.clear();
    Ok(())
}

/// The text of a piece. `None`: the piece says that earlier pieces were read wrongly.
fn said(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Text(said) | Piece::Reasoning(said) => Some(said),
        Piece::Reconsidered => None,
    }
}

/// Tells readers to discard the answer so far, and sends the new one.
fn restart<H: Host, R: Reader>(session: &mut RunSession<'_, H, R>, round: &Round, told: &mut Told) {
    told.forget();
    session.outbox.write(&Event::Restarted);
    if !round.reasoning.is_empty() {
        session.outbox.write(&Event::Thinking { content: &round.reasoning });
    }
    if !round.text.is_empty() {
        session.outbox.write_token(&round.text);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_long_answer_is_heard_again_in_time_that_grows_with_its_length() {
        let pieces = 500_000;
        let mut told = Told::new(Progress { text: "ab".repeat(pieces), ..Progress::default() });
        let began = Instant::now();
        for _ in 0..pieces {
            assert_eq!(told.new_part(&Piece::Text("ab".to_owned())), Some(""));
        }
        assert_eq!(told.new_part(&Piece::Text("c".to_owned())), Some("c"));
        assert!(told.is_empty() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
