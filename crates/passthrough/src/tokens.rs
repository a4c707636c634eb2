//! Estimates the tokens of a request, without knowing its form: all texts in it count, names of fields do not.

use domain::tokens::estimate;
use serde_json::value::RawValue;

use crate::words::{Word, words};

/// What a picture, a sound or a file counts at least, which comes as one long text in base64. Providers count a picture of usual size like this.
const MEDIA_TOKENS: u64 = 1_000;
/// How many bytes of a large one count as a token.
const MEDIA_BYTES_PER_TOKEN: u64 = 1_500;
/// A text of which this much is base64 is no language.
const MIN_MEDIA_BYTES: usize = 2_048;

/// The tokens of a value.
pub(crate) fn of(value: &RawValue) -> u64 {
    let tokens = words(value).map(|word| match word {
        Word::Text(text) => of_text(&text.read()),
        // A number may be a token itself: texts to embed can be written so.
        Word::Value => 1,
        Word::Open | Word::Close | Word::Name(_) | Word::Null => 0,
    });
    tokens.sum()
}

fn of_text(text: &str) -> u64 {
    if is_media(text) { MEDIA_TOKENS.max(text.len() as u64 / MEDIA_BYTES_PER_TOKEN) } else { estimate(text) }
}

/// Whether a text is something else in base64: an address that begins with `data:`, or the bare value.
fn is_media(text: &str) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
    let value = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((_, value)) => value,
        None => text,
    };
    value.as_bytes().get(..MIN_MEDIA_BYTES).is_some_and(|beginning| beginning.iter().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(json: &str) -> u64 {
        of(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn texts_count_wherever_they_are_and_pictures_do_not_count_as_texts() {
        let sentence = "The quick brown fox jumps over the lazy dog.";
        let plain = tokens(&format!(r#"[{{"role": "user", "content": "{sentence}"}}]"#));
        assert!((estimate(sentence)..estimate(sentence) + 4).contains(&plain), "{plain}");
        let picture = format!("data:image/png;base64,{}", "iVBORw0K".repeat(50_000));
        let seen = tokens(&format!(r#"{{"content": [{{"image_url": {{"url": "{picture}"}}}}]}}"#));
        assert_eq!(seen, MEDIA_TOKENS);
        assert_eq!(tokens(&format!("[\"{}\"]", "QUJD".repeat(1_000))), MEDIA_TOKENS, "a sound has no address");
        assert_eq!(tokens("[[101, 2023, 102], [101, 102]]"), 5);
        let long = format!("\"data:image/png;base64,{}\"", "A".repeat(6_000_000));
        assert_eq!(tokens(&long), 4_000, "a large one counts more");
    }

    #[test]
    fn texts_without_spaces_count_as_texts() {
        for text in ["今天天气很好".repeat(1_000), "{'a':1,".repeat(1_000), format!("data: {}", "words ".repeat(1_000))]
        {
            assert_eq!(tokens(&format!("\"{text}\"")), estimate(&text));
        }
        // Half of a character, as programs write it that cut a text: it goes on, and is counted as it is written.
        assert_eq!(tokens(r#"["\ud83d words"]"#), estimate(r#""\ud83d words""#));
    }

    #[test]
    fn nothing_is_nested_too_deeply() {
        assert_eq!(tokens(&format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))), 1);
    }
}
