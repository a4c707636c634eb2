//! The passages of texts in which words stand, the best first: BM25 over the passages of all texts together (Robertson and Zaragoza, "The Probabilistic Relevance
//! Framework", 2009). The texts are read once, from the beginning to the end; nothing has to be kept of them before.

use search_terms::{Matcher, Query};

use crate::lines::{Lines, heading, part};

/// A passage ends at the next empty line once it has so many characters, so that it is about one thing.
const ENOUGH_CHARS: usize = 600;
/// The longest passage: about 300 tokens.
const MAX_PASSAGE_CHARS: usize = 1_200;
/// The most passages that are given.
pub const MAX_FOUND: usize = 8;
/// The most passages that are kept while texts are read: of more than twice as many, those with the most of the words. Half a megabyte.
const MAX_KEPT: usize = 128;
/// The longest heading that is given with a passage.
const MAX_HEADING_CHARS: usize = 120;

/// BM25's usual constants: how soon a word that is repeated counts no more, and how much a longer passage counts less.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A passage that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which of the texts it is of, in the order in which they were read.
    pub text_number: usize,
    /// Where it begins and ends.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// The line of the part in which it begins, such as `[Page 7]`.
    pub part: Option<String>,
    /// The heading under which it stands.
    pub heading: Option<String>,
    /// What it says.
    pub text: String,
}

/// A passage with some of the words.
#[derive(Debug)]
struct Candidate {
    found: Found,
    counts: Vec<u32>,
    length: u32,
}

/// Looks for words in texts, one after the other.
#[derive(Debug)]
pub struct Search {
    matcher: Matcher,
    lines: Lines,
    at: Place,
    passage: Begun,
    kept: Vec<Candidate>,
    /// How many passages have each word.
    with_word: Vec<u32>,
    passages: u32,
    words: u64,
}

/// Where the reading is.
#[derive(Default, Debug)]
struct Place {
    text_number: usize,
    char: u64,
    part: Option<String>,
    heading: Option<String>,
}

/// The passage that is being read.
#[derive(Default, Debug)]
struct Begun {
    from: u64,
    part: Option<String>,
    heading: Option<String>,
    text: String,
    chars: usize,
}

impl Search {
    /// Begins to look. `None`: there is no word to look for.
    #[must_use]
    pub fn new(words: &str) -> Option<Self> {
        // These mean something to a person who types a query. Whoever calls a tool may only have copied them.
        let plain: String =
            words.chars().map(|letter| if matches!(letter, ':' | '"') { ' ' } else { letter }).collect();
        let query = Query::parse(&plain);
        if query.is_empty() {
            return None;
        }
        Some(Self {
            matcher: query.matcher([]),
            lines: Lines::default(),
            at: Place::default(),
            passage: Begun::default(),
            kept: Vec::new(),
            with_word: vec![0; query.words.len()],
            passages: 0,
            words: 0,
        })
    }

