//! OpenDocument texts, spreadsheets and presentations (ISO/IEC 26300): headings, lists, tables, sheets, slides, notes. Text that was deleted while
//! changes were tracked is not read.

use crate::{
    PartKind, Unreadable,
    archive::Archive,
    charset,
    kind::contains,
    markup::{Markup, Piece, attribute, closed, name},
    office,
    table::{self, Table},
    writer::Writer,
};

/// How often a repeated row or cell is written. Programs repeat empty ones to the sheet's end, and those are not written at all.
const REPEATED_MAX: usize = 64;
/// How many spaces one element may stand for.
const SPACES_MAX: usize = 64;
/// How deep notes and text boxes stand in paragraphs.
const DEPTH_MAX: usize = 16;

pub(crate) fn read(bytes: Vec<u8>, writer: &mut Writer) -> Result<(), Unreadable> {
    let mut archive = Archive::open(&bytes)?;
    let list = archive.read("META-INF/manifest.xml")?.unwrap_or_default();
    if contains(&list, b"encryption-data") {
        return Err(Unreadable::Encrypted);
    }
    let properties = archive.read("meta.xml")?.unwrap_or_default();
    writer.title(&office::element(&charset::xml(&properties), "title"));
    let content = archive.need("content.xml")?;
    let mut body = Body::new(writer);
    let is_damaged = body.read(&charset::xml(&content));
    body.finish();
    if is_damaged { office::damaged(writer) } else { Ok(()) }
}

/// An open paragraph or heading.
struct Paragraph {
    text: String,
    level: Option<u8>,
}

struct Body<'w> {
    writer: &'w mut Writer,
    open: Vec<Paragraph>,
    lists: usize,
    /// Whether the next paragraph begins an item.
    is_item: bool,
    tables: usize,
    table: Table,
    cell: String,
    /// How often the open cell and the open row are repeated, and the words of the row's cells.
    cell_repeated: usize,
    row_repeated: usize,
    row: Vec<(String, usize)>,
    is_sheet: bool,
    /// What the open frame of a slide is: `title`, `notes`.
    class: String,
    is_speaker_notes: bool,
    /// The mark of the open foot note, and the notes until now.
    note_mark: String,
    notes: Vec<String>,
    in_note: bool,
}

impl<'w> Body<'w> {
    fn new(writer: &'w mut Writer) -> Self {
        Self {
            writer,
            open: Vec::new(),
            lists: 0,
            is_item: false,
            tables: 0,
            table: Table::default(),
            cell: String::new(),
            cell_repeated: 1,
            row_repeated: 1,
            row: Vec::new(),
            is_sheet: false,
            class: String::new(),
            is_speaker_notes: false,
            note_mark: String::new(),
            notes: Vec::new(),
            in_note: false,
        }
    }

    /// Returns whether the markup is broken.
    fn read(&mut self, text: &str) -> bool {
        let mut markup = Markup::new(text);
        while let Some(piece) = markup.next() {
            if self.writer.is_full() {
                return false;
            }
            match piece {
                Piece::Open(tag) => match name(&tag) {
                    "tracked-changes" | "annotation" | "automatic-styles" | "font-face-decls" | "forms" | "desc"
                    | "named-expressions" => markup.skip(),
                    "note-citation" => {
                        self.note_mark.clear();
                        self.note_mark.push_str(&attribute(&tag, "label").unwrap_or_default());
                        // Its text is the mark.
                        while let Some(piece) = markup.next() {
                            match piece {
                                Piece::Text(text) if self.note_mark.is_empty() => self.note_mark.push_str(&text),
                                Piece::Close(_) => break,
                                _ => {}
                            }
                        }
                        let mark = format!("[{}]", self.note_mark);
                        self.push(&mark);
                    }
                    other => self.open(other, &tag),
                },
                Piece::Text(text) => self.push_words(&text),
                Piece::Close(tag) => self.close(closed(&tag)),
            }
        }
        markup.is_damaged()
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.open.last_mut() {
            paragraph.text.push_str(text);
        }
    }

