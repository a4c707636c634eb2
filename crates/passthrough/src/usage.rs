//! Finds the tokens that a provider reports, without reading the rest of what it says.

use memchr::memmem;
use serde::Deserialize;

/// The field, as it is written. In a text, its quotation marks would have a backslash before them.
const FIELD: &[u8] = b"\"usage\"";

/// Tokens as a provider counted them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
}

/// Chat Completions and Embeddings write the first two, Responses the last two.
#[derive(Deserialize)]
struct Reported {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// Whether it may report something.
pub(crate) fn is_named(bytes: &[u8]) -> bool {
    memmem::find(bytes, FIELD).is_some()
}

/// The last report in some bytes of JSON. `None`: there is none, or it is not there as a whole. Zeros say nothing: some servers report them.
pub(crate) fn last(bytes: &[u8]) -> Option<Usage> {
    let mut before = bytes;
    while let Some(at) = memmem::rfind(before, FIELD) {
        let (earlier, rest) = before.split_at_checked(at)?;
        if let Some(usage) = rest.get(FIELD.len()..).and_then(value) {
            return Some(usage);
        }
        before = earlier;
    }
    None
}

/// The object behind the field's name.
fn value(rest: &[u8]) -> Option<Usage> {
    let object = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    if !object.starts_with(b"{") {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(object).into_iter::<Reported>();
    let reported = values.next()?.ok()?;
    let usage = Usage {
        prompt_tokens: reported.prompt_tokens.or(reported.input_tokens).unwrap_or_default(),
        completion_tokens: reported.completion_tokens.or(reported.output_tokens).unwrap_or_default(),
    };
    (usage != Usage::default()).then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_report_counts_in_every_form() {
        let usage = |prompt_tokens, completion_tokens| Some(Usage { prompt_tokens, completion_tokens });
        for (json, expected) in [
            (r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#, usage(9, 4)),
            (r#"{"response":{"usage" : {"input_tokens":7,"input_tokens_details":{},"output_tokens":2}}}"#, usage(7, 2)),
            (r#"{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}"#, usage(5, 0)),
            (r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}} {"usage":null}"#, usage(1, 1)),
            (r#"{"usage":{"prompt_tokens":1}} {"usage":{"prompt_tokens":2}}"#, usage(2, 0)),
            (r#"{"usage":{"prompt_tokens":3}} {"usage":{"prompt_to"#, usage(3, 0)),
            (r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#, None),
            (r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#, None),
            (r#"{"usage":"none"}"#, None),
            ("", None),
        ] {
            assert_eq!(last(json.as_bytes()), expected, "{json}");
        }
    }
}
