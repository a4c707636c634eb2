//! Texts in many languages (article 1 of the Universal Declaration of Human Rights), and what a search finds of them. An index in memory stands for the
//! database's: terms and words as hashes, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use proptest::prelude::*;
use search_terms::{Expansion, IndexKey, Indexed, Kind, Known, Piece, Query, index};

const WIDTH: usize = 160;

fn key() -> IndexKey {
    IndexKey::new(&[7; 32])
}

fn corpus() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut texts: Vec<_> = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    assert!(texts.len() > 25);
    texts
}

fn text_in(language: &str) -> String {
    corpus().into_iter().find(|(name, _)| name == language).unwrap().1
}

/// The words of an indexed text that a query's word may mean, as somebody with the key opens them from the buckets.
fn expansions(query: &Query, indexed: &Indexed) -> Vec<(usize, Expansion)> {
    let mut all = Vec::new();
    for (place, word) in query.words.iter().enumerate() {
        let buckets = word.buckets(&key());
        assert!(buckets.len() <= 4);
        let known = indexed.words.iter().filter(|known| buckets.contains(&known.bucket));
        let known = known.map(|known| Known { text: known.text.clone(), term: known.term });
        all.extend(word.expand(known).into_iter().map(|expansion| (place, expansion)));
    }
    all
}

/// Which words of the query the text has, with the dictionary.
fn found(query: &Query, indexed: &Indexed) -> Vec<bool> {
    let has = |term: i64| indexed.postings.iter().any(|posting| posting.term == term);
    let expanded: BTreeSet<usize> =
        expansions(query, indexed).into_iter().filter(|(_, word)| has(word.term)).map(|(place, _)| place).collect();
    let exact = |(place, word): (usize, &search_terms::QueryWord)| {
        word.terms(&key()).into_iter().any(has) || expanded.contains(&place)
    };
    query.words.iter().enumerate().map(exact).collect()
}

fn finds(typed: &str, text: &str) -> bool {
    let query = Query::parse(typed);
    !query.words.is_empty() && found(&query, &index(text, &key())).into_iter().all(|is_found| is_found)
}

fn shown(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| if piece.is_match { format!("[{}]", piece.text) } else { piece.text.clone() }).collect()
}

fn snippet(typed: &str, text: &str) -> String {
    let query = Query::parse(typed);
    let expansions = expansions(&query, &index(text, &key()));
    let matcher = query.matcher(expansions.iter().map(|(place, expansion)| (*place, expansion)));
    shown(&matcher.snippet(text, WIDTH))
}

#[test]
fn every_word_finds_its_text_whatever_its_language() {
    for (language, text) in corpus() {
        let indexed = index(&text, &key());
        let mut longest: Vec<&str> = text.split(|letter: char| !letter.is_alphanumeric() && !is_mark(letter)).collect();
        longest.retain(|word| word.chars().count() > 3);
        assert!(!longest.is_empty(), "{language}");
        for word in longest {
            if index(&format!("{text} {word}"), &key()).length == indexed.length {
                // A small word of the text's language, which has no rows.
                continue;
            }
            for typed in [word.to_owned(), word.to_uppercase()] {
                let query = Query::parse(&format!("conscience {typed}"));
                let found = found(&query, &indexed);
                assert!(found.into_iter().skip(1).all(|is_found| is_found), "{language}: {typed}");
            }
        }
    }
}

fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{900}'..='\u{97f}' | '\u{b80}'..='\u{bff}' | '\u{e00}'..='\u{e7f}' | '\u{64b}'..='\u{65f}')
}

#[test]
fn other_forms_of_a_word_find_it() {
    for (language, typed) in [
        ("english", "right"),
        ("english", "reasons"),
        ("german", "recht"),
        ("german", "Mensch"),
        ("german", "wurde"),
        ("french", "etre humain"),
        ("french", "droit"),
        ("spanish", "derecho humano"),
        ("portuguese", "direito"),
        ("italian", "diritto"),
        ("dutch", "recht"),
        ("swedish", "människa"),
        ("danish", "menneske"),
        ("norwegian", "mennesket"),
        ("finnish", "arvot ihmiset"),
        ("russian", "право"),
        ("russian", "разум"),
        ("greek", "δικαιωμα"),
        ("turkish", "insan"),
        ("romanian", "ființă umană"),
        ("hungarian", "ember"),
        ("arabic", "كرامة"),
        ("chinese", "尊严"),
        ("chinese", "权"),
        ("japanese", "人間"),
        ("japanese", "尊厳と権利"),
        ("korean", "인간"),
        ("thai", "สิทธิ"),
        ("code", "user name"),
        ("code", "sha256"),
    ] {
        assert!(finds(typed, &text_in(language)), "{language}: {typed}");
    }
}

#[test]
fn words_that_a_stemmer_does_not_survive_do_not_reach_it() {
    for word in ["ισαισα", "ΙΣΑΙΣΑ", "αντιθετισα"] {
        assert!(finds(&format!("{word} "), word), "{word}");
    }
}