    /// Line breaks in the markup are spaces.
    fn push_words(&mut self, text: &str) {
        if let Some(paragraph) = self.open.last_mut() {
            paragraph
                .text
                .extend(text.chars().map(|letter| if letter == '\n' || letter == '\r' { ' ' } else { letter }));
        }
    }

    fn open(&mut self, name: &str, tag: &quick_xml::events::BytesStart<'_>) {
        let number = |name: &str| attribute(tag, name).and_then(|value| value.parse::<usize>().ok());
        match name {
            "spreadsheet" => self.is_sheet = true,
            "p" if self.open.len() < DEPTH_MAX => self.open.push(Paragraph { text: String::new(), level: None }),
            "h" if self.open.len() < DEPTH_MAX => {
                let level = number("outline-level").and_then(|level| u8::try_from(level).ok()).unwrap_or(1);
                self.open.push(Paragraph { text: String::new(), level: Some(level) });
            }
            "s" => self.push(&" ".repeat(number("c").unwrap_or(1).min(SPACES_MAX))),
            "tab" => self.push("\t"),
            "line-break" => self.push("\n"),
            "list" => self.lists = self.lists.saturating_add(1),
            "list-item" => self.is_item = true,
            "note-body" => self.in_note = true,
            "page" => self.writer.part(PartKind::Slide, attribute(tag, "name").as_deref()),
            "frame" | "custom-shape" => self.class = attribute(tag, "class").unwrap_or_default(),
            "notes" => self.is_speaker_notes = true,
            "table" => {
                self.tables = self.tables.saturating_add(1);
                if self.is_sheet && self.tables == 1 {
                    self.writer.part(PartKind::Sheet, attribute(tag, "name").as_deref());
                }
            }
            "table-row" if self.tables == 1 => {
                self.row.clear();
                self.row_repeated = number("number-rows-repeated").unwrap_or(1);
            }
            "table-cell" | "covered-table-cell" if self.tables == 1 => {
                self.cell.clear();
                self.cell_repeated = number("number-columns-repeated").unwrap_or(1);
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" | "h" => self.end_paragraph(),
            "list" => self.lists = self.lists.saturating_sub(1),
            "note-body" => self.in_note = false,
            "notes" => self.is_speaker_notes = false,
            "frame" | "custom-shape" => self.class.clear(),
            "table-cell" | "covered-table-cell" if self.tables == 1 => {
                self.row.push((table::words(&std::mem::take(&mut self.cell)), self.cell_repeated));
            }
            "table-row" if self.tables == 1 => self.end_row(),
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    self.writer.table(&mut self.table);
                }
            }
            _ => {}
        }
    }

    fn end_row(&mut self) {
        let row = std::mem::take(&mut self.row);
        if row.iter().all(|(words, _)| words.is_empty()) {
            return;
        }
        for _ in 0..self.row_repeated.clamp(1, REPEATED_MAX) {
            for (words, repeated) in &row {
                if self.table.is_full() {
                    return;
                }
                if words.is_empty() {
                    self.table.skip(*repeated);
                } else {
                    (0..(*repeated).clamp(1, REPEATED_MAX)).for_each(|_| self.table.words(words));
                }
            }
            self.table.end_row();
        }
    }

    fn end_paragraph(&mut self) {
        let Some(Paragraph { text, level }) = self.open.pop() else { return };
        if self.in_note {
            self.notes.push(format!("[{}] {}", self.note_mark, text.trim()));
        } else if self.tables > 0 {
            if !self.cell.is_empty() {
                self.cell.push(' ');
            }
            self.cell.push_str(&text);
        } else if self.is_speaker_notes {
            if !text.trim().is_empty() {
                self.writer.paragraph(&format!("Notes: {text}"));
            }
        } else if self.class == "title" {
            self.writer.heading(1, &text);
        } else if let Some(level) = level {
            self.writer.heading(level, &text);
        } else if self.lists > 0 && std::mem::take(&mut self.is_item) {
            self.writer.item(&text);
        } else {
            self.writer.paragraph(&text);
        }
    }

    fn finish(&mut self) {
        while !self.open.is_empty() {
            self.end_paragraph();
        }
        self.writer.table(&mut self.table);
        for note in std::mem::take(&mut self.notes) {
            self.writer.paragraph(&note);
        }
    }
}
