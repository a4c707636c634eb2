//! Finds the words of a text. Where a language writes no spaces between them, a word is every pair of neighbouring characters, as Lucene's CJK analyzer
//! has it: nothing has to know the language's dictionary.

use std::ops::Range;

use icu_properties::props::Script;

use crate::fold::{is_invisible, is_of, is_word, lowercase, without_accents};

/// How much of a text is read, for whatever: 30 ms for the index in a component, in which it answers nobody else. Most texts of that length have more terms
/// than are kept.
const MAX_TEXT_BYTES: usize = 128 * 1024;

/// A longer word is cut: the longest in use are shorter, and what is longer is no word.
pub(crate) const MAX_WORD_CHARS: usize = 40;

/// A run of characters between spaces and signs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Run<'a> {
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
    pub(crate) text: &'a str,
    /// Whether its words are pairs of its characters.
    pub(crate) is_unspaced: bool,
}

/// What one run says: a word, or the pairs in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Word {
    /// In lower case, with accents.
    pub(crate) text: String,
    /// Without accents.
    pub(crate) folded: String,
    pub(crate) is_pair: bool,
}

/// The part of a text that is read.
pub(crate) fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}

/// The runs of a text.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        // A mark alone is no word: it stands upon a sign.
        let (start, first) = letters.by_ref().find(|(_, letter)| is_word(*letter) && letter.is_alphanumeric())?;
        let is_unspaced = is_unspaced(first);
        let mut end = start.saturating_add(first.len_utf8());
        while let Some((at, letter)) = letters.peek().copied() {
            let belongs = if is_word(letter) {
                // A mark belongs to the letter before it, whatever its own script.
                self::is_unspaced(letter) == is_unspaced || !letter.is_alphanumeric()
            } else {
                is_invisible(letter)
            };
            if !belongs {
                break;
            }
            end = at.saturating_add(letter.len_utf8());
            letters.next();
        }
        Some(Run { range: start..end, text: text.get(start..end)?, is_unspaced })
    })
}

impl Run<'_> {
    /// The words of the run: one, or each pair of characters and the last character alone, so that any single one is found as the beginning of a word.
    pub(crate) fn words(&self) -> Vec<Word> {
        if !self.is_unspaced {
            let cut: String = self.text.chars().filter(|letter| !is_invisible(*letter)).take(MAX_WORD_CHARS).collect();
            let text = lowercase(&cut);
            let folded = without_accents(&text);
            return if folded.is_empty() { Vec::new() } else { vec![Word { text, folded, is_pair: false }] };
        }
        let letters: Vec<char> = without_accents(&lowercase(self.text)).chars().collect();
        let pairs = letters.windows(2).map(|pair| pair.iter().collect::<String>());
        let last = letters.last().map(char::to_string);
        pairs.chain(last).map(|pair| Word { text: pair.clone(), folded: pair, is_pair: true }).collect()
    }
}

/// The scripts that write no spaces between words, or, like Hangul, glue too much to them.
const UNSPACED: [Script; 10] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Bopomofo,
    Script::Thai,
    Script::Lao,
    Script::Tibetan,
    Script::Myanmar,
    Script::Khmer,
];

fn is_unspaced(letter: char) -> bool {
    is_of(letter, &UNSPACED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        runs(text).flat_map(|run| run.words()).map(|word| word.folded).collect()
    }

    #[test]
    fn words_end_at_spaces_and_signs() {
        assert_eq!(
            words("Don't panic: it's 3.14, snake_case & e-mail@host.org"),
            ["don", "t", "panic", "it", "s", "3", "14", "snake", "case", "e", "mail", "host", "org"]
        );
        assert_eq!(words("  —!? "), Vec::<String>::new());
    }

    #[test]
    fn without_spaces_words_are_pairs_and_the_last_character() {
        assert_eq!(words("東京都"), ["東京", "京都", "都"]);
        assert_eq!(words("Rustを学ぶ"), ["rust", "を学", "学ぶ", "ぶ"]);
        assert_eq!(words("สวัสดี").len(), 6);
        assert_eq!(words("가나"), ["가나", "나"]);
    }

    #[test]
    fn emoji_are_signs_however_they_are_written() {
        for text in ["❤️", "👍🏽", "👨‍👩‍👧", "🇫🇷", "☺\u{fe0e}", "🏴\u{e0067}\u{e007f}", "⚠️", "\u{fe0f}\u{301}"]
        {
            assert_eq!(words(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(words("I ❤️you❤️, 1️⃣ time"), ["i", "you", "1", "time"]);
        assert_eq!(words("葛\u{e0100}城"), ["葛城", "城"]);
    }

    #[test]
    fn marks_belong_to_the_letters_before_them() {
        assert_eq!(words("नमस्ते दुनिया"), ["नमस्ते", "दुनिया"]);
        assert_eq!(words("e\u{301}te\u{301} می\u{200c}خواهم"), ["ete", "میخواهم"]);
        assert_eq!(words("か\u{3099}ー"), ["がー", "ー"]);
    }

    #[test]
    fn where_a_run_stands_is_known() {
        let text = "Ein Café, 東京";
        let found: Vec<_> = runs(text).map(|run| text.get(run.range).unwrap()).collect();
        assert_eq!(found, ["Ein", "Café", "東京"]);
    }

    #[test]
    fn a_long_word_is_cut_and_a_long_run_is_not() {
        assert_eq!(words(&"x".repeat(100_000))[0].chars().count(), MAX_WORD_CHARS);
        assert_eq!(words(&"漢".repeat(1000)).len(), 1000);
    }
}
