//! What a file contains, as text: the answer of this crate, and the body of the component `extract`.
//!
//! Offsets count characters (Unicode scalar values) of [`Document::text`], so that they mean the same in every language. Only data: who writes it is
//! `writer.rs`.

use serde::{Deserialize, Serialize};

use crate::Kind;

/// A file's text and its structure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// What the file is.
    pub kind: Kind,
    /// The title that the file itself names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The whole text. An empty line is between two blocks, a tab between the cells of a table.
    pub text: String,
    /// Pages, sheets, slides, chapters or messages, in order.
    pub parts: Vec<Part>,
    /// The blocks of the text, in order. They do not overlap.
    pub blocks: Vec<Block>,
    /// What a reader should know: what is missing, and why.
    pub notes: Vec<Note>,
}

/// A page, sheet, slide, chapter or message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// The first is 1.
    pub number: u32,
    /// What the file calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its first character in the text.
    pub start: u32,
    /// The character after its last one.
    pub end: u32,
    /// Whether it is a picture of text, which only a model that sees can read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_scanned: bool,
}

/// What a part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum PartKind {
    Page,
    Sheet,
    Slide,
    Chapter,
    Message,
}

/// A piece of the text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its first character in the text.
    pub start: u32,
    /// The character after its last one.
    pub end: u32,
    /// A heading's level: 1 is the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The heading that it stands under: an index of [`Document::blocks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<u32>,
    /// The part that it begins in: an index of [`Document::parts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
}

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A heading or a title.
    Heading,
    /// Running text.
    Paragraph,
    /// An item of a list.
    Item,
    /// A table: a line for each row, a tab between cells.
    Table,
    /// Text whose spaces and lines mean something.
    Code,
}

/// What a reader should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// For programs.
    pub code: NoteCode,
    /// For people.
    pub detail: String,
}

/// What a note is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteCode {
    /// The text is longer than the limit, and its end is missing.
    Truncated,
    /// Some or all pages are pictures of text.
    Scanned,
    /// Some text is in fonts that do not say which letters they show.
    UnknownLetters,
    /// A part of the file is broken, and its text is missing.
    Damaged,
    /// Files inside the file were not read.
    Attachments,
    /// The file contains no text.
    NoText,
}

impl Document {
    /// The headings above a block, the highest first.
    #[must_use]
    pub fn headings(&self, block: &Block) -> Vec<&Block> {
        let mut headings = Vec::new();
        let mut next = block.under;
        // A heading stands before what is under it, so this ends even if somebody else wrote the document.
        while let Some(index) = next {
            let Some(heading) = usize::try_from(index).ok().and_then(|index| self.blocks.get(index)) else { break };
            headings.push(heading);
            next = heading.under.filter(|under| *under < index);
        }
        headings.reverse();
        headings
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
