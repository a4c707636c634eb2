//! An answer in the form of Chat Completions, made of the frames of a run's events as they come: chunks of a stream, or one object at the end. A chunk has
//! what has come since the last one was taken, so who reads slowly gets fewer and longer ones, and only text waits for them.
//!
//! What the model says before it calls tools is a part of the answer: a program sees it as it comes, or not at all. Only where the answer must have a form
//! is it held back until it is known to be the last.

use domain::{Usage, event::frames};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Keeps proxies from closing a connection over which no text comes: a comment (WHATWG HTML, section 9.2.6), which clients pass over.
const STILL_THERE: &str = ":\n\n";
/// After so many pieces of a run that have no text for the program, such as reasoning, one comment is sent: every few seconds, not with each.
const SILENT_PIECES: u32 = 32;
/// The end of a stream.
const DONE: &str = "data: [DONE]\n\n";
/// Between what a model says before a call, and after it.
const BETWEEN: &str = "\n\n";

/// How an answer ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It is whole, or cut where the model or its length ended it.
    Complete,
    /// It failed.
    Failed(Failure),
}

/// Why there is no answer, or no more of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// An answer that comes.
#[derive(Clone, Debug)]
pub struct Answer {
    id: String,
    model: String,
    created_s: i64,
    streams: bool,
    wants_usage: bool,
    holds_back: bool,
    /// All of it that counts, as far as it was not taken for a stream.
    text: String,
    /// The text of rounds that ended with calls ends here.
    settled: usize,
    /// Something was said before the last calls, and since.
    has_said_before: bool,
    has_said_since: bool,
    /// Pieces since something was taken.
    silent: u32,
    /// A comment is to be sent, unless there is something else.
    is_comment_due: bool,
    finish_reason: String,
    usage: Option<Usage>,
    ending: Option<Ending>,
    /// The end of a stream was taken.
    is_end_taken: bool,
}

