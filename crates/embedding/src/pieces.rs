//! Cuts a text into pieces of a few sentences, because the vector of a few sentences says what they are about, and that of pages says nothing.

use std::ops::Range;

/// The longest piece: some 170 English words, which models for sentences read whole.
pub const MAX_PIECE_BYTES: usize = 1024;
/// A piece ends behind this, where its text allows: what is shorter says little.
const MIN_PIECE_BYTES: usize = 512;
/// The most pieces of a text: half a megabyte. What is behind is found by its words alone.
pub const MAX_PIECES: usize = 1024;

/// The bytes of each piece of a text, in order: ends of paragraphs are preferred to those of lines, these to those of sentences, and these to spaces. Pieces
/// of white space are left out.
pub fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    let cut = std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let range = start..start.saturating_add(end(rest));
        start = range.end;
        Some(range)
    });
    cut.filter(|range| text.get(range.clone()).is_some_and(|piece| !piece.trim().is_empty())).take(MAX_PIECES)
}

/// Where the first piece of a text ends.
fn end(text: &str) -> usize {
    if text.len() <= MAX_PIECE_BYTES {
        return text.len();
    }
    let longest = text.floor_char_boundary(MAX_PIECE_BYTES);
    let from = text.floor_char_boundary(MIN_PIECE_BYTES);
    let window = text.get(from..longest).unwrap_or_default();
    let behind = |(at, found): (usize, &str)| from.saturating_add(at).saturating_add(found.len());
    let last = |sign: &'static str| window.rmatch_indices(sign).next().map(behind);
    let sentence = || {
        let ends = |letter: char| matches!(letter, '.' | '!' | '?' | '。' | '！' | '？' | '।' | '؟');
        let mut found = window.rmatch_indices(ends).filter(|(at, sign)| {
            let next = window.get(at.saturating_add(sign.len())..).and_then(|rest| rest.chars().next());
            // `3.14` is no end.
            !sign.is_ascii() || next.is_some_and(char::is_whitespace)
        });
        found.next().map(behind)
    };
    let space = || window.rmatch_indices(char::is_whitespace).next().map(behind);
    last("\n\n").or_else(|| last("\n")).or_else(sentence).or_else(space).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        pieces(text).map(|range| text.get(range).unwrap()).collect()
    }

    #[test]
    fn a_short_text_is_one_piece_and_white_space_is_none() {
        assert_eq!(cut("A sentence. Another one."), ["A sentence. Another one."]);
        assert!(cut("").is_empty() && cut(&" \n".repeat(5000)).is_empty());
    }

    #[test]
    fn a_long_text_is_cut_where_it_pauses_and_loses_nothing() {
        for (pause, text) in [
            ("\n\n", format!("{}\n\n{}", "One line.\n".repeat(60), "Other. ".repeat(200))),
            ("\n", "A line with 3.14 in it. It ends\n".repeat(100)),
            (". ", "This is 3.14 words long. ".repeat(100)),
            (" ", "word ".repeat(500)),
            ("。", "これは文です。".repeat(200)),
        ] {
            let all = cut(&text);
            assert!(all.len() > 1, "{pause:?}");
            assert_eq!(all.concat(), text);
            assert!(all.iter().all(|piece| piece.len() <= MAX_PIECE_BYTES));
            let first = all.first().unwrap();
            assert!(
                first.len() >= MIN_PIECE_BYTES && first.trim_end_matches(' ').ends_with(pause.trim_end_matches(' ')),
                "{first:?}"
            );
        }
    }

    #[test]
    fn what_has_no_pause_is_cut_between_characters_and_there_is_an_end() {
        let text = "漢".repeat(5000);
        assert_eq!(cut(&text).concat(), text);
        assert_eq!(pieces(&"x".repeat(10_000_000)).count(), MAX_PIECES);
    }
}