    /// Takes the next piece of a text.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.push(bytes, |line| self.line(line));
        self.lines = lines;
    }

    /// The text is at its end; the next piece is of the next one.
    pub fn end_text(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.end(|line| self.line(line));
        self.end_passage();
        self.at = Place { text_number: self.at.text_number.saturating_add(1), ..Place::default() };
    }

    /// The best passages, the best first.
    #[must_use]
    pub fn end(mut self) -> Vec<Found> {
        self.end_text();
        let mut scored: Vec<_> = std::mem::take(&mut self.kept)
            .into_iter()
            .map(|candidate| (self.score(&candidate), candidate.found))
            .collect();
        scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        scored.into_iter().take(MAX_FOUND).map(|(_, found)| found).collect()
    }

    fn line(&mut self, line: &str) {
        let is_mark = part(line).map(|(_, mark)| mark.to_owned());
        let is_heading = heading(line).map(|words| words.chars().take(MAX_HEADING_CHARS).collect::<String>());
        let is_empty = line.trim().is_empty();
        if is_mark.is_some() || is_heading.is_some() || is_empty && self.passage.chars >= ENOUGH_CHARS {
            self.end_passage();
        }
        if let Some(mark) = is_mark {
            self.at.part = Some(mark);
            self.at.heading = None;
            self.at.char = self.at.char.saturating_add(line.chars().count() as u64);
            return;
        }
        if is_heading.is_some() {
            self.at.heading = is_heading;
        }
        // A word is whole in one passage, but where there are no spaces.
        for word in line.split_inclusive(char::is_whitespace) {
            let chars = word.chars().count();
            if self.passage.chars.saturating_add(chars) > MAX_PASSAGE_CHARS {
                self.end_passage();
            }
            for letter in word.chars() {
                if self.passage.chars == MAX_PASSAGE_CHARS {
                    self.end_passage();
                }
                self.letter(letter);
            }
        }
    }

    fn letter(&mut self, letter: char) {
        if self.passage.chars == 0 {
            let Place { char: from, part, heading, .. } = &self.at;
            self.passage = Begun {
                from: *from,
                part: part.clone(),
                heading: heading.clone(),
                ..std::mem::take(&mut self.passage)
            };
        }
        self.passage.text.push(letter);
        self.passage.chars = self.passage.chars.saturating_add(1);
        self.at.char = self.at.char.saturating_add(1);
    }

    fn end_passage(&mut self) {
        let Begun { from, part, heading, text, chars } = std::mem::take(&mut self.passage);
        if text.trim().is_empty() {
            return;
        }
        let search_terms::Counts { words: counts, length } = self.matcher.counts(&text);
        self.passages = self.passages.saturating_add(1);
        self.words = self.words.saturating_add(length.into());
        for (with_word, count) in self.with_word.iter_mut().zip(&counts) {
            *with_word = with_word.saturating_add(u32::from(*count > 0));
        }
        if counts.iter().all(|count| *count == 0) {
            return;
        }
        let (to, text_number) = (from.saturating_add(chars as u64), self.at.text_number);
        let found = Found { text_number, from, to, part, heading, text: text.trim_end().to_owned() };
        self.kept.push(Candidate { found, counts, length });
        if self.kept.len() > 2 * MAX_KEPT {
            let mut scored: Vec<_> = std::mem::take(&mut self.kept)
                .into_iter()
                .map(|candidate| (self.score(&candidate), candidate))
                .collect();
            scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            self.kept = scored.into_iter().take(MAX_KEPT).map(|(_, candidate)| candidate).collect();
        }
    }

    /// BM25, with what is known of all passages until now.
    fn score(&self, candidate: &Candidate) -> f64 {
        let passages = f64::from(self.passages.max(1));
        #[expect(clippy::cast_precision_loss, reason = "no text has so many words that it would show")]
        let average = (self.words as f64 / passages).max(1.0);
        let longer = 1.0 - B + B * f64::from(candidate.length) / average;
        let scores = candidate.counts.iter().zip(&self.with_word).map(|(count, with_word)| {
            let (count, with_word) = (f64::from(*count), f64::from(*with_word));
            let rarity = ((passages - with_word + 0.5) / (with_word + 0.5)).ln_1p();
            rarity * count * (K1 + 1.0) / (count + K1 * longer)
        });
        scores.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(words: &str, texts: &[&str]) -> Vec<Found> {
        let mut search = Search::new(words).unwrap();
        for text in texts {
            for piece in text.as_bytes().chunks(11) {
                search.push(piece);
            }
            search.end_text();
        }
        search.end()
    }

    fn book() -> String {
        let page = |number: u32| {
            format!("[Page {number}]\n\n## Chapter {number}\n\n{}\n\n", "The ship sailed on and on. ".repeat(80))
        };
        (1..=120).map(page).collect::<String>()
            + "[Page 121]\n\n## Lieferfristen\n\nDie Häuser werden im März übergeben, spätestens am 14.\n\n"
            + &(122..=300).map(page).collect::<String>()
    }

    #[test]
    fn the_only_page_that_says_it_is_found_with_its_place_whatever_the_ending() {
        let book = book();
        let found = search("Wann wird das Haus übergeben?", &["nothing here", &book]);
        let best = found.first().unwrap();
        assert_eq!(
            (best.text_number, best.part.as_deref(), best.heading.as_deref()),
            (1, Some("[Page 121]"), Some("Lieferfristen"))
        );
        let place: String =
            book.chars().skip(usize::try_from(best.from).unwrap()).take(best.text.chars().count()).collect();
        assert_eq!(place, best.text);
        assert!(best.text.contains("spätestens am 14"));
    }

    #[test]
    fn a_passage_with_more_and_rarer_words_is_better_and_there_are_few_of_them() {
        let text =
            "The report is long.\n\n".repeat(2_000) + "# Costs\n\nThe report says what a bridge costs: 3 million.";
        let found = search("report bridge costs", &[&text]);
        assert!(found.len() <= MAX_FOUND && found.first().unwrap().text.contains("3 million"), "{found:?}");
        assert!(found.iter().all(|found| found.text.chars().count() <= MAX_PASSAGE_CHARS));
    }

    #[test]
    fn texts_without_spaces_or_line_ends_are_searched() {
        let japanese = "あ".repeat(5_000) + "東京都の人口" + &"い".repeat(5_000);
        let found = search("東京都", &[&japanese]);
        assert!(found.first().unwrap().text.contains("東京都"), "{found:?}");
        assert!(search("absent", &[&"x".repeat(100_000)]).is_empty());
    }

    #[test]
    fn what_has_no_word_looks_for_nothing_and_signs_of_queries_are_none() {
        assert!(Search::new(" ?! ").is_none());
        assert_eq!(search("from:Bob \"big hill", &["Bob stood on a hill."]).len(), 1);
    }
}
