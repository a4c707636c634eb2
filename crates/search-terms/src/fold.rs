//! Makes spellings alike that people take for the same word: case, width, ligatures and accents.
//!
//! Stemmers know accents, so a word is lowercased first ([`lowercase`]), then stemmed, and only then loses its accents ([`without_accents`]).

use unicode_normalization::UnicodeNormalization as _;

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

/// Accents, Hebrew points, Arabic vowels and the stroke that only stretches an Arabic word.
const fn is_accent(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// Whether a character belongs to a word: letters, digits, and the marks upon them.
pub(crate) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || unicode_normalization::char::is_combining_mark(letter)
}

/// Characters that stand inside a word and are no part of it: soft hyphens, joiners, marks of direction.
pub(crate) const fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
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
        ] {
            assert_eq!(without_accents(&lowercase(word)), same, "{word}");
        }
        assert_ne!(without_accents("कि"), without_accents("क"));
        assert_eq!(without_accents("한국"), "한국");
    }
}
