//! An answer on its way: whole events go on at once as they came, and the tokens that are reported in them are remembered.

use memchr::{memchr_iter, memmem, memrchr_iter};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{
    Endpoint,
    usage::{self, Usage},
};

/// The beginning of an event that waits for its end. A longer one, which may carry a picture, goes on in pieces and unread.
const MAX_HELD_BYTES: usize = 256 * 1024;
/// How much of an answer is kept until its end, in case that nobody reports its tokens and they must be estimated. What is longer is estimated by its
/// length. Sixteen answers of an instance have eight megabytes.
const MAX_KEPT_BYTES: usize = 512 * 1024;
/// How much of a body is looked at again with what follows, because a report may come in two pieces. Reports have a few hundred bytes.
const OVERLAP_BYTES: usize = 2 * 1024;

/// An answer that is passed on.
#[derive(Debug)]
pub struct Answer {
    endpoint: Endpoint,
    is_stream: bool,
    /// Whether reports of tokens that the program has not asked for are left out.
    hides_usage: bool,
    /// Of a stream, the event whose end has not come; of a body, what is looked at again.
    held: Vec<u8>,
    kept: Vec<u8>,
    bytes: u64,
    usage: Option<Usage>,
}

/// A chunk of Chat Completions. The one that only reports has no choices.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<IgnoredAny>>,
}

/// What says in a stream or in a body that there is no answer.
#[derive(Deserialize)]
struct Failure {
    error: Option<IgnoredAny>,
    choices: Option<IgnoredAny>,
    r#type: Option<String>,
}

impl Answer {
    /// For a stream of events, or for a body that is one JSON text.
    #[must_use]
    pub const fn new(endpoint: Endpoint, is_stream: bool, hides_usage: bool) -> Self {
        Self { endpoint, is_stream, hides_usage, held: Vec::new(), kept: Vec::new(), bytes: 0, usage: None }
    }

    /// Whether it is a stream of events.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// The tokens that were reported so far.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The beginning of the answer, and the length of all of it, in bytes.
    #[must_use]
    pub fn kept(&self) -> (&[u8], u64) {
        (&self.kept, self.bytes)
    }

    /// Takes a piece of the body and passes on what can go on.
    pub fn feed(&mut self, piece: &[u8], mut pass: impl FnMut(&[u8])) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        // Vectors have megabytes and no tokens.
        if self.endpoint != Endpoint::Embeddings {
            let room = MAX_KEPT_BYTES.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        if !self.is_stream {
            self.look_for_report(piece);
            return pass(piece);
        }
        let Some((whole, rest)) = end_of_events(piece).and_then(|end| piece.split_at_checked(end)) else {
            self.held.extend_from_slice(piece);
            // The end may lie on the border of two pieces.
            if let Some(end) = end_of_events(&self.held) {
                let whole: Vec<u8> = self.held.drain(..end).collect();
                self.pass_on(&whole, &mut pass);
            } else if self.held.len() > MAX_HELD_BYTES {
                pass(&std::mem::take(&mut self.held));
            }
            return;
        };
        if self.held.is_empty() {
            self.pass_on(whole, &mut pass);
        } else {
            let mut first = std::mem::take(&mut self.held);
            first.extend_from_slice(whole);
            self.pass_on(&first, &mut pass);
        }
        self.held.extend_from_slice(rest);
    }

    /// The body has ended as it should.
    pub fn finish(&mut self, mut pass: impl FnMut(&[u8])) {
        let rest = std::mem::take(&mut self.held);
        if self.is_stream && !rest.is_empty() {
            self.pass_on(&rest, &mut pass);
        }
        // All of it is here, so it is known where the report is.
        if !self.is_stream && self.kept.len() as u64 == self.bytes {
            self.usage = usage::of(&self.kept);
        }
    }

    /// Looks for a report in a piece of a body. Responses repeat the request, so there only all of it says where the report is.
    fn look_for_report(&mut self, piece: &[u8]) {
        if self.endpoint != Endpoint::Responses {
            self.held.extend_from_slice(piece);
            self.usage = usage::last(&self.held).or(self.usage);
            let seen = self.held.len().saturating_sub(OVERLAP_BYTES);
            self.held.drain(..seen);
        }
    }

