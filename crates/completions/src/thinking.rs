//! Finds reasoning that a model writes into its answer, between tags. Only at the very beginning: later the text may be about the tags.

use crate::round::Piece;

/// The tags that models are trained to use.
const TAGS: [&str; 4] = ["think", "thinking", "thought", "reasoning"];

/// The most white space and tag at the beginning. A longer text is an answer.
const MAX_BEGINNING_BYTES: usize = 64;

/// The position in the answer.
#[derive(Clone, Debug)]
enum Place {
    /// At the beginning, with text that may become a tag. It is held back.
    Beginning(String),
    /// Between the tags. Text that may become the closing tag is held back.
    Within { tag: &'static str, held: String, has_begun: bool },
    /// After the closing tag: line ends here are not part of the answer.
    After,
    /// In the answer.
    Answer,
}

/// Splits an answer while it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Thinking {
    place: Place,
    was_opened: bool,
}

impl Default for Thinking {
    fn default() -> Self {
        Self { place: Place::Beginning(String::new()), was_opened: false }
    }
}

impl Thinking {
    /// Starts after a closing tag.
    pub(crate) const fn closed() -> Self {
        Self { place: Place::After, was_opened: true }
    }

    /// Whether the answer began with an opening tag.
    pub(crate) const fn was_opened(&self) -> bool {
        self.was_opened
    }

    /// Whether the rest is text, so that no tag must be looked for.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.place, Place::Answer)
    }

    /// Reads the next text.
    pub(crate) fn read(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        match &mut self.place {
            Place::Beginning(held) => {
                held.push_str(text);
                let held = held.clone();
                let begun = held.trim_start().to_lowercase();
                let opened = TAGS.into_iter().find(|tag| begun.starts_with(&format!("<{tag}>")));
                if let Some(tag) = opened {
                    self.was_opened = true;
                    self.place = Place::Within { tag, held: String::new(), has_begun: false };
                    self.read(held.split_once('>').map_or("", |(_, rest)| rest), pieces);
                } else if held.len() > MAX_BEGINNING_BYTES
                    || !TAGS.iter().any(|tag| format!("<{tag}>").starts_with(&begun))
                {
                    self.place = Place::Answer;
                    pieces.push(Piece::Text(held));
                }
            }
            Place::Within { tag, held, has_begun } => {
                held.push_str(text);
                let closing = format!("</{tag}>");
                let (thought, rest) = match find(held, &closing) {
                    Some(at) => (at, held.get(at + closing.len()..).map(str::to_owned)),
                    None => (beginning_of(held, &closing), None),
                };
                // Models that skip reasoning write only line ends between the tags.
                let is_blank = !*has_begun && held.get(..thought).is_some_and(|thought| thought.trim().is_empty());
                if !is_blank || (rest.is_none() && held.len() > MAX_BEGINNING_BYTES) {
                    *has_begun = true;
                    let after = held.split_off(thought);
                    let thought = std::mem::replace(held, after);
                    if !thought.is_empty() {
                        pieces.push(Piece::Reasoning(thought));
                    }
                }
                if let Some(rest) = rest {
                    self.place = Place::After;
                    self.read(&rest, pieces);
                }
            }
            Place::After => {
                let text = text.trim_start();
                if !text.is_empty() {
                    self.place = Place::Answer;
                    pieces.push(Piece::Text(text.to_owned()));
                }
            }
            Place::Answer => pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// The answer is over: emits text that was held back. Returns the tag if it was never closed.
    pub(crate) fn finish(&mut self, pieces: &mut Vec<Piece>) -> Option<&'static str> {
        match std::mem::replace(&mut self.place, Place::Answer) {
            Place::Beginning(held) if !held.is_empty() => pieces.push(Piece::Text(held)),
            Place::Within { tag, held, .. } => {
                if !held.is_empty() {
                    pieces.push(Piece::Reasoning(held));
                }
                return Some(tag);
            }
            Place::Beginning(_) | Place::After | Place::Answer => {}
        }
        None
    }
}

/// The position of a tag, in any case.
fn find(text: &str, tag: &str) -> Option<usize> {
    text.as_bytes().windows(tag.len()).position(|window| window.eq_ignore_ascii_case(tag.as_bytes()))
}

/// The position where the text's end may begin a tag, or the text's length.
fn beginning_of(text: &str, tag: &str) -> usize {
    let bytes = text.as_bytes();
    let longest = (1..tag.len()).rev().find(|length| {
        let end = bytes.len().checked_sub(*length).and_then(|at| bytes.get(at..));
        end.is_some_and(|end| {
            tag.as_bytes().get(..*length).is_some_and(|beginning| end.eq_ignore_ascii_case(beginning))
        })
    });
    bytes.len() - longest.unwrap_or(0)
}
