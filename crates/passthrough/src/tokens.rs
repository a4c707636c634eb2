//! Estimates the tokens of a request, without knowing its form: all texts in it count, names of fields do not.

use std::fmt;

use domain::tokens::estimate;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a picture, a sound or a file counts, which comes as one long text in base64. Providers count a picture of usual size like this.
const MEDIA_TOKENS: u64 = 1_000;
/// No word is longer, so a text of this length without a space is no language.
const MIN_MEDIA_BYTES: usize = 2_048;

/// The tokens of a value. `None`: it is nested deeper than JSON is read (128), or no JSON.
pub(crate) fn of(value: &RawValue) -> Option<u64> {
    Tokens.deserialize(&mut serde_json::Deserializer::from_str(value.get())).ok()
}

fn of_text(text: &str) -> u64 {
    let is_media = text.starts_with("data:")
        || text.get(..MIN_MEDIA_BYTES).is_some_and(|beginning| !beginning.contains(char::is_whitespace));
    if is_media { MEDIA_TOKENS } else { estimate(text) }
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
    }

    #[test]
    fn what_is_nested_without_end_is_not_followed() {
        assert_eq!(tokens(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))), None);
    }
}
