//! A stretch of a text, from a place on.

use crate::lines::{Lines, part};

/// The longest stretch: some 4,000 tokens, of which several fit into the context of any model with tools.
pub const MAX_STRETCH_CHARS: usize = 16_000;

/// Where a stretch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At a character, from 0.
    Character(u64),
    /// At the page, sheet, slide, chapter or message with this number, from 1.
    Part(u32),
}

/// A stretch that was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Read {
    /// The text. Empty: the text ends before, or there is no such part.
    pub text: String,
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// The line of the part in which it begins, such as `[Page 7]`.
    pub part: Option<String>,
    /// Whether there is more behind it.
    pub has_more: bool,
    /// The number of the last part that was seen.
    pub last_part: Option<u32>,
}

/// Reads a stretch.
#[derive(Debug)]
pub struct Stretch {
    start: Start,
    lines: Lines,
    taken: Taken,
}

#[derive(Default, Debug)]
struct Taken {
    read: Read,
    /// The characters before the next line.
    at: u64,
    chars: usize,
    has_begun: bool,
}

impl Stretch {
    /// Begins to read.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self { start, lines: Lines::default(), taken: Taken::default() }
    }

    /// Takes the next piece of the text. `false`: no more is needed.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Self { start, lines, taken } = self;
        lines.push(bytes, |line| taken.take(*start, line));
        !taken.read.has_more
    }

    /// What was read.
    #[must_use]
    pub fn end(self) -> Read {
        let Self { start, mut lines, mut taken } = self;
        lines.end(|line| taken.take(start, line));
        taken.read
    }
}

impl Taken {
    fn take(&mut self, start: Start, line: &str) {
        if self.read.has_more {
            return;
        }
        let length = line.chars().count() as u64;
        let (before, next) = (self.at, self.at.saturating_add(length));
        self.at = next;
        let begins = part(line);
        if let Some((number, _)) = begins {
            self.read.last_part = Some(number);
        }
        let mut skipped = 0;
        if !self.has_begun {
            if let Some((_, mark)) = begins {
                self.read.part = Some(mark.to_owned());
            }
            let begins_here = match start {
                Start::Part(wanted) => begins.is_some_and(|(number, _)| number == wanted),
                Start::Character(from) => from < next,
            };
            if !begins_here {
                return;
            }
            self.has_begun = true;
            if let Start::Character(from) = start {
                skipped = from.saturating_sub(before);
            }
            self.read.from = before.saturating_add(skipped);
            self.read.to = self.read.from;
        }
        for letter in line.chars().skip(usize::try_from(skipped).unwrap_or(usize::MAX)) {
            if self.chars == MAX_STRETCH_CHARS {
                self.read.has_more = true;
                return;
            }
            self.read.text.push(letter);
            self.chars = self.chars.saturating_add(1);
            self.read.to = self.read.to.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, start: Start) -> Read {
        let mut stretch = Stretch::new(start);
        for piece in text.as_bytes().chunks(7) {
            if !stretch.push(piece) {
                break;
            }
        }
        stretch.end()
    }

    #[test]
    fn a_text_is_read_from_a_character_on_and_the_next_stretch_follows() {
        let text: String = (0..3_000).map(|number| format!("Größe {number}\n")).collect();
        let (mut all, mut from, mut stretches) = (String::new(), 0, 0);
        loop {
            let read = read(&text, Start::Character(from));
            assert_eq!((read.from, read.to - read.from), (from, read.text.chars().count() as u64));
            all.push_str(&read.text);
            (from, stretches) = (read.to, stretches + 1);
            if !read.has_more {
                break;
            }
            assert_eq!(read.text.chars().count(), MAX_STRETCH_CHARS);
        }
        assert!(all == text && stretches == 2, "{stretches}");
    }

    #[test]
    fn a_part_is_read_by_its_number_and_one_knows_where_one_is() {
        let text = "Title\n\n[Page 1]\n\none\n\n[Page 2: Über]\n\ntwo";
        let two = read(text, Start::Part(2));
        assert_eq!((two.text.as_str(), two.from, two.to), ("[Page 2: Über]\n\ntwo", 22, 41));
        assert_eq!((two.part.as_deref(), two.has_more), (Some("[Page 2: Über]"), false));
        let within = read(text, Start::Character(18));
        assert_eq!((within.text.get(..3), within.part.as_deref()), (Some("ne\n"), Some("[Page 1]")));
    }

    #[test]
    fn what_is_not_there_is_empty() {
        let none = read("[Page 1]\n\none", Start::Part(3));
        assert_eq!((none.text.as_str(), none.last_part, none.has_more), ("", Some(1), false));
        assert_eq!(read("one", Start::Character(3)).text, "");
        assert_eq!(read("", Start::Character(0)), Read::default());
    }
}
