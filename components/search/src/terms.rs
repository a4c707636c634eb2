//! What is looked for: the terms of a query's words with each key of a person's index, and of those words of their dictionary that may be meant.

use std::collections::{BTreeMap, BTreeSet};

use search_terms::{Expansion, IndexKey, Known, Query};
use storage::search::{SearchTerm, SearchWord};

/// What a word counts that is spelled as it was typed.
const WHOLE: u32 = 100;

/// The buckets of the dictionary that a query needs.
pub(crate) fn buckets(query: &Query, keys: &[IndexKey]) -> BTreeSet<i64> {
    keys.iter().flat_map(|key| query.words.iter().flat_map(|word| word.buckets(key))).collect()
}

/// The terms, and the words of the dictionary that they come from, each with its word of the query.
pub(crate) fn terms(
    query: &Query,
    keys: &[IndexKey],
    dictionary: &[SearchWord],
) -> (Vec<SearchTerm>, Vec<(usize, Expansion)>) {
    let (mut weights, mut expansions) = (BTreeMap::new(), Vec::new());
    for (place, word) in query.words.iter().enumerate() {
        for key in keys {
            weights.extend(word.terms(key).into_iter().map(|term| ((place, term), WHOLE)));
            let buckets = word.buckets(key);
            let known = dictionary.iter().filter(|known| buckets.contains(&known.bucket));
            for expansion in word.expand(known.map(|known| Known { text: known.text.clone(), term: known.term })) {
                let weight = weights.entry((place, expansion.term)).or_insert(0);
                *weight = expansion.weight_percent.max(*weight);
                expansions.push((place, expansion));
            }
        }
    }
    let term = |((word, term), weight_percent)| SearchTerm { word, term, weight_percent };
    (weights.into_iter().map(term).collect(), expansions)
}
