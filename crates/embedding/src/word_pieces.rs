//! Cuts a text into the pieces of a vocabulary, as BERT's uncased tokenizer does (`WordPiece`): lower case, no accents, words and signs apart, and of each word
//! the longest piece that the vocabulary has, then the longest of the rest, and so on. The crate `tokenizers` does the same and much else, and would be
//! larger than the component.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// A longer word has no piece: it is not one.
const MAX_WORD_CHARS: usize = 100;
/// No piece is longer: what is beyond is not tried.
const MAX_PIECE_CHARS: usize = 24;
/// What a piece that continues a word begins with in the vocabulary.
const CONTINUES: &str = "##";

/// Calls `piece` with each piece's row. `row` finds a piece in the vocabulary. A word that the vocabulary cannot make has none.
pub(crate) fn pieces(text: &str, row: impl Fn(&str) -> Option<usize>, mut piece: impl FnMut(usize)) {
    let (mut word, mut rows) = (String::new(), Vec::new());
    let mut end = |word: &mut String| {
        if !word.is_empty() && of_word(word, &row, &mut rows) {
            rows.iter().copied().for_each(&mut piece);
        }
        word.clear();
    };
    for letter in text.nfd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase) {
        if letter.is_whitespace() || letter.is_control() {
            end(&mut word);
        } else if letter.is_alphanumeric() && !is_ideograph(letter) {
            word.push(letter);
        } else {
            end(&mut word);
            word.push(letter);
            end(&mut word);
        }
    }
    end(&mut word);
}

/// The rows of a word's pieces. `false`: it has none.
fn of_word(word: &str, row: &impl Fn(&str) -> Option<usize>, rows: &mut Vec<usize>) -> bool {
    rows.clear();
    if word.chars().count() > MAX_WORD_CHARS {
        return false;
    }
    let (mut rest, mut tried) = (word, String::with_capacity(word.len().saturating_add(CONTINUES.len())));
    while !rest.is_empty() {
        tried.clear();
        if rest.len() < word.len() {
            tried.push_str(CONTINUES);
        }
        let beginning = tried.len();
        tried.extend(rest.chars().take(MAX_PIECE_CHARS));
        let found = loop {
            match row(&tried) {
                Some(found) => break found,
                None if tried.pop().is_none() || tried.len() <= beginning => return false,
                None => {}
            }
        };
        rows.push(found);
        rest = rest.get(tried.len().saturating_sub(beginning)..).unwrap_or_default();
    }
    true
}

/// BERT takes each Chinese character for a word, and not those of Kana and Hangul.
const fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}
