//! How many tokens a text has, estimated. A real tokenizer carries megabytes of vocabulary, which every instance would have to load; the
//! estimate is compared with the server's count in the log, and with a real tokenizer in the tests. Must not know messages.

/// What was counted so far.
#[derive(Clone, Copy, Default)]
struct Count {
    letters: u64,
    pairs: u64,
    whole: u64,
}

impl Count {
    /// A bit more than four letters make a token, two signs or digits do, and so do two letters of other alphabets; characters of the
    /// scripts beyond make about one each.
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
pub(crate) fn estimate(text: &str) -> u64 {
    let mut count = Count::default();
    text.chars().for_each(|character| count.add(character));
    count.tokens()
}

/// The longest beginning of a text that has no more tokens than that.
pub(crate) fn prefix(text: &str, max_tokens: u64) -> &str {
    // No character is more than one.
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