    /// What a stream that breaks off ends with, so that its reader does not take it for whole: clients read an error in the place of a chunk. Half of an
    /// event is not passed on.
    #[must_use]
    pub fn broken_off(&self, message: &str) -> Option<String> {
        let (code, kind) = ("provider_broke_off", "server_error");
        let error = serde_json::json!({ "message": message, "type": kind, "param": null, "code": code });
        match self.endpoint {
            _ if !self.is_stream => None,
            Endpoint::Responses => {
                let event = serde_json::json!({ "type": "error", "message": message, "code": code, "param": null });
                Some(format!("event: error\ndata: {event}\n\n"))
            }
            Endpoint::ChatCompletions | Endpoint::Embeddings => {
                Some(format!("data: {}\n\n", serde_json::json!({ "error": error })))
            }
        }
    }

    /// Passes on whole events. Nearly all of them report nothing.
    fn pass_on(&mut self, events: &[u8], pass: &mut impl FnMut(&[u8])) {
        if !usage::is_named(events) {
            return pass(events);
        }
        for event in each(events) {
            let reported = data(event).and_then(usage::of);
            self.usage = reported.or(self.usage);
            if !(self.hides_usage && reported.is_some() && has_no_choices(event)) {
                pass(event);
            }
        }
    }
}

/// The length of the whole events in some bytes: up to the last empty line. `None`: there is none.
fn end_of_events(bytes: &[u8]) -> Option<usize> {
    memrchr_iter(b'\n', bytes).find(|at| is_empty_line(bytes, *at)).map(|at| at.saturating_add(1))
}

/// Whether the line that ends at this place is empty, so that an event ends with it.
fn is_empty_line(bytes: &[u8], end: usize) -> bool {
    let before = bytes.get(..end).unwrap_or_default();
    before.ends_with(b"\n") || before.ends_with(b"\n\r")
}

/// Each event with the empty line behind it, and what is left without one.
fn each(events: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b'\n', events).filter(|at| is_empty_line(events, *at)).map(|at| at.saturating_add(1));
    let mut begin = 0;
    let parts = ends.chain([events.len()]).map(move |end| {
        let event = events.get(begin..end).unwrap_or_default();
        begin = end;
        event
    });
    parts.filter(|event| !event.is_empty())
}

/// The text of an event.
fn data(event: &[u8]) -> Option<&[u8]> {
    event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data:")).map(<[u8]>::trim_ascii)
}

/// Whether a chunk says nothing.
fn has_no_choices(event: &[u8]) -> bool {
    let chunk = data(event).and_then(|data| serde_json::from_slice::<Chunk>(data).ok());
    chunk.and_then(|chunk| chunk.choices).is_some_and(|choices| choices.is_empty())
}

