//! Finds the tokens that a provider reports, where a report belongs: nowhere else, because a provider also repeats what a program has sent.

use memchr::memmem;
use serde::Deserialize;

/// The field, as it is written.
const FIELD: &[u8] = b"\"usage\"";

/// More tokens than any answer costs: such a number is a fault, as in runs (`completions`).
const MAX_TOKENS: u64 = 1_000_000_000_000;

/// The events of Responses that end an answer. Others repeat the request.
const LAST_EVENTS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// Tokens as a provider counted them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

impl Usage {
    /// Of each number the larger one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.max(other.prompt_tokens),
            completion_tokens: self.completion_tokens.max(other.completion_tokens),
        }
    }
}

/// Chat Completions and Embeddings write the first two, Responses the last two.
#[derive(Deserialize)]
struct Reported {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// A chunk, an event, or a whole body.
#[derive(Deserialize)]
struct Text<'a> {
    r#type: Option<&'a str>,
    usage: Option<Reported>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    usage: Option<Reported>,
}

/// Whether an object with this name is somewhere in some bytes. It costs little, and nearly no chunk has one.
pub(crate) fn is_named(bytes: &[u8]) -> bool {
    let is_object = |at: usize| {
        let rest = bytes.get(at.saturating_add(FIELD.len())..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"{"))
    };
    memmem::find_iter(bytes, FIELD).any(is_object)
}

/// The report of an event or a body. `None`: there is none. Zeros say nothing: some servers report them.
pub(crate) fn of(text: &[u8]) -> Option<Usage> {
    let text = serde_json::from_slice::<Text<'_>>(text).ok()?;
    let is_last = text.r#type.is_some_and(|kind| LAST_EVENTS.contains(&kind));
    let of_response = text.response.filter(|_| is_last).and_then(|response| response.usage);
    valid(&text.usage.or(of_response)?)
}

/// The last report in the bytes of a body that repeats nothing of a request.
pub(crate) fn last(bytes: &[u8]) -> Option<Usage> {
    let rest = bytes.get(memmem::rfind(bytes, FIELD)?.saturating_add(FIELD.len())..)?;
    let object = rest.trim_ascii_start().strip_prefix(b":")?;
    valid(&serde_json::Deserializer::from_slice(object).into_iter::<Reported>().next()?.ok()?)
}

fn valid(reported: &Reported) -> Option<Usage> {
    let usage = Usage {
        prompt_tokens: reported.prompt_tokens.or(reported.input_tokens).unwrap_or_default(),
        completion_tokens: reported.completion_tokens.or(reported.output_tokens).unwrap_or_default(),
    };
    (usage != Usage::default() && usage.prompt_tokens.max(usage.completion_tokens) <= MAX_TOKENS).then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt_tokens: u64, completion_tokens: u64) -> Option<Usage> {
        Some(Usage { prompt_tokens, completion_tokens })
    }

    #[test]
    fn a_report_is_read_in_every_form_and_only_where_it_belongs() {
        for (json, expected) in [
            (r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#, usage(9, 4)),
            (r#"{"id":"r","usage" : {"input_tokens":7,"input_tokens_details":{},"output_tokens":2}}"#, usage(7, 2)),
            (r#"{"type":"response.completed","response":{"usage":{"input_tokens":7,"output_tokens":2}}}"#, usage(7, 2)),
            // It repeats a schema of the program's.
            (r#"{"type":"response.created","response":{"usage":{"input_tokens":1,"output_tokens":0}}}"#, None),
            (r#"{"type":"response.completed","response":{"tools":[{"usage":{"input_tokens":1}}],"usage":null}}"#, None),
            (r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#, None),
            (r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#, None),
            (r#"{"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":1}}"#, None),
            (r#"{"usage":"none"}"#, None),
            ("", None),
        ] {
            assert_eq!(of(json.as_bytes()), expected, "{json}");
        }
        assert_eq!(last(br#"{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}"#), usage(5, 0));
    }

    #[test]
    fn an_object_of_this_name_is_noticed_and_nothing_in_a_text() {
        assert!(is_named(br#"{"usage" : {"#) && is_named(br#"{"usage":null}{"usage":{"#));
        assert!(!is_named(br#"{"usage":null}"#) && !is_named(br#"{"content":"\"usage\":{"}"#));
    }
}