/// What is read of the data of a frame.
#[derive(Deserialize)]
struct Data {
    content: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    code: Option<String>,
    finish_reason: Option<String>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: &'a [Choice<'a>],
    /// Every chunk says it if it was asked for, and all but the last say null.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: (),
    finish_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl Answer {
    /// An answer that nothing has come of: its id, and the model as the program named it. `created_s`: seconds since 1970.
    #[must_use]
    pub const fn new(id: String, model: String, created_s: i64) -> Self {
        Self {
            id,
            model,
            created_s,
            streams: false,
            wants_usage: false,
            holds_back: false,
            text: String::new(),
            settled: 0,
            has_said_before: false,
            has_said_since: false,
            silent: 0,
            is_comment_due: false,
            finish_reason: String::new(),
            usage: None,
            ending: None,
            is_end_taken: false,
        }
    }

    /// It comes piece by piece, and reports its tokens at the end if that is wanted.
    #[must_use]
    pub fn streamed(self, wants_usage: bool) -> Self {
        Self { streams: true, wants_usage, ..self }
    }

    /// Only what is said after all calls is the answer.
    #[must_use]
    pub fn in_a_form(self) -> Self {
        Self { holds_back: true, ..self }
    }

    /// How it ended; `None`: it goes on.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The beginning of a stream.
    #[must_use]
    pub fn beginning(&self) -> String {
        self.chunk(Delta { role: Some("assistant"), content: Some("") }, None)
    }

    /// Hears frames of the run as its readers get them.
    pub fn feed(&mut self, written: &str) {
        let mut is_comment = true;
        for frame in frames(written) {
            is_comment = false;
            if self.ending.is_some() {
                break;
            }
            match frame.event {
                "token" => self.say(&frame.content()),
                "tool_request" => self.settle(),
                // Nobody is there who could decide, so no run of a program asks. If one did, it would wait for a day.
                "tool_approval" => self.fail(
                    "run_failed",
                    "A tool needs a person's approval, and nobody can be asked here. Ask in the chat, or set the tool's policy to allow.",
                ),
                "state" if frame.content() == "restarted" => self.restart(),
                "error" => match serde_json::from_str::<Data>(frame.data) {
                    Ok(Data { content, metadata }) => {
                        self.fail(metadata.code.as_deref().unwrap_or("run_failed"), &content);
                    }
                    Err(_) => self.fail("run_failed", "The answer failed."),
                },
                "complete" => self.complete(frame.data),
                _ => {}
            }
        }
        self.silent = self.silent.saturating_add(1);
        self.is_comment_due |= is_comment || self.silent >= SILENT_PIECES;
    }

    /// It will not go on, and why.
    pub fn break_off(&mut self, code: &str, message: &str) {
        if self.ending.is_none() {
            self.fail(code, message);
        }
    }

    /// Whether [`Self::take`] has anything.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.streams && !self.is_end_taken && (self.has_text() || self.ending.is_some() || self.is_comment_due)
    }

    /// What has come of a stream since the last time, in its form.
    #[must_use]
    pub fn take(&mut self) -> String {
        let mut out = String::new();
        if !self.has_more() {
            return out;
        }
        if self.has_text() {
            self.settled = 0;
            let text = std::mem::take(&mut self.text);
            out.push_str(&self.chunk(Delta { content: Some(&text), ..Delta::default() }, None));
        }
        match &self.ending {
            Some(Ending::Complete) => {
                out.push_str(&self.chunk(Delta::default(), Some(&self.finish_reason)));
                if self.wants_usage {
                    out.push_str(&self.event(&[], Some(self.usage)));
                }
                out.push_str(DONE);
            }
            Some(Ending::Failed(Failure { code, message })) => {
                let error = json!({ "message": message, "type": "server_error", "param": null, "code": code });
                out.push_str(&frame(&json!({ "error": error })));
            }
            None if out.is_empty() => out.push_str(STILL_THERE),
            None => {}
        }
        (self.silent, self.is_comment_due, self.is_end_taken) = (0, false, self.ending.is_some());
        out
    }

    /// The answer as one object, when it has ended.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn whole(&self) -> Result<Value, Failure> {
        match &self.ending {
            Some(Ending::Complete) => {}
            Some(Ending::Failed(failure)) => return Err(failure.clone()),
            None => {
                return Err(Failure { code: "run_failed".to_owned(), message: "The answer has no end.".to_owned() });
            }
        }
        let message = json!({ "role": "assistant", "content": self.text, "refusal": null });
        let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": self.finish_reason });
        Ok(json!({
            "id": self.id, "object": "chat.completion", "created": self.created_s, "model": self.model, "choices": [choice],
            "usage": self.usage,
        }))
    }

    /// Whether there is text that a stream may have by now.
    const fn has_text(&self) -> bool {
        !self.text.is_empty() && (!self.holds_back || matches!(self.ending, Some(Ending::Complete)))
    }

    fn say(&mut self, text: &str) {
        if self.has_said_before && !self.has_said_since {
            self.text.push_str(BETWEEN);
        }
        self.has_said_since = true;
        self.text.push_str(text);
    }

    /// The model calls tools, so what it has said is not its last word.
    fn settle(&mut self) {
        if self.holds_back {
            self.text.clear();
        } else {
            self.has_said_before |= self.has_said_since;
        }
        self.has_said_since = false;
        self.settled = self.text.len();
    }

    /// Somebody else has taken the run up, and the answer is written anew since the last call.
    fn restart(&mut self) {
        if self.streams && !self.holds_back && self.has_said_since {
            return self.fail("answer_restarted", "The answer was begun anew in the middle of it. Ask again.");
        }
        self.text.truncate(self.settled);
        self.has_said_since = false;
    }

    fn complete(&mut self, data: &str) {
        let Ok(Data { metadata, .. }) = serde_json::from_str(data) else {
            return self.fail("run_failed", "The end of the answer cannot be read.");
        };
        let reason = metadata.finish_reason.unwrap_or_default();
        if reason == "cancelled" {
            return self.fail("cancelled", "The answer was stopped.");
        }
        self.finish_reason = reason;
        self.usage = metadata.usage;
        self.ending = Some(Ending::Complete);
    }

    fn fail(&mut self, code: &str, message: &str) {
        self.ending = Some(Ending::Failed(Failure { code: code.to_owned(), message: message.to_owned() }));
    }

    fn chunk(&self, delta: Delta<'_>, finish_reason: Option<&str>) -> String {
        self.event(&[Choice { index: 0, delta, logprobs: (), finish_reason }], self.wants_usage.then_some(None))
    }

    fn event(&self, choices: &[Choice<'_>], usage: Option<Option<Usage>>) -> String {
        let (id, model, created) = (self.id.as_str(), self.model.as_str(), self.created_s);
        frame(&Chunk { id, object: "chat.completion.chunk", created, model, choices, usage })
    }
}

fn frame(data: &impl Serialize) -> String {
    // These types cannot fail to serialize.
    format!("data: {}\n\n", serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned()))
}

#[cfg(test)]
mod tests;
