//! Estimates the tokens of a text. A real tokenizer has megabytes of vocabulary, which every instance would have to load. The log compares the
//! estimate with the server's count; the tests compare it with a real tokenizer. Must not know messages.

/// The characters counted so far.
#[derive(Clone, Copy, Default)]
struct Count {
    letters: u64,
    pairs: u64,
    whole: u64,
}

impl Count {
    /// A token is a bit more than four letters, two signs or digits, or two letters of another alphabet. Characters of other scripts have about one
    /// token each.
    const fn add(&mut self, character: char) {
        match character {
            'a'..='z' | 'A'..='Z' | ' ' => self.letters += 1,
            '\0'..'\u{900}' => self.pairs += 1,
            _ => self.whole += 1,
        }
    }

    const fn tokens(self) -> u64 {
        (self.letters * 10).div_ceil(44) + self.pairs.div_ceil(2) + self.whole
    }
}

/// An estimate of a text's tokens.
#[must_use]
pub fn estimate(text: &str) -> u64 {
    let mut count = Count::default();
    text.chars().for_each(|character| count.add(character));
    count.tokens()
}

/// The longest beginning of a text with at most `max_tokens` tokens.
#[must_use]
pub fn prefix(text: &str, max_tokens: u64) -> &str {
    // No character has more than one token.
    if text.len() as u64 <= max_tokens {
        return text;
    }
    let mut count = Count::default();
    let end = text.char_indices().find(|(_, character)| {
        count.add(*character);
        count.tokens() > max_tokens
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_estimate_is_near_what_a_real_tokenizer_counts() {
        let tokenizer = tiktoken_rs::o200k_base().unwrap();
        let texts = [
            (
                "English",
                "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised to hear of it. ",
            ),
            (
                "German",
                "Die Gemeindeverwaltung bestätigte gestern, dass die Brücke über den Fluss frühestens im Herbst öffnet. ",
            ),
            ("Russian", "Вчера вечером мы долго гуляли по набережной и говорили о будущем. "),
            ("Chinese", "今天天气很好，我们去公园散步，然后一起吃晚饭。"),
            (
                "Rust",
                "fn main() {\n    let total: u64 = items.iter().map(|item| item.price * 2).sum();\n    println!(\"{total}\");\n}\n",
            ),
            ("JSON", "{\"id\": 17, \"name\": \"Ada Lovelace\", \"tags\": [\"a\", \"b\"], \"active\": true}\n"),
        ];
        for (name, text) in texts {
            let text = text.repeat(20);
            let counted = tokenizer.encode_ordinary(&text).len() as f64;
            let ratio = estimate(&text) as f64 / counted;
            assert!((0.7..=1.8).contains(&ratio), "{name}: {ratio:.2} of {counted}");
        }
    }

    proptest! {
        #[test]
        fn a_beginning_is_as_long_as_it_may_be(text in "\\PC{0,80}", max_tokens in 0_u64..40) {
            let beginning = prefix(&text, max_tokens);
            prop_assert!(text.starts_with(beginning) && estimate(beginning) <= max_tokens);
            let more: String = text.chars().take(beginning.chars().count() + 1).collect();
            prop_assert!(more == beginning || estimate(&more) > max_tokens);
        }
    }
}
