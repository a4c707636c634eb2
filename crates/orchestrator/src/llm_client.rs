//! Asks the model, again while it is busy and has not begun, and passes on what it says piece by piece.
//!
//! An answer that had been begun by an executor that died is asked for anew. As long as the model says the same again, nobody is told twice;
//! if it says something else, readers are told to drop what they had.

use std::time::Duration;

use bytes::Bytes;
use completions::{CompletionError, Dialect, Lesson, Piece, Round, Withheld, learning};
use domain::{RunStep, event::Event, event::Progress};
use futures::StreamExt;
use unpack::Unreadable;

use crate::{
    Host, ModelAnswer, Reader, Severity, Unreachable,
    error_handler::{self, Failure},
    prompt_builder::Prompt,
    refusal::{self, Refusal},
    session_manager::{Interrupted, Session},
    unpacking::Unpacking,
};

/// An error's body is read up to this length: some servers repeat the whole request before they say what is wrong with it. What is cut is
/// understood as far as it came.
const MAX_ERROR_BYTES: usize = 2 * 1024 * 1024;

/// It comes with its head; some servers leave the connection open behind it.
const ERROR_PATIENCE: Duration = Duration::from_secs(5);

/// What comes after the model has said why it stopped: the usage, at once if at all. Some servers leave the connection open.
const GRACE: Duration = Duration::from_secs(1);

/// How an attempt to hear the model ended before its time.
#[derive(Debug)]
pub enum Stopped {
    /// The run is not to go on.
    Interrupted(Interrupted),
    /// The model failed.
    Failed(Failure),
    /// Its server refused the request, and wants it otherwise. With what to say if that does not help.
    Refused(Box<(Lesson, Failure)>),
}

impl From<Interrupted> for Stopped {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// What readers have already been told of the answer that is asked for again.
#[derive(Debug)]
pub struct Told {
    text: Repeated,
    reasoning: Repeated,
}

impl Told {
    /// From the log.
    #[must_use]
    pub fn new(progress: Progress) -> Self {
        Self { text: Repeated::new(progress.text), reasoning: Repeated::new(progress.thinking) }
    }

    /// What was told before and has not been said again: text and reasoning.
    #[must_use]
    pub fn remaining(&self) -> (&str, &str) {
        (self.text.rest(), self.reasoning.rest())
    }

    fn is_empty(&self) -> bool {
        self.text.rest().is_empty() && self.reasoning.rest().is_empty()
    }

    /// What of a piece is new. `None`: the model says something else this time.
    fn new_part<'a>(&mut self, piece: &'a Piece) -> Option<&'a str> {
        match piece {
            Piece::Text(said) if self.reasoning.rest().is_empty() => self.text.new_part(said),
            // It thought less than the last time.
            Piece::Text(_) => None,
            Piece::Reasoning(said) => self.reasoning.new_part(said),
            Piece::Reconsidered => None,
        }
    }

    fn forget(&mut self) {
        *self = Self::new(Progress::default());
    }
}

