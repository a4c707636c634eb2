//! Makes spellings alike that people take for the same word: case, width, ligatures and accents.
//!
//! Stemmers know accents, so a word is lowercased first ([`lowercase`]), then stemmed, and only then loses its accents ([`without_accents`]).

use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed,
    props::{DefaultIgnorableCodePoint, GeneralCategory, Script},
    script::ScriptWithExtensions,
};
use unicode_normalization::{
    UnicodeNormalization as _,
    char::{canonical_combining_class, is_combining_mark},
};

const CATEGORIES: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::<GeneralCategory>::new();
const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// A word in its compatibility form (NFKC: full width and ligatures become ordinary letters), in lower case, without characters that only guide how it is shown.
pub(crate) fn lowercase(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    word.nfkc().flat_map(char::to_lowercase).filter(|letter| is_word(*letter)).collect()
}

/// A lowercased word without accents. Vowel signs of scripts that write vowels so, such as Devanagari's, stay: without them other words would remain.
pub(crate) fn without_accents(word: &str) -> String {
    if word.is_ascii() {
        return word.to_owned();
    }
    let mut folded = String::with_capacity(word.len());
    for letter in word.nfkd().filter(|letter| !is_accent(*letter)) {
        match spelled_out(letter) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(letter),
        }
    }
    // Japanese voicing marks and Hangul were taken apart above.
    folded.nfc().collect()
}

/// Letters whose stroke or form is no accent to Unicode, as they are typed without it.
const fn spelled_out(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'ı' => "i",
        'þ' => "th",
        'ς' => "σ",
        'أ' | 'إ' | 'آ' | 'ٱ' => "ا",
        'ى' => "ي",
        _ => return None,
    })
}

/// The stroke that only stretches an Arabic word.
const TATWEEL: char = '\u{640}';

/// Accents, Hebrew points and Arabic vowels: marks that Unicode orders by where they stand around a letter (UAX #44, "Canonical Combining Class Values"), and those
/// that enclose it. Marks of the other classes are vowels, voicings and what joins letters.
fn is_accent(letter: char) -> bool {
    matches!(canonical_combining_class(letter), 1 | 10..=36 | 200..)
        || letter == TATWEEL
        || !letter.is_ascii() && CATEGORIES.get(letter) == GeneralCategory::EnclosingMark
}

/// Whether a character belongs to a word: letters, digits, and the marks upon them.
pub(crate) fn is_word(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric();
    }
    (letter.is_alphanumeric() || is_combining_mark(letter)) && !is_invisible(letter)
}

/// Characters that are no part of the word in which they stand: soft hyphens, joiners, marks of direction, and those that choose how the character before them
/// is drawn, which is how many emoji end.
pub(crate) fn is_invisible(letter: char) -> bool {
    !letter.is_ascii() && IGNORABLE.contains(letter)
}

/// The script of a word's first character.
pub(crate) fn script_of(word: &str) -> Option<Script> {
    word.chars().next().map(|first| ScriptWithExtensions::new().get_script_val(first))
}

/// Whether a character is used in one of these scripts, also if it belongs to several.
pub(crate) fn is_of(letter: char, scripts: &[Script]) -> bool {
    let is_listed = |script| scripts.contains(&script);
    !letter.is_ascii() && ScriptWithExtensions::new().get_script_extensions_val(letter).iter().any(is_listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_people_take_for_the_same_become_the_same() {
        for (word, same) in [
            ("ÉLÈVE", "eleve"),
            ("Straße", "strasse"),
            ("ﬁnance", "finance"),
            ("ＦＵＬＬ", "full"),
            ("Łódź", "lodz"),
            ("İstanbul", "istanbul"),
            ("ΛΌΓΟΣ", "λογοσ"),
            ("λόγος", "λογοσ"),
            ("ёлка", "елка"),
            ("كِتَاب", "كتاب"),
            ("שָׁלוֹם", "שלום"),
            ("ｶﾞｲﾄﾞ", "ガイド"),
            ("co\u{ad}operate", "cooperate"),
            ("葛\u{e0100}", "葛"),
            ("कि\u{951}", "कि"),
            ("a\u{20dd}", "a"),
        ] {
            assert_eq!(without_accents(&lowercase(word)), same, "{word}");
        }
        assert_ne!(without_accents("कि"), without_accents("क"));
        assert_eq!(without_accents("한국"), "한국");
    }
}
