//! Which language a text is in, and what its words are without their endings.
//!
//! The script says it where one language of that script has a stemmer; among languages in Latin letters, the one does whose small words
//! (`stop_words.rs`) are the most frequent in the text. A guess that is wrong loses no endings: a query is stemmed in every language of its script
//! ([`stems`]), so whatever ending a text's language took off a word, the same word in a query loses too. But it loses the small words of the wrong language,
//! so one word does not decide: "war crimes" is not German.

use std::collections::{BTreeMap, BTreeSet};

use icu_properties::props::Script;
use rust_stemmers::{Algorithm, Stemmer};

use crate::{
    fold::{script_of, without_accents},
    stop_words,
    words::Run,
};

/// How many words are looked at to guess: more do not change the guess.
const GUESSED_FROM: usize = 400;

/// How many different small words that English does not have a text must have of another language.
const OWN_WORDS: usize = 2;

/// A language in Latin letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Language {
    /// Also where nothing says which language it is: names of things and titles without small words, code.
    English,
    Spanish,
    German,
    French,
    Portuguese,
    Italian,
    Dutch,
    Turkish,
    Swedish,
    Danish,
    Norwegian,
    Finnish,
    Romanian,
    Hungarian,
}

/// All of them, those first that are the likelier where two are as likely by the words.
pub(crate) const LATIN: [Language; 14] = [
    Language::English,
    Language::Spanish,
    Language::German,
    Language::French,
    Language::Portuguese,
    Language::Italian,
    Language::Dutch,
    Language::Turkish,
    Language::Swedish,
    Language::Danish,
    Language::Norwegian,
    Language::Finnish,
    Language::Romanian,
    Language::Hungarian,
];

impl Language {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::English => Algorithm::English,
            Self::Spanish => Algorithm::Spanish,
            Self::German => Algorithm::German,
            Self::French => Algorithm::French,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Italian => Algorithm::Italian,
            Self::Dutch => Algorithm::Dutch,
            Self::Turkish => Algorithm::Turkish,
            Self::Swedish => Algorithm::Swedish,
            Self::Danish => Algorithm::Danish,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Finnish => Algorithm::Finnish,
            Self::Romanian => Algorithm::Romanian,
            Self::Hungarian => Algorithm::Hungarian,
        }
    }

    /// Guesses the language of a text's words in Latin letters.
    pub(crate) fn guess<'a>(runs: impl Iterator<Item = Run<'a>>) -> Self {
        let mut small = BTreeMap::<String, usize>::new();
        for word in runs.filter(|run| !run.is_unspaced).take(GUESSED_FROM).flat_map(|run| run.words()) {
            if stop_words::is_small(&word.folded) {
                let count = small.entry(word.folded).or_default();
                *count = count.saturating_add(1);
            }
        }
        let (mut likeliest, mut most) = (Self::English, 0);
        for language in LATIN {
            let words = || small.iter().filter(|(word, _)| stop_words::contains(word, language));
            let own = words().filter(|(word, _)| !stop_words::contains(word, Self::English)).count();
            let count: usize = words().map(|(_, count)| *count).sum();
            if count > most && (language == Self::English || own >= OWN_WORDS) {
                (likeliest, most) = (language, count);
            }
        }
        likeliest
    }
}

/// The stemmer of a script other than Latin. Greek has none: that of `rust-stemmers` 1.2 panics on words such as "ισαισα".
fn of_script(word: &str) -> Option<Algorithm> {
    Some(match script_of(word)? {
        Script::Cyrillic => Algorithm::Russian,
        Script::Arabic => Algorithm::Arabic,
        Script::Tamil => Algorithm::Tamil,
        _ => return None,
    })
}

fn is_latin(word: &str) -> bool {
    script_of(word) == Some(Script::Latin)
}

fn stemmed(word: &str, algorithm: Algorithm) -> String {
    let stem = without_accents(&Stemmer::create(algorithm).stem(word));
    // A word must not become nothing.
    if stem.is_empty() { without_accents(word) } else { stem }
}

/// A lowercased word without its ending and accents, as a text of this language has it.
pub(crate) fn stem(word: &str, language: Language) -> String {
    match of_script(word) {
        Some(algorithm) => stemmed(word, algorithm),
        None if is_latin(word) => stemmed(word, language.algorithm()),
        None => without_accents(word),
    }
}

/// What a lowercased word becomes in the languages of its script, whichever they are.
pub(crate) fn stems(word: &str) -> BTreeSet<String> {
    LATIN.iter().map(|language| stem(word, *language)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::runs;

    #[test]
    fn the_small_words_say_the_language() {
        for (text, language) in [
            ("the weather in the mountains is cold", Language::English),
            ("das Wetter in den Bergen ist kalt und es regnet", Language::German),
            ("le temps dans les montagnes est froid", Language::French),
            ("el tiempo en las montañas es muy frío", Language::Spanish),
            ("o tempo nas montanhas não está muito frio", Language::Portuguese),
            ("il tempo nelle montagne è molto freddo", Language::Italian),
            ("het weer in de bergen is koud en nat", Language::Dutch),
            ("vädret i bergen är kallt och det regnar", Language::Swedish),
            ("sää vuorilla on kylmä ja siellä sataa", Language::Finnish),
            ("dağlarda hava çok soğuk ve yağmur var", Language::Turkish),
            ("vremea la munte este foarte rece și plouă", Language::Romanian),
            ("az idő a hegyekben nagyon hideg és esik", Language::Hungarian),
            ("cargo build --release", Language::English),
            // Each has one small word of another language, and the last one two, of which one is English too.
            ("war crimes", Language::English),
            ("hat trick", Language::English),
            ("die hard", Language::English),
            ("son birthday", Language::English),
            ("War crimes in Berlin", Language::English),
        ] {
            assert_eq!(Language::guess(runs(text)), language, "{text}");
        }
    }

    #[test]
    fn a_query_loses_every_ending_that_a_text_may_have_lost() {
        for (word, other) in [("running", "runs"), ("häuser", "hauses"), ("книги", "книга"), ("chevaux", "cheval")]
        {
            assert!(!stems(word).is_disjoint(&stems(other)), "{word} and {other}");
        }
    }
}
