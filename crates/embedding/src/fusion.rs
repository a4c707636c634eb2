//! One order of what was found by words and what was found by vectors, by the places that it has in both (reciprocal rank fusion; Cormack, Clarke and
//! Büttcher 2009): scores of the two cannot be compared.

use std::collections::BTreeMap;

/// The usual constant: how much the first places differ.
const RANK: f64 = 60.0;
/// What a place among the vectors counts, where one among the words counts one. With the table in the box more makes results worse (docs/adr/0058).
const OF_VECTORS: f64 = 0.5;

/// The two lists as one, the best first. What is in both comes once.
#[must_use]
pub fn fuse<I: Ord + Copy>(by_words: &[I], by_vectors: &[I]) -> Vec<I> {
    let mut scores: BTreeMap<I, f64> = BTreeMap::new();
    for (list, weight) in [(by_words, 1.0), (by_vectors, OF_VECTORS)] {
        let mut place = RANK;
        for id in list {
            place += 1.0;
            *scores.entry(*id).or_default() += weight / place;
        }
    }
    let mut all: Vec<(I, f64)> = scores.into_iter().collect();
    all.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    all.into_iter().map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_found_comes_first_and_words_count_more() {
        assert_eq!(fuse(&["a", "b", "c"], &["c", "d"]), ["c", "a", "b", "d"]);
        assert_eq!(fuse(&["a"], &["b"]), ["a", "b"]);
        assert_eq!(fuse::<u8>(&[], &[]), [0_u8; 0]);
    }
}
