//! Phrases: words that must follow each other as they were typed, but for case and accents.

use crate::words::{Word, beginning, runs};

/// The words of a text in order, small ones too. What was the last character of a run without spaces is in the pair before it.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut all = Vec::new();
    for run in runs(text) {
        let mut words = run.words();
        if run.is_unspaced && words.len() > 1 {
            words.pop();
        }
        all.extend(words);
    }
    all
}

/// Whether a text has each of the phrases, in its part that is read. Takes time for each word of the text and of the phrases together.
pub(crate) fn has_all(text: &str, phrases: &[Vec<String>]) -> bool {
    let words: Vec<_> = words(beginning(text)).into_iter().map(|word| word.folded).collect();
    phrases.iter().all(|phrase| words.windows(phrase.len().max(1)).any(|window| window == phrase.as_slice()))
}
