//! What is shown of a text that was found: the part of it where most of the words stand, with the words marked. Works on the text as it was written, in the
//! component that opened it: the index knows no text.

use std::{collections::HashMap, ops::Range};

use crate::{
    Expansion, QueryWord,
    fold::{is_invisible, lowercase, without_accents},
    language::{Language, stem},
    words::{Run, Word, beginning, runs},
};

/// How many marks are considered: the best part of a text is among the first.
const MAX_MARKS: usize = 1024;
/// Stands where something was left out.
const ELLIPSIS: &str = "…";

/// A part of a snippet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// What is shown.
    pub text: String,
    /// Whether it is one of the words that were looked for.
    pub is_match: bool,
}

/// How often the words that were looked for are in a text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Of each word, in the order of the query.
    pub words: Vec<u32>,
    /// How many words the text has, or characters where no spaces are written.
    pub length: u32,
}

/// Knows the words that were looked for, and finds them in texts.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// What a word of a text becomes without its ending, and which word of the query that is.
    stems: HashMap<String, usize>,
    /// The same of words that the dictionary had for it.
    texts: HashMap<String, usize>,
    words: usize,
}

/// A word that was found: its bytes in the text, and which word of the query it is.
struct Mark {
    range: Range<usize>,
    word: usize,
}

impl Matcher {
    pub(crate) fn new<'a>(words: &[QueryWord], expansions: impl IntoIterator<Item = (usize, &'a Expansion)>) -> Self {
        let (mut stems, mut texts) = (HashMap::new(), HashMap::new());
        for (place, word) in words.iter().enumerate() {
            for stem in &word.stems {
                stems.entry(stem.clone()).or_insert(place);
            }
            texts.entry(word.folded.clone()).or_insert(place);
        }
        for (place, expansion) in expansions {
            texts.entry(without_accents(&expansion.text)).or_insert(place);
        }
        Self { stems, texts, words: words.len() }
    }

    fn word_of(&self, word: &Word, language: Language) -> Option<usize> {
        let by_text = self.texts.get(&word.folded).copied();
        by_text.or_else(|| if word.is_pair { None } else { self.stems.get(&stem(&word.text, language)).copied() })
    }

    fn marks(&self, text: &str) -> Vec<Mark> {
        let language = Language::guess(runs(text));
        let mut marks: Vec<Mark> = Vec::new();
        for run in runs(text) {
            if marks.len() >= MAX_MARKS {
                break;
            }
            if run.is_unspaced {
                self.mark_pairs(&run, &mut marks);
            } else if let Some(word) = run.words().first().and_then(|word| self.word_of(word, language)) {
                marks.push(Mark { range: run.range, word });
            }
        }
        marks
    }

    /// Marks the characters of a run without spaces that are in pairs that were looked for.
    fn mark_pairs(&self, run: &Run<'_>, marks: &mut Vec<Mark>) {
        // As they are written: folding may join characters, so pairs are looked up one by one.
        let letters = run.text.char_indices().filter(|(_, letter)| !is_invisible(*letter));
        let letters: Vec<(usize, char)> =
            letters.map(|(at, letter)| (run.range.start.saturating_add(at), letter)).collect();
        let end = |at: usize, letter: char| at.saturating_add(letter.len_utf8());
        for (place, &(start, letter)) in letters.iter().enumerate() {
            if marks.len() >= MAX_MARKS {
                break;
            }
            let pair =
                letters.get(place.saturating_add(1)).map(|&(at, next)| (format!("{letter}{next}"), end(at, next)));
            for (text, end) in pair.into_iter().chain([(letter.to_string(), end(start, letter))]) {
                let folded = without_accents(&lowercase(&text));
                let Some(word) = self.texts.get(&folded).copied() else { continue };
                let range = start..end;
                match marks.last_mut() {
                    Some(last) if last.range.end >= range.start && last.word == word => {
                        last.range.end = last.range.end.max(range.end);
                    }
                    // Overlapping pairs of different words are one mark to the eye.
                    Some(last) if last.range.end > range.start => {
                        if last.range.end < range.end {
                            let start = last.range.end;
                            marks.push(Mark { range: start..range.end, word });
                        }
                    }
                    _ => marks.push(Mark { range, word }),
                }
                break;
            }
        }
    }

    /// How often each word is in a text, for a ranking. What stands behind the first 128 KB is not looked through.
    #[must_use]
    pub fn counts(&self, text: &str) -> Counts {
        let text = beginning(text);
        let mut words = vec![0_u32; self.words];
        for mark in self.marks(text) {
            if let Some(count) = words.get_mut(mark.word) {
                *count = count.saturating_add(1);
            }
        }
        let lengths = runs(text).map(|run| if run.is_unspaced { run.text.chars().count() } else { 1 });
        Counts { words, length: u32::try_from(lengths.sum::<usize>()).unwrap_or(u32::MAX) }
    }

    /// The part of a text of about so many bytes that has the most of the words, in pieces. White space is one space each. What stands behind the first
    /// 128 KB is not looked through.
    #[must_use]
    pub fn snippet(&self, text: &str, width_bytes: usize) -> Vec<Piece> {
        let text = beginning(text);
        let marks = self.marks(text);
        let shown = self.best_part(&marks, width_bytes);
        let Range { start, end } = widened(text, shown, width_bytes);
        let mut pieces = Vec::new();
        if start > 0 {
            push(&mut pieces, ELLIPSIS, false);
        }
        let mut at = start;
        for mark in marks.iter().filter(|mark| mark.range.start >= start && mark.range.end <= end) {
            push(&mut pieces, text.get(at..mark.range.start).unwrap_or_default(), false);
            push(&mut pieces, text.get(mark.range.clone()).unwrap_or_default(), true);
            at = mark.range.end;
        }
        push(&mut pieces, text.get(at..end).unwrap_or_default(), false);
        if end < text.len() {
            push(&mut pieces, ELLIPSIS, false);
        }
        pieces
    }

    /// The bytes from the first to the last mark of the part that has the most different words, then the most words.
    fn best_part(&self, marks: &[Mark], width_bytes: usize) -> Range<usize> {
        let mut counts = vec![0_u32; self.words];
        let (mut different, mut best, mut best_range) = (0_u32, (0, 0), 0..0);
        let mut from = marks.iter();
        let mut first = from.next();
        for (place, last) in marks.iter().enumerate() {
            if let Some(count) = counts.get_mut(last.word) {
                different = different.saturating_add(u32::from(*count == 0));
                *count = count.saturating_add(1);
            }
            while let Some(mark) = first.filter(|mark| last.range.end.saturating_sub(mark.range.start) > width_bytes) {
                if let Some(count) = counts.get_mut(mark.word) {
                    *count = count.saturating_sub(1);
                    different = different.saturating_sub(u32::from(*count == 0));
                }
                first = from.next();
            }
            let many = place.saturating_sub(marks.len().saturating_sub(from.len()).saturating_sub(1));
            if let Some(mark) = first.filter(|_| (different, many) > best || best_range.end == 0) {
                (best, best_range) = ((different, many), mark.range.start..last.range.end);
            }
        }
        best_range
    }
}