#[test]
fn what_is_not_in_a_text_does_not_find_it() {
    for (language, typed) in [
        ("english", "banana"),
        ("german", "Banane"),
        ("chinese", "香蕉"),
        ("english", "freedom"),
        ("english", "born 42"),
    ] {
        assert!(!finds(typed, &text_in(language)), "{language}: {typed}");
    }
}

#[test]
fn the_beginning_of_the_last_word_finds_it_until_it_is_finished() {
    let text = text_in("english");
    assert!(finds("consc", &text) && finds("human consc", &text) && finds("di", &text));
    assert!(!finds("consc human", &text) && !finds("consc ", &text) && !finds("consc in:files", &text));
    assert!(finds("brüderl", &text_in("german")) && finds("bruderl", &text_in("german")));
    assert!(finds("尊", &text_in("japanese")) && finds("る", &text_in("japanese")));
}

#[test]
fn a_mistake_in_a_word_still_finds_it() {
    let text = text_in("english");
    for typed in
        ["dignty ", "brotherhod ", "consciense ", "recson ", "brohtrehood ", "ocnscience ", "huuman ", "spiritt "]
    {
        assert!(finds(typed, &text), "{typed}");
    }
    // Not in short words, not in numbers, not three.
    assert!(!finds("fre ", &text) && !finds("brtthrhod ", &text) && !finds("sha257 ", &text_in("code")));
}

#[test]
fn what_is_nearer_comes_first_and_there_are_not_too_many() {
    let text: String = (0..26_u8).map(|letter| format!("cart{} ", char::from(b'a' + letter))).collect();
    let query = Query::parse("cart");
    let near =
        expansions(&query, &index(&format!("{text} cart card carthorse carthorses {}", text.to_uppercase()), &key()));
    assert!(near.len() <= search_terms::MAX_EXPANSIONS);
    let texts: Vec<_> = near.iter().map(|(_, near)| (near.text.as_str(), near.weight_percent)).collect();
    assert_eq!(texts[0], ("cart", 100));
    assert!(texts.is_sorted_by(|a, b| a.1 >= b.1), "{texts:?}");
    assert!(texts.iter().any(|(text, percent)| *text == "card" && *percent < 80));
}

#[test]
fn another_key_has_other_hashes_and_no_text_is_in_them() {
    let text = text_in("english");
    let (one, other) = (index(&text, &key()), index(&text, &IndexKey::new(&[8; 32])));
    let hashes = |indexed: &Indexed| -> BTreeSet<i64> {
        indexed
            .words
            .iter()
            .flat_map(|word| [word.bucket, word.word, word.term])
            .chain(indexed.postings.iter().map(|posting| posting.term))
            .collect()
    };
    assert!(hashes(&one).is_disjoint(&hashes(&other)));
    assert_eq!(one.postings.len(), other.postings.len());
    assert!(one.postings.is_sorted() && one.words.is_sorted());
    // Nor does the length of a sealed word tell which one it is.
    let lengths = |text: &str| index(text, &key()).words.iter().map(|word| word.text.len()).collect::<BTreeSet<_>>();
    assert_eq!((lengths(&text), lengths("尊 internationalisation")), (BTreeSet::from([16]), BTreeSet::from([16, 32])));
    assert!(!format!("{:?}", key()).contains('7'));
}

#[test]
fn small_words_have_no_rows_and_are_not_looked_for() {
    let indexed = index(&text_in("english"), &key());
    assert!(indexed.postings.len() < 20, "{}", indexed.postings.len());
    let words = |typed: &str| Query::parse(typed).words.len();
    assert_eq!(
        (words("the dignity of the spirit"), words("der Geist und die Würde"), words("bone marrow of man")),
        (2, 2, 3)
    );
    assert_eq!(words("to be or not to be"), 4);
    // A small word of another language alone is a word.
    assert_eq!((words("war crimes"), words("die hard"), words("son birthday")), (2, 2, 2));
    assert!(finds("the war in the tribunal", "War crimes tribunal"));
    // Nor do they take the places of others.
    assert_eq!(words(&format!("{}dignity", "the of and in to a is are was or ".repeat(4))), 1);
}

#[test]
fn filters_are_told_from_words() {
    let query = Query::parse(
        "in:files IN:\"x\" from:Me before:2026-11 after:2025 has:file in:Reisen weather:cold before:yesterday https://x.org",
    );
    assert_eq!(query.filters.kinds, BTreeSet::from([Kind::Files]));
    assert_eq!((query.filters.from, query.filters.places), (vec!["Me".to_owned()], vec!["Reisen".to_owned()]));
    assert_eq!(query.filters.before.unwrap().to_string(), "2026-11-01");
    assert_eq!(query.filters.after.unwrap().to_string(), "2025-01-01");
    assert!(query.filters.has_file);
    assert_eq!(query.words.len(), 6);
    assert!(Query::parse(" in:files ").is_empty());
}