/// A text that is said again piece by piece. It stays where it is: an answer may be long, and its pieces many.
#[derive(Debug)]
struct Repeated {
    told: String,
    /// How much of it was said again.
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

/// Sends a request and hears the answer to its end. What was said is in `round`, whole or not. What is refused for how it is written is not sent
/// again here, busy or not.
///
/// # Errors
/// [`Stopped`].
pub async fn ask<H: Host, R: Reader>(
    session: &mut Session<'_, H, R>,
    prompt: &Prompt,
    dialect: &Dialect,
    round: &mut Round,
    told: &mut Told,
    silence: Duration,
) -> Result<(), Stopped> {
    let mut attempt = 1;
    loop {
        let failure = match ask_once(session, &prompt.body, round, told, silence).await {
            Err(Stopped::Failed(failure)) if !round.has_begun() => failure,
            other => return other,
        };
        let lesson = failure
            .refusal
            .and_then(Refusal::about)
            .and_then(|about| learning::lesson(about, &failure.said, dialect, &prompt.sent));
        if let Some(lesson) = lesson {
            return Err(Stopped::Refused(Box::new((lesson, failure))));
        }
        attempt += 1;
        let Some(pause) = failure.pause_before(attempt) else { return Err(Stopped::Failed(failure)) };
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
    session: &mut Session<'_, H, R>,
    body: &[u8],
    round: &mut Round,
    told: &mut Told,
    silence: Duration,
) -> Result<(), Stopped> {
    let host = session.host();
    let answer = within(session.attend(silence, host.ask_model(body.to_vec())).await, silence)?;
    let mut answer = answer.map_err(|error| Stopped::Failed(error_handler::unreachable(&error, false)))?;
    let withheld = Withheld { authorization: host.authorization(), request: body };
    if !(200..300).contains(&answer.status) {
        return Err(Stopped::Failed(refused(session, answer, &withheld).await?));
    }
    let (mut unpacking, mut pieces) = (Unpacking::new(&answer.headers), Vec::new());
    let mut finished_at = None;
    loop {
        let chunk = match round.doubt() {
            _ if round.is_done() => None,
            None => next(session, &mut answer.body, finished_at, silence).await?,
            // The server's last words say more than that nothing came after them.
            Some(doubt) => match next(session, &mut answer.body, finished_at, silence).await {
                Ok(Some(Err(_))) | Err(Stopped::Failed(_)) => {
                    return Err(Stopped::Failed(error_handler::incomplete(&doubt, &withheld)));
                }
                heard => heard?,
            },
        };
        let (heard, ended) = match chunk {
            Some(Ok(bytes)) => (unpacking.read(&bytes, |plain| round.feed(plain, &mut pieces), unreadable), false),
            // What comes after the end cannot spoil it.
            Some(Err(_)) if finished_at.is_some() => (round.finish(&mut pieces), true),
            Some(Err(error)) => {
                return Err(Stopped::Failed(error_handler::unreachable(&error, round.has_begun())));
            }
            None => (round.finish(&mut pieces), true),
        };
        let (heard, ended) = match heard {
            // Nor can what cannot be unpacked.
            Err(_) if round.finish_reason.is_some() => (round.finish(&mut pieces), true),
            heard => (heard, ended),
        };
        if round.finish_reason.is_some() && (finished_at.is_none() || !pieces.is_empty()) {
            finished_at = Some(host.now());
        }
        // What was said before an error was said.
        pass_on(session, &mut pieces, round, told)?;
        session.deliver().await?;
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

/// What it means for an answer that it cannot be unpacked.
fn unreadable(error: Unreadable) -> CompletionError {
    match error {
        Unreadable::TooLong(_) => CompletionError::AnswerTooLong,
        Unreadable::Unknown(_) | Unreadable::Broken(_) => CompletionError::Malformed,
    }
}

/// What comes next of the answer; nothing when it has ended, or when it has said why it stopped and only the connection goes on.
async fn next<H: Host, R: Reader>(
    session: &mut Session<'_, H, R>,
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

/// A wait that was too long is the model's failure.
fn within<T>(result: Result<T, Interrupted>, silence: Duration) -> Result<T, Stopped> {
    result.map_err(|interrupted| match interrupted {
        Interrupted::TimedOut => Stopped::Failed(error_handler::silent(silence)),
        other => Stopped::Interrupted(other),
    })
}

async fn refused<H: Host, R: Reader>(
    session: &mut Session<'_, H, R>,
    answer: ModelAnswer<H::Body>,
    withheld: &Withheld<'_>,
) -> Result<Failure, Interrupted> {
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
    session: &mut Session<'_, H, R>,
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
            // Everything heard in this round so far is told again, the rest of this chunk included.
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

/// `None`: not what it seemed to be so far.
fn said(piece: &Piece) -> Option<&str> {
    match piece {
        Piece::Text(said) | Piece::Reasoning(said) => Some(said),
        Piece::Reconsidered => None,
    }
}

/// What readers were told does not hold any more; this does.
fn restart<H: Host, R: Reader>(session: &mut Session<'_, H, R>, round: &Round, told: &mut Told) {
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