/// The part with what stands around it, up to the width, cut between words.
fn widened(text: &str, part: Range<usize>, width_bytes: usize) -> Range<usize> {
    let room = width_bytes.saturating_sub(part.len());
    // More behind than before: people read on.
    let start = text.floor_char_boundary(part.start.saturating_sub(room / 3));
    let end = text.floor_char_boundary(start.saturating_add(width_bytes).max(part.end).min(text.len()));
    let start = if start == 0 { 0 } else { after_space(text, start..part.start) };
    let end = if end == text.len() { end } else { before_space(text, part.end..end) };
    start..end
}

fn after_space(text: &str, range: Range<usize>) -> usize {
    let part = text.get(range.clone()).unwrap_or_default();
    let behind = part.find(char::is_whitespace).map(|at| part.get(at..).unwrap_or_default().trim_start().len());
    behind.map_or(range.start, |behind| range.end.saturating_sub(behind))
}

fn before_space(text: &str, range: Range<usize>) -> usize {
    let found = text.get(range.clone()).and_then(|part| part.rfind(char::is_whitespace));
    found.map_or(range.end, |at| range.start.saturating_add(at))
}

/// Adds a text to the pieces, with white space as single spaces.
fn push(pieces: &mut Vec<Piece>, text: &str, is_match: bool) {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_whitespace() {
            true if shown.ends_with(' ') => {}
            true => shown.push(' '),
            false => shown.push(letter),
        }
    }
    if shown.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(last) if last.is_match == is_match => last.text.push_str(&shown),
        _ => pieces.push(Piece { text: shown, is_match }),
    }
}