#[test]
fn a_phrase_must_stand_as_it_was_typed() {
    let text = text_in("english");
    let has = |typed: &str| Query::parse(typed).has_phrases(&text);
    assert!(
        has("\"Human beings\"")
            && has("human \"dignity and rights\" „born free”")
            && has("\"unfinished")
            && has("rights dignity")
    );
    assert!(!has("\"beings human\"") && !has("\"human beings\" \"rights and dignity\""));
    assert!(Query::parse("「尊厳と権利」").has_phrases(&text_in("japanese")));
    assert!(!Query::parse("「権利と尊厳」").has_phrases(&text_in("japanese")));
}

#[test]
fn only_the_first_words_of_phrases_must_stand_so() {
    let text: String = (0..40).map(|number| format!("w{number} ")).collect();
    let has = |typed: &str| Query::parse(typed).has_phrases(&text);
    assert!(has(&format!("\"{}", text.replace("w30", "other"))) && !has(&format!("\"{}", text.replace("w9", "other"))));
    assert!(!Query::parse("\"two words\"").has_phrases(&format!("{}two words", "x ".repeat(100_000))));
}

#[test]
fn a_snippet_is_the_part_with_the_most_words_and_marks_them() {
    let filler = "Nothing of that here, and no more there. ".repeat(20);
    let text = format!(
        "A spirit. {filler}All are endowed with\n\nreason and  conscience, in a spirit of BROTHERHOOD. {filler}"
    );
    let shown = snippet("reasons spirit brothrehood", &text);
    assert!(shown.contains("endowed with [reason] and conscience, in a [spirit] of [BROTHERHOOD]. "), "{shown}");
    assert!(shown.starts_with('…') && shown.ends_with('…') && shown.len() < WIDTH + 30, "{shown}");
    assert!(snippet("würde", &text_in("german")).contains("[Würde]"));
    assert!(snippet("尊厳", &text_in("japanese")).contains("、[尊厳]と"));
    assert!(snippet("dign", &text_in("english")).contains("[dignity]"));
    assert!(snippet("banana", &text).starts_with("A spirit. Nothing of that here"));
    assert_eq!(snippet("x", ""), "");
    assert!(
        snippet("葛城", "ここは葛\u{e0100}城です").contains("は[葛\u{e0100}城]で"),
        "a character is marked with how it is drawn"
    );
}

#[test]
fn long_texts_take_no_longer_a_letter_than_short_ones() {
    let hostile = ["a\u{301}", "漢", "x", "x ", "١", "e\u{301}\u{302} ", "ﷺ", "\u{200d}", "der die das ", "가", "\" "];
    for piece in hostile {
        let began = Instant::now();
        let text = piece.repeat(200_000 / piece.len());
        let indexed = index(&text, &key());
        assert!(indexed.postings.len() <= search_terms::MAX_TERMS && indexed.words.len() <= search_terms::MAX_TERMS);
        let query = Query::parse(&text);
        assert!(query.words.len() <= search_terms::MAX_WORDS);
        let _shown = query.matcher([]).snippet(&text, WIDTH);
        // A phrase that is nearly everywhere and nowhere, as long as can be typed, and many that are.
        let phrases = [format!("\"{}Ende\"", piece.repeat(200)), format!("\"{piece} {piece} Ende\" ").repeat(100)];
        for typed in phrases {
            let _has = Query::parse(&typed).has_phrases(&text);
        }
        // It is a fraction of a second; if it were quadratic, it would be many minutes.
        assert!(began.elapsed().as_secs() < 60, "{piece}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_found_by_its_words_and_shown(text in "\\PC{0,80}", width in 0_usize..200) {
        let indexed = index(&text, &key());
        let query = Query::parse(&text);
        for word in &query.words {
            let _near = word.expand(indexed.words.iter().map(|known| Known { text: known.text.clone(), term: known.term }));
        }
        let whole = query.matcher([]).snippet(&text, width);
        let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
        let shown: String = whole.iter().map(|piece| piece.text.as_str()).collect();
        prop_assert!(letters(&text).contains(&letters(&shown)));
    }

    #[test]
    fn no_word_of_any_script_is_too_strange(
        word in "[a-zA-Zäöüßéèçñışğåøæœ']{1,50}|\\p{Cyrillic}{1,50}|\\p{Greek}{1,50}|\\p{Arabic}{1,50}|\\p{Tamil}{1,50}|\\p{Latin}{1,50}|\\p{Hebrew}{1,20}|\\p{Thai}{1,20}",
    ) {
        let indexed = index(&word, &key());
        let query = Query::parse(&word);
        let all = found(&query, &indexed).into_iter().all(|is_found| is_found);
        prop_assert!(all || indexed.postings.is_empty(), "{word}");
    }
}
