//! Writes a document: keeps the offsets, the headings above each block, and the limits. Every reader of a kind of file ends here.

use crate::{Block, BlockKind, Document, Kind, Note, NoteCode, Part, PartKind, TEXT_MAX_BYTES, table::Table};

/// A thousand pages have fewer blocks, and so many do not make the answer larger than its text could be.
const BLOCKS_MAX: usize = 50_000;
/// Pages, sheets, slides and messages. A file of 16 MB that has more of them is made to be a burden.
const PARTS_MAX: usize = 20_000;
/// A file has fewer things to say about itself; mails can have many attachments.
const NOTES_MAX: usize = 50;
/// A name of a sheet or a title is a line.
const NAME_MAX_CHARS: usize = 300;

/// Writes a document.
pub(crate) struct Writer {
    document: Document,
    /// The characters of the text.
    chars: u32,
    /// The open headings by their level, each an index of a block.
    headings: Vec<(u8, u32)>,
    is_truncated: bool,
}

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        let (text, parts, blocks, notes) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            document: Document { kind, title: None, text, parts, blocks, notes },
            chars: 0,
            headings: Vec::new(),
            is_truncated: false,
        }
    }

    /// Whether nothing more is taken, so that reading on would be work for nothing.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_truncated
    }

    /// Whether nothing was written yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.document.blocks.is_empty()
    }

    /// The title, if the file has not named one before.
    pub(crate) fn title(&mut self, title: &str) {
        let title = line(title);
        if self.document.title.is_none() && !title.is_empty() {
            self.document.title = Some(title);
        }
    }

    /// A part begins. Headings of the part before go on over a page's end, and over no other.
    pub(crate) fn part(&mut self, kind: PartKind, name: Option<&str>) {
        if self.document.parts.len() >= PARTS_MAX {
            self.truncate();
            return;
        }
        if kind != PartKind::Page {
            self.headings.clear();
        }
        let number = u32::try_from(self.document.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let name = name.map(line).filter(|name| !name.is_empty());
        // The empty line before the first block is set then.
        let start = self.chars;
        self.document.parts.push(Part { kind, number, name, start, end: start, is_scanned: false });
    }

    /// The part that was begun last is a picture of text.
    pub(crate) fn scanned(&mut self) {
        if let Some(part) = self.document.parts.last_mut() {
            part.is_scanned = true;
        }
    }

    pub(crate) fn scanned_parts(&self) -> usize {
        self.document.parts.iter().filter(|part| part.is_scanned).count()
    }

    pub(crate) fn parts(&self) -> usize {
        self.document.parts.len()
    }

    /// A heading of a level, 1 to 6.
    pub(crate) fn heading(&mut self, level: u8, text: &str) {
        let level = level.clamp(1, 6);
        self.headings.retain(|(open, _)| *open < level);
        if let Some(index) = self.block(BlockKind::Heading, Some(level), &prose(text)) {
            self.headings.push((level, index));
        }
    }

    /// Running text: spaces are joined, line breaks are kept.
    pub(crate) fn paragraph(&mut self, text: &str) {
        self.block(BlockKind::Paragraph, None, &prose(text));
    }

    /// An item of a list, without its mark.
    pub(crate) fn item(&mut self, text: &str) {
        let text = prose(text);
        if !text.is_empty() {
            self.block(BlockKind::Item, None, &format!("- {text}"));
        }
    }

    /// A table. It is emptied.
    pub(crate) fn table(&mut self, table: &mut Table) {
        let text = table.take();
        self.block(BlockKind::Table, None, &text);
    }

    /// A table that is text already.
    pub(crate) fn rows(&mut self, text: &str) {
        self.block(BlockKind::Table, None, &clean(text));
    }

    /// Text whose spaces and lines mean something.
    pub(crate) fn code(&mut self, text: &str) {
        self.verbatim(BlockKind::Code, text);
    }

    /// A block as the file writes it.
    pub(crate) fn verbatim(&mut self, kind: BlockKind, text: &str) {
        let text = clean(text);
        // Spaces at the beginning of the first line belong to it.
        let text = text.trim_end().trim_start_matches(['\n', '\u{feff}']);
        self.block(kind, None, text);
    }

    pub(crate) fn note(&mut self, code: NoteCode, detail: impl Into<String>) {
        let is_known = self.document.notes.iter().any(|note| note.code == code && code != NoteCode::Attachments);
        if !is_known && self.document.notes.len() < NOTES_MAX {
            self.document.notes.push(Note { code, detail: detail.into() });
        }
    }

    /// Nothing more is taken.
    pub(crate) fn truncate(&mut self) {
        self.is_truncated = true;
        self.note(NoteCode::Truncated, "The file has more text than is read: its end is missing.");
    }

    fn block(&mut self, kind: BlockKind, level: Option<u8>, text: &str) -> Option<u32> {
        if text.trim().is_empty() || self.is_truncated {
            return None;
        }
        let between = if self.document.text.is_empty() { "" } else { "\n\n" };
        let room = TEXT_MAX_BYTES.saturating_sub(self.document.text.len().saturating_add(between.len()));
        if self.document.blocks.len() >= BLOCKS_MAX || room == 0 {
            self.truncate();
            return None;
        }
        let cut = cut(text, room);
        self.document.text.push_str(between);
        self.document.text.push_str(cut);
        let start = self.chars.saturating_add(count(between));
        self.chars = start.saturating_add(count(cut));
        let number = |length: usize| u32::try_from(length).ok();
        let index = number(self.document.blocks.len());
        let part = self.document.parts.len().checked_sub(1).and_then(number);
        let under = self.headings.last().map(|(_, index)| *index);
        self.document.blocks.push(Block { kind, start, end: self.chars, level, under, part });
        if let Some(part) = self.document.parts.last_mut() {
            if part.start == part.end {
                part.start = start;
            }
            part.end = self.chars;
        }
        if cut.len() < text.len() {
            self.truncate();
        }
        index
    }

    pub(crate) fn finish(mut self) -> Document {
        if self.is_empty() && self.scanned_parts() == 0 {
            self.note(NoteCode::NoText, "The file contains no text.");
        }
        self.document
    }
}

fn count(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// The beginning of a text that fits.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// A text in one line, of a limited length.
pub(crate) fn line(text: &str) -> String {
    let text = clean(cut(text, NAME_MAX_CHARS.saturating_mul(8)));
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(NAME_MAX_CHARS).collect()
}

/// Without characters that show nothing: controls, and those that a person does not see but a model reads.
pub(crate) fn clean(text: &str) -> String {
    let is_kept = |c: &char| {
        matches!(c, '\n' | '\t')
            || !(c.is_control()
                || matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fffc}' | '\u{fffe}' | '\u{ffff}'))
    };
    hypertext::seen(text)
        .replace("\r\n", "\n")
        .replace(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}'], "\n")
        .chars()
        .filter(is_kept)
        .collect()
}

/// Running text: no spaces at the ends of lines, one between words.
fn prose(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    for line in clean(text).lines() {
        let mut is_first = true;
        for word in line.split([' ', '\t', '\u{a0}']).filter(|word| !word.is_empty()) {
            if is_first && !prose.is_empty() {
                prose.push('\n');
            } else if !is_first {
                prose.push(' ');
            }
            is_first = false;
            prose.push_str(word);
        }
    }
    prose
}
