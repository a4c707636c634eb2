//! What the index keeps of a text: hashes of its terms with how often they are in it, and its words for the person's dictionary.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    IndexKey,
    key::Use,
    language::{Language, stem},
    spelling::bucket,
    stop_words,
    words::{Word, beginning, runs},
};

/// The most different terms of a text that are kept, the first ones. A text of 20,000 words has fewer; more have only lists and encoded data.
pub const MAX_TERMS: usize = 2048;

/// The longest word with digits in it that goes into the dictionary: beyond that they are identifiers and encoded data, which nobody begins to type.
const MAX_WITH_DIGITS_CHARS: usize = 12;

/// Words of the dictionary are filled up to a multiple of so many bytes: a sealed text is as long as its text, and lengths tell words apart.
const WORD_STEP_BYTES: usize = 16;

/// A term of a text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Posting {
    /// Its keyed hash.
    pub term: i64,
    /// How often it is in the text.
    pub count: u32,
}

/// A word for the person's dictionary, where the beginnings and misspellings of words are looked up. Its text is stored sealed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DictionaryWord {
    /// The keyed hash of how it begins: the words among which it is looked for.
    pub bucket: i64,
    /// The keyed hash of the word itself.
    pub word: i64,
    /// The keyed hash of the term that it became in this text.
    pub term: i64,
    /// The word, in lower case, filled up with spaces so that its length says little. It is sealed as it is; [`crate::Known`] takes it as it was opened.
    pub text: String,
}

/// What the index keeps of a text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Indexed {
    /// How many words were counted, small ones left out: BM25's length of the text.
    pub length: u32,
    /// Ordered by hash, so that their order says nothing.
    pub postings: Vec<Posting>,
    /// Ordered by hash.
    pub words: Vec<DictionaryWord>,
}

/// Reads a text for the index.
#[must_use]
pub fn index(text: &str, key: &IndexKey) -> Indexed {
    let text = beginning(text);
    let language = Language::guess(runs(text));
    let (mut length, mut counts, mut words) = (0_u32, BTreeMap::<String, u32>::new(), BTreeSet::new());
    for word in runs(text).flat_map(|run| run.words()) {
        if !word.is_pair && stop_words::contains(&word.folded, language) {
            continue;
        }
        length = length.saturating_add(1);
        let term = if word.is_pair { word.folded.clone() } else { stem(&word.text, language) };
        if let Some(count) = counts.get_mut(&term) {
            *count = count.saturating_add(1);
        } else if counts.len() < MAX_TERMS {
            counts.insert(term.clone(), 1);
        } else {
            continue;
        }
        if words.len() < MAX_TERMS && is_for_dictionary(&word) {
            words.insert((word.text, word.folded, term, word.is_pair));
        }
    }
    let hashed = |(term, count): (String, u32)| Posting { term: key.hash(Use::Term, &term), count };
    let mut postings: Vec<_> = counts.into_iter().map(hashed).collect();
    postings.sort_unstable();
    let hashed = |(text, folded, term, is_pair): (String, String, String, bool)| DictionaryWord {
        bucket: bucket(key, folded.chars(), is_pair),
        word: key.hash(Use::Word, &text),
        term: key.hash(Use::Term, &term),
        text: filled(text),
    };
    let mut words: Vec<_> = words.into_iter().map(hashed).collect();
    words.sort_unstable();
    Indexed { length, postings, words }
}

/// A word with the spaces that hide its length.
fn filled(mut word: String) -> String {
    let spaces = word.len().next_multiple_of(WORD_STEP_BYTES).saturating_sub(word.len());
    word.extend(std::iter::repeat_n(' ', spaces));
    word
}

/// Whether somebody may look for a word by its beginning or misspell it.
fn is_for_dictionary(word: &Word) -> bool {
    let (chars, has_digits) = (word.folded.chars().count(), word.folded.chars().any(char::is_numeric));
    word.is_pair || chars >= 2 && (!has_digits || chars <= MAX_WITH_DIGITS_CHARS)
}
