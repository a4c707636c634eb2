//! The table in the box: against another implementation, and what it takes for near.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::time::Instant;

use embedding::{Nearest, TABLE_DIMENSIONS, Table, Vector};
use proptest::prelude::*;

/// A text, how many pieces it has, and the first components of its vector: of Hugging Face's `tokenizers`, and numpy on the same file.
const EXPECTED: &str = include_str!("expected.txt");

fn embed(text: &str) -> Vector {
    Table::in_the_box().unwrap().embed(text).unwrap_or_else(|| panic!("no words in {text:?}"))
}

#[test]
fn a_vector_is_that_of_the_other_implementation() {
    assert!(EXPECTED.lines().count() > 25);
    for line in EXPECTED.lines() {
        let mut columns = line.split('\t');
        let (text, count, expected) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        if count == "0" {
            assert_eq!(Table::in_the_box().unwrap().embed(text), None, "{text}");
            continue;
        }
        let vector = embed(text);
        assert_eq!(vector.dimensions(), TABLE_DIMENSIONS);
        for (byte, expected) in vector.to_bytes().into_iter().zip(expected.split(' ')) {
            let expected: i16 = expected.parse().unwrap();
            // One half way between two bytes may be rounded either way.
            assert!((i16::from(byte.cast_signed()) - expected).abs() <= 1, "{text}: {byte} and {expected}");
        }
    }
}

#[test]
fn what_means_nearly_the_same_in_english_is_nearer_than_what_does_not() {
    for (asked, same, other) in [
        ("how do I repair my car", "fixing the engine of an automobile", "a recipe for apple pie"),
        ("The meeting is postponed until Tuesday", "we moved the appointment to next week", "the capital of France"),
        ("my doctor prescribed pills", "medicine from the physician", "the train to Berlin leaves at noon"),
    ] {
        let (near, far) = (embed(asked).cosine(&embed(same)), embed(asked).cosine(&embed(other)));
        assert!(near > far + 0.2, "{asked}: {near} and {far}");
        let mut nearest = Nearest::new(embed(asked), 1);
        let vectors = [embed(other).to_bytes(), embed(same).to_bytes()].concat();
        nearest.add(&vectors, ["other", "same"]);
        assert_eq!(nearest.found().first().map(|neighbour| neighbour.id), Some("same"));
    }
}

#[test]
fn a_text_without_words_has_no_vector() {
    let table = Table::in_the_box().unwrap();
    for text in ["", " \n ", "\u{0}", "\u{301}"] {
        assert_eq!(table.embed(text), None, "{text:?}");
    }
}

#[test]
fn the_longest_texts_take_a_moment() {
    for piece in ["qzxqz", "a", "ᄀ", "x ", "e\u{301}\u{302}", "ﷺ", "##"] {
        let began = Instant::now();
        let _vector = Table::in_the_box().unwrap().embed(&piece.repeat(1_000_000));
        assert!(began.elapsed().as_secs() < 20, "{piece}");
    }
}

proptest! {
    #[test]
    fn any_text_has_a_vector_or_none(text in "\\PC{0,200}") {
        let vector = Table::in_the_box().unwrap().embed(&text);
        prop_assert!(vector.is_none_or(|vector| vector.dimensions() == TABLE_DIMENSIONS));
    }
}