/// Whether the first piece of an answer says that there is none, with a status that says otherwise: an error in the place of an event or of a body.
#[must_use]
pub fn is_failure(first: &[u8]) -> bool {
    if memmem::find(first, b"error").is_none() {
        return false;
    }
    let text = each(first).next().and_then(data).unwrap_or(first);
    let failure = serde_json::from_slice::<Failure>(text);
    failure.is_ok_and(|failure| {
        failure.choices.is_none() && (failure.error.is_some() || failure.r#type.as_deref() == Some("error"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a \\\"usage\\\":{\"}}],\"usage\":null}\n\n";
    const REPORT: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    /// A stream of Chat Completions.
    fn chat(hides_usage: bool) -> Answer {
        Answer::new(Endpoint::ChatCompletions, true, hides_usage)
    }

    /// What is passed on of pieces.
    fn passed(answer: &mut Answer, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        for piece in pieces {
            answer.feed(piece, |bytes| out.extend_from_slice(bytes));
        }
        answer.finish(|bytes| out.extend_from_slice(bytes));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn events_go_on_at_once() {
        let mut answer = chat(true);
        let mut out = Vec::new();
        answer.feed(TEXT.as_bytes(), |bytes| out.extend_from_slice(bytes));
        assert_eq!(out, TEXT.as_bytes());
    }

    proptest! {
        #[test]
        fn a_report_is_read_and_left_out_wherever_a_stream_is_cut(cuts in prop::collection::vec(0_usize..200, 0..8), with_cr: bool) {
            let stream = [TEXT, TEXT, REPORT, DONE].concat();
            let expected = [TEXT, TEXT, DONE].concat();
            let (stream, expected) = match with_cr {
                true => (stream.replace('\n', "\r\n"), expected.replace('\n', "\r\n")),
                false => (stream, expected),
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream.as_bytes()[cut[0]..cut[1]]).collect();
            let mut hiding = chat(true);
            prop_assert_eq!(passed(&mut hiding, &pieces), expected);
            prop_assert_eq!(hiding.usage(), Some(Usage { prompt_tokens: 9, completion_tokens: 4 }));
            let mut showing = chat(false);
            prop_assert_eq!(passed(&mut showing, &pieces), stream);
            prop_assert_eq!(showing.usage(), hiding.usage());
        }

        #[test]
        fn a_body_goes_on_byte_for_byte_and_its_report_is_found(cut in 0_usize..4_000) {
            let text = "x".repeat(3_000);
            let body = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":4}}}}");
            let (one, other) = body.split_at(cut.min(body.len()));
            let mut answer = Answer::new(Endpoint::ChatCompletions, false, false);
            prop_assert_eq!(passed(&mut answer, &[one.as_bytes(), other.as_bytes()]), body.clone());
            prop_assert_eq!(answer.usage(), Some(Usage { prompt_tokens: 9, completion_tokens: 4 }));
        }
    }

    #[test]
    fn a_report_beside_the_last_words_is_no_reason_to_leave_them_out() {
        let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
        let mut answer = chat(true);
        assert_eq!(passed(&mut answer, &[last.as_bytes()]), last);
        assert_eq!(answer.usage(), Some(Usage { prompt_tokens: 1, completion_tokens: 1 }));
    }

    #[test]
    fn an_event_that_is_too_long_to_wait_for_goes_on_unread() {
        let long = format!("data: {}", "x".repeat(MAX_HELD_BYTES));
        let mut answer = chat(true);
        let mut out = 0;
        answer.feed(long.as_bytes(), |bytes| out += bytes.len());
        assert_eq!((out, answer.held.len()), (long.len(), 0));
    }

    #[test]
    fn of_a_long_answer_the_beginning_is_kept() {
        let mut answer = chat(false);
        for _ in 0..10_000 {
            answer.feed(TEXT.as_bytes(), |_| {});
        }
        let (kept, bytes) = answer.kept();
        assert!(kept.len() <= MAX_KEPT_BYTES && answer.kept.capacity() <= 2 * MAX_KEPT_BYTES);
        assert_eq!(bytes, 10_000 * TEXT.len() as u64);
    }

    #[test]
    fn vectors_report_at_their_end_however_long_they_are() {
        let mut answer = Answer::new(Endpoint::Embeddings, false, false);
        let body = format!("{{\"data\":[{}0],\"usage\":{{\"prompt_tokens\":5}}}}", "0.25,".repeat(200_000));
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(999).collect();
        assert_eq!(passed(&mut answer, &pieces), body);
        assert_eq!(answer.usage(), Some(Usage { prompt_tokens: 5, completion_tokens: 0 }));
    }

    #[test]
    fn a_body_that_is_too_long_to_keep_reports_at_its_end() {
        let logprobs = "0.25,".repeat(200_000);
        let body = format!(
            "{{\"choices\":[{{\"logprobs\":[{logprobs}0]}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":7}}}}"
        );
        let pieces: Vec<&[u8]> = body.as_bytes().chunks(999).collect();
        let mut answer = Answer::new(Endpoint::ChatCompletions, false, false);
        assert_eq!(passed(&mut answer, &pieces), body);
        assert_eq!(answer.usage(), Some(Usage { prompt_tokens: 5, completion_tokens: 7 }));
        assert_eq!(answer.kept().0, &body.as_bytes()[..MAX_KEPT_BYTES]);
        // What a program sent may be repeated there.
        let mut answer = Answer::new(Endpoint::Responses, false, false);
        assert_eq!((passed(&mut answer, &pieces), answer.usage()), (body, None));
    }

    #[test]
    fn what_broke_off_is_not_taken_for_whole() {
        let mut answer = chat(true);
        answer.feed(b"data: {\"choices\"", |_| panic!("half of an event"));
        let said = answer.broken_off("It broke off.").unwrap();
        assert!(is_failure(said.as_bytes()) && said.ends_with("\n\n"), "{said}");
        let said = Answer::new(Endpoint::Responses, true, false).broken_off("It broke off.").unwrap();
        assert!(is_failure(said.as_bytes()) && said.starts_with("event: error\n"), "{said}");
        assert_eq!(Answer::new(Endpoint::Responses, false, false).broken_off("x"), None, "its body is cut");
    }

    #[test]
    fn an_error_in_the_place_of_an_answer_is_one() {
        for failure in [
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
            "{\"error\":\"overloaded\"}",
            "event: error\ndata: {\"type\":\"error\",\"code\":\"x\"}\n\n",
        ] {
            assert!(is_failure(failure.as_bytes()), "{failure}");
        }
        for answer in [
            TEXT,
            "data: {\"choices\":[{\"delta\":{\"content\":\"an error\"}}]}\n\n",
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n",
            "{\"choices\":[],\"error\":{}}",
            ": error\n\n",
            "",
        ] {
            assert!(!is_failure(answer.as_bytes()), "{answer}");
        }
    }
}
