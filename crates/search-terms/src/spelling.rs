//! Words that begin like one, or are spelled nearly like it, among the words that a person's texts have.
//!
//! Hashes say nothing about nearness. So the index keeps each word of a person once, sealed, in a bucket by its first letters, and whoever searches opens
//! the few buckets of a query and compares there. Rows are added for a new word and not for each text, so this costs no row of most messages; and a
//! misspelling is compared as it was written, where hashed n-grams or deletions would find words that only share them.

use std::collections::BTreeMap;

use crate::{IndexKey, QueryWord, fold::without_accents, key::Use};

/// The most words that one typed word stands for: each is looked up. Those that are nearest are taken.
pub const MAX_EXPANSIONS: usize = 32;

/// How many of its first letters say a word's bucket. With one, buckets of a large dictionary would take long to open; with three, no misspelling among them
/// could be found.
const BUCKET_CHARS: usize = 2;

/// How near words are, in per cent of what one counts that is spelled as it was typed.
const SAME: u32 = 100;
const BEGINS_SO: u32 = 90;
/// Less for each letter that follows, down to a half.
const LETTER_MORE: u32 = 3;
const ONE_MISTAKE: u32 = 50;
const TWO_MISTAKES: u32 = 30;

/// A word of the dictionary, opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// The word, as [`crate::DictionaryWord::text`] has it.
    pub text: String,
    /// The keyed hash of its term.
    pub term: i64,
}

/// A word that a typed one may have meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expansion {
    /// The word, in lower case.
    pub text: String,
    /// The keyed hash of its term.
    pub term: i64,
    /// How much it counts, from 1 to 100.
    pub weight_percent: u32,
}

/// The bucket of words that begin with these letters, which have no accents.
pub(crate) fn bucket(key: &IndexKey, letters: impl Iterator<Item = char>, is_pair: bool) -> i64 {
    let beginning: String = letters.take(if is_pair { 1 } else { BUCKET_CHARS }).collect();
    key.hash(Use::Bucket, &beginning)
}

/// The buckets where words near this one are: those of its own beginning, and of what it would be if its first letters were swapped, or one of them was typed
/// too much. A wrong or forgotten letter among the first two is not found.
pub(crate) fn buckets(key: &IndexKey, word: &QueryWord) -> Vec<i64> {
    let letters = || word.folded.chars();
    let mut buckets = vec![bucket(key, letters(), word.is_pair)];
    if allowed_mistakes(word) > 0 {
        let mut swapped = letters();
        if let (Some(first), Some(second)) = (swapped.next(), swapped.next()) {
            buckets.push(bucket(key, [second, first].into_iter(), false));
            buckets.push(bucket(key, letters().skip(1), false));
            buckets.push(bucket(key, std::iter::once(first).chain(letters().skip(2)), false));
        }
    }
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

/// How many mistakes are looked for: none in short words, where every other word is near, and none in numbers.
fn allowed_mistakes(word: &QueryWord) -> usize {
    if word.is_pair || word.folded.chars().any(char::is_numeric) {
        return 0;
    }
    match word.folded.chars().count() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// How near a word of the dictionary is to a typed one, in per cent. `None`: it is another word.
fn nearness(word: &QueryWord, known: &str) -> Option<u32> {
    if known == word.folded {
        return Some(SAME);
    }
    let (typed, length) = (word.folded.chars().count(), known.chars().count());
    if word.may_continue && known.starts_with(&word.folded) {
        let more = u32::try_from(length.saturating_sub(typed)).unwrap_or(u32::MAX);
        return Some(BEGINS_SO.saturating_sub(more.saturating_mul(LETTER_MORE)).max(ONE_MISTAKE));
    }
    let allowed = allowed_mistakes(word);
    if allowed == 0 {
        return None;
    }
    let by_distance = |distance| match distance {
        1 => Some(ONE_MISTAKE),
        2 if allowed == 2 => Some(TWO_MISTAKES),
        _ => None,
    };
    let whole =
        (length.abs_diff(typed) <= allowed).then(|| strsim::osa_distance(&word.folded, known)).and_then(by_distance);
    // What is still being typed may have a mistake already.
    let begun = || {
        let beginning: String = known.chars().take(typed).collect();
        (word.may_continue && length > typed && strsim::osa_distance(&word.folded, &beginning) == 1)
            .then_some(TWO_MISTAKES)
    };
    whole.or_else(begun)
}

/// The words that a typed one may have meant, the nearest first.
pub(crate) fn expand(word: &QueryWord, known: impl IntoIterator<Item = Known>) -> Vec<Expansion> {
    let mut found: BTreeMap<i64, Expansion> = BTreeMap::new();
    for Known { text, term } in known {
        let text = text.trim_end();
        let Some(weight_percent) = nearness(word, &without_accents(text)) else { continue };
        let other = found.get(&term).map(|other| other.weight_percent);
        if other.is_none_or(|other| other < weight_percent) {
            found.insert(term, Expansion { text: text.to_owned(), term, weight_percent });
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|a, b| b.weight_percent.cmp(&a.weight_percent).then_with(|| a.text.cmp(&b.text)));
    found.truncate(MAX_EXPANSIONS);
    found
}
