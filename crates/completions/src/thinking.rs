//! Reasoning that a model writes into its answer, between tags. Only at the very beginning: later on, somebody may be talking about the tags.

use crate::round::Piece;

/// The tags that models are told to use.
const TAGS: [&str; 4] = ["think", "thinking", "thought", "reasoning"];

/// White space before a tag, and the tag: what is longer is an answer.
const MAX_BEGINNING_BYTES: usize = 64;

/// Where in the answer we are.
#[derive(Clone, Debug)]
enum Place {
    /// Nothing but what may become a tag has come: it is held back.
    Beginning(String),
    /// Between the tags. What may become the closing one is held back.
    Within { tag: &'static str, held: String, has_begun: bool },
    /// Right after the closing one: line ends are not part of the answer.
    After,
    /// In the answer.
    Answer,
}

/// Splits an answer as it comes.
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
    /// Right after a closing tag.
    pub(crate) const fn closed() -> Self {
        Self { place: Place::After, was_opened: true }
    }

    /// Whether there was an opening tag at the beginning.
    pub(crate) const fn was_opened(&self) -> bool {
        self.was_opened
    }

    /// Whether whatever comes is text, so that nothing need be looked for.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.place, Place::Answer)
    }

    /// Reads what comes next.
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
                // Models that need not think leave nothing but line ends there.
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

    /// The answer is over: gives out what was held back. The tag that was opened and never closed, if so.
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

/// Where a tag is, however it is written.
fn find(text: &str, tag: &str) -> Option<usize> {
    text.as_bytes().windows(tag.len()).position(|window| window.eq_ignore_ascii_case(tag.as_bytes()))
}

/// Where the beginning of a tag is with which the text ends, or its end.
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
