//! A document as one text with marks, for a model: a line where each page, sheet, slide, chapter or message begins, and `#` before headings. Must not say what
//! is missing: the notes do.

use crate::{Block, BlockKind, Document, NoteCode, Part, PartKind};

impl Document {
    /// The text with marks. Items of a list stand under each other, other blocks have an empty line between them.
    #[must_use]
    pub fn marked(&self) -> String {
        let mut marked = String::with_capacity(self.text.len());
        let mut rest = Rest { text: &self.text, at: 0 };
        let (mut parts, mut begun) = (self.parts.iter(), 0);
        let mut before = None;
        for block in &self.blocks {
            for part in parts.by_ref().take(parts_before(block, begun)) {
                (begun, before) = (begun.saturating_add(1), None);
                mark(&mut marked, part);
            }
            rest.take(block.start);
            let text = rest.take(block.end);
            let are_items = block.kind == BlockKind::Item && before == Some(BlockKind::Item);
            marked.push_str(match (marked.is_empty(), are_items) {
                (true, _) => "",
                (false, true) => "\n",
                (false, false) => "\n\n",
            });
            if block.kind == BlockKind::Heading {
                marked.extend(std::iter::repeat_n('#', block.level.unwrap_or(1).clamp(1, 6).into()));
                marked.push(' ');
            }
            marked.push_str(text);
            before = Some(block.kind);
        }
        for part in parts {
            mark(&mut marked, part);
        }
        marked
    }
}

/// How many parts begin before a block, after those that have begun.
fn parts_before(block: &Block, begun: u32) -> usize {
    let until = block.part.map_or(begun, |part| part.saturating_add(1));
    usize::try_from(until.saturating_sub(begun)).unwrap_or_default()
}

/// A line that says which part begins.
fn mark(marked: &mut String, part: &Part) {
    let kind = match part.kind {
        PartKind::Page => "Page",
        PartKind::Sheet => "Sheet",
        PartKind::Slide => "Slide",
        PartKind::Chapter => "Chapter",
        PartKind::Message => "Message",
    };
    if !marked.is_empty() {
        marked.push_str("\n\n");
    }
    marked.push_str(&format!("[{kind} {}", part.number));
    if let Some(name) = &part.name {
        marked.push_str(": ");
        marked.push_str(name);
    }
    marked.push_str(if part.is_scanned { ", a picture of text]" } else { "]" });
}

/// What was not taken of a text, and how many characters were.
struct Rest<'t> {
    text: &'t str,
    at: u32,
}

impl<'t> Rest<'t> {
    /// The characters up to this one.
    fn take(&mut self, end: u32) -> &'t str {
        let wanted = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let cut = self.text.char_indices().nth(wanted).map_or(self.text.len(), |(cut, _)| cut);
        let (taken, rest) = self.text.split_at_checked(cut).unwrap_or((self.text, ""));
        (self.text, self.at) = (rest, self.at.max(end));
        taken
    }
}

impl NoteCode {
    /// The code as JSON has it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Scanned => "scanned",
            Self::UnknownLetters => "unknown_letters",
            Self::Damaged => "damaged",
            Self::Attachments => "attachments",
            Self::NoText => "no_text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Note};

    fn block(kind: BlockKind, start: u32, end: u32, part: u32) -> Block {
        let level = (kind == BlockKind::Heading).then_some(2);
        Block { kind, start, end, level, under: None, part: Some(part) }
    }

    fn part(number: u32, name: Option<&str>, is_scanned: bool) -> Part {
        Part { kind: PartKind::Page, number, name: name.map(str::to_owned), start: 0, end: 0, is_scanned }
    }

    #[test]
    fn parts_and_headings_are_marked_and_lists_stay_together() {
        let document = Document {
            kind: Kind::Pdf,
            title: None,
            text: "Größe\n\n- ä\n\n- b\n\nEnd".into(),
            parts: vec![part(1, None, true), part(2, Some("Maße"), false), part(3, None, false), part(4, None, true)],
            blocks: vec![
                block(BlockKind::Heading, 0, 5, 1),
                block(BlockKind::Item, 7, 10, 1),
                block(BlockKind::Item, 12, 15, 1),
                block(BlockKind::Paragraph, 17, 20, 2),
            ],
            notes: vec![Note { code: NoteCode::Scanned, detail: String::new() }],
        };
        let expected = "[Page 1, a picture of text]\n\n[Page 2: Maße]\n\n## Größe\n\n- ä\n- b\n\n[Page 3]\n\nEnd\n\n[Page 4, a picture of text]";
        assert_eq!(document.marked(), expected);
    }

    #[test]
    fn a_document_that_somebody_else_wrote_wrongly_does_no_harm() {
        let blocks = vec![block(BlockKind::Paragraph, 2, 99, 7), block(BlockKind::Paragraph, 1, 2, 0)];
        let (text, parts, notes) = ("abc".to_owned(), Vec::new(), Vec::new());
        let document = Document { kind: Kind::Text, title: None, text, parts, blocks, notes };
        assert_eq!(document.marked(), "c\n\n");
        assert_eq!(
            serde_json::to_string(&NoteCode::UnknownLetters).unwrap(),
            format!("\"{}\"", NoteCode::UnknownLetters.code())
        );
    }
}
