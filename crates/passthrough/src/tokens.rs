//! Estimates the tokens of a request, without knowing its form: all texts in it count, names of fields do not.

use std::fmt;

use domain::tokens::estimate;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a picture, a sound or a file counts at least, which comes as one long text in base64. Providers count a picture of usual size like this.
const MEDIA_TOKENS: u64 = 1_000;
/// How many bytes of a large one count as a token.
const MEDIA_BYTES_PER_TOKEN: u64 = 1_500;
/// A text of which this much is base64 is no language.
const MIN_MEDIA_BYTES: usize = 2_048;
/// What text that cannot be read counts, such as half of a character: bytes for a token.
const UNREAD_BYTES_PER_TOKEN: usize = 4;

/// The tokens of a value. `None`: it is nested deeper than JSON is read (128).
pub(crate) fn of(value: &RawValue) -> Option<u64> {
    match Tokens.deserialize(&mut serde_json::Deserializer::from_str(value.get())) {
        Ok(tokens) => Some(tokens),
        // serde_json says it in words only.
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(_) => Some(value.get().len().div_ceil(UNREAD_BYTES_PER_TOKEN) as u64),
    }
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

/// Adds up a value. `serde_json` limits the depth.
#[derive(Clone, Copy)]
struct Tokens;

impl<'de> DeserializeSeed<'de> for Tokens {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tokens {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(1)
    }

    // A number may be a token itself: texts to embed can be written so.
    fn visit_i64<E>(self, _: i64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_u64<E>(self, _: u64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_f64<E>(self, _: f64) -> Result<u64, E> {
        Ok(1)
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut tokens = 0_u64;
        while let Some(more) = items.next_element_seed(self)? {
            tokens = tokens.saturating_add(more);
        }
        Ok(tokens)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<u64, A::Error> {
        let mut tokens = 0_u64;
        while fields.next_key::<IgnoredAny>()?.is_some() {
            tokens = tokens.saturating_add(fields.next_value_seed(self)?);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(json: &str) -> Option<u64> {
        of(&RawValue::from_string(json.to_owned()).unwrap())
    }

    #[test]
    fn texts_count_wherever_they_are_and_pictures_do_not_count_as_texts() {
        let sentence = "The quick brown fox jumps over the lazy dog.";
        let plain = tokens(&format!(r#"[{{"role": "user", "content": "{sentence}"}}]"#)).unwrap();
        assert!((estimate(sentence)..estimate(sentence) + 4).contains(&plain), "{plain}");
        let picture = format!("data:image/png;base64,{}", "iVBORw0K".repeat(50_000));
        let seen = tokens(&format!(r#"{{"content": [{{"image_url": {{"url": "{picture}"}}}}]}}"#)).unwrap();
        assert_eq!(seen, MEDIA_TOKENS);
        assert_eq!(tokens(&format!("[\"{}\"]", "QUJD".repeat(1_000))), Some(MEDIA_TOKENS), "a sound has no address");
        assert_eq!(tokens("[[101, 2023, 102], [101, 102]]"), Some(5));
        let long = format!("\"data:image/png;base64,{}\"", "A".repeat(6_000_000));
        assert_eq!(tokens(&long), Some(4_000), "a large one counts more");
    }

    #[test]
    fn texts_without_spaces_count_as_texts() {
        for text in ["今天天气很好".repeat(1_000), "{'a':1,".repeat(1_000), format!("data: {}", "words ".repeat(1_000))]
        {
            assert_eq!(tokens(&format!("\"{text}\"")), Some(estimate(&text)));
        }
        // Half of a character, as programs write it that cut a text: it goes on, and is counted by its length.
        assert_eq!(tokens(r#"["\ud83d words"]"#), Some(4));
    }

    #[test]
    fn what_is_nested_without_end_is_not_followed() {
        assert_eq!(tokens(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), None);
    }
}
