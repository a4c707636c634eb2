//! Word documents (ECMA-376, WordprocessingML): headings by their styles, lists, tables, footnotes. Deleted and hidden text is not read.

use std::collections::HashMap;

use crate::{
    Unreadable,
    archive::Archive,
    charset,
    markup::{Markup, Piece, attribute, closed, name},
    office,
    table::Table,
    writer::Writer,
};

/// How long a chain of styles that are based on each other is followed. Word's own are three deep.
const STYLES_DEPTH_MAX: usize = 10;
/// How deep text boxes are followed that stand in paragraphs.
const BOXES_DEPTH_MAX: usize = 16;
/// Word shows no deeper headings than nine; six are told apart here.
const LEVEL_MAX: u8 = 9;

pub(crate) fn read(bytes: Vec<u8>, writer: &mut Writer) -> Result<(), Unreadable> {
    let mut archive = Archive::open(&bytes)?;
    office::title(&mut archive, writer)?;
    let main = office::main_part(&mut archive, "word/document.xml")?;
    let relationships = office::relationships(&mut archive, &main)?;
    let target = |kind: &str| relationships.iter().find(|found| found.kind == kind).map(|found| found.target.clone());
    let styles = match target("styles") {
        Some(path) => styles(&charset::xml(&archive.read(&path)?.unwrap_or_default())),
        None => HashMap::new(),
    };
    let text = archive.need(&main)?;
    Body::new(&styles, writer).read(&charset::xml(&text))?;
    drop(text);
    for kind in ["footnotes", "endnotes"] {
        let Some(path) = target(kind) else { continue };
        if let Some(text) = archive.read(&path)? {
            let mut body = Body::new(&styles, writer);
            body.is_notes = true;
            body.read(&charset::xml(&text))?;
        }
    }
    Ok(())
}

/// What a style means.
#[derive(Default)]
struct Style {
    level: Option<u8>,
    is_list: bool,
    based_on: Option<String>,
}

/// The styles by their ids.
fn styles(text: &str) -> HashMap<String, Style> {
    let mut styles = HashMap::new();
    let mut open: Option<(String, Style)> = None;
    let mut markup = Markup::new(text);
    while let Some(piece) = markup.next() {
        match piece {
            Piece::Open(tag) => match (name(&tag), &mut open) {
                ("style", _) => open = Some((attribute(&tag, "styleId").unwrap_or_default(), Style::default())),
                ("name", Some((_, style))) => {
                    let name = attribute(&tag, "val").unwrap_or_default().to_ascii_lowercase();
                    if name == "title" {
                        style.level = Some(1);
                    } else if let Some(level) = name.strip_prefix("heading ") {
                        style.level = level.parse().ok().filter(|level| *level <= LEVEL_MAX);
                    }
                }
                ("outlineLvl", Some((_, style))) if style.level.is_none() => {
                    style.level = outline_level(attribute(&tag, "val"))
                }
                ("numPr", Some((_, style))) => style.is_list = true,
                ("basedOn", Some((_, style))) => style.based_on = attribute(&tag, "val"),
                _ => {}
            },
            Piece::Close(tag) if closed(&tag) == "style" => styles.extend(open.take()),
            _ => {}
        }
    }
    styles
}

/// Nine levels count from zero; a tenth means running text.
fn outline_level(value: Option<String>) -> Option<u8> {
    value?.parse::<u8>().ok().filter(|level| *level < LEVEL_MAX).map(|level| level.saturating_add(1))
}

/// A paragraph that is being read.
#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
    is_list: bool,
}

struct Body<'w, 's> {
    styles: &'s HashMap<String, Style>,
    writer: &'w mut Writer,
    /// The open paragraphs: in one with a text box stand others.
    open: Vec<Paragraph>,
    /// How many tables are open, the text of the cell of the outermost, and how many columns it covers.
    tables: usize,
    table: Table,
    cell: String,
    span: usize,
    is_hidden: bool,
    is_notes: bool,
    note: String,
}

impl<'w, 's> Body<'w, 's> {
    fn new(styles: &'s HashMap<String, Style>, writer: &'w mut Writer) -> Self {
        let (open, table, cell, note) = (Vec::new(), Table::default(), String::new(), String::new());
        Self { styles, writer, open, tables: 0, table, cell, span: 1, is_hidden: false, is_notes: false, note }
    }

    fn read(&mut self, text: &str) -> Result<(), Unreadable> {
        let mut markup = Markup::new(text);
        let mut is_text = false;
        while let Some(piece) = markup.next() {
            if self.writer.is_full() {
                return Ok(());
            }
            match piece {
                Piece::Open(tag) => match name(&tag) {
                    // Text that was moved away, and what is shown by programs that cannot show the better form beside it.
                    "moveFrom" | "del" | "Fallback" | "instrText" | "rPrChange" | "pPrChange" => markup.skip(),
                    "t" => is_text = true,
                    other => self.open(other, &tag),
                },
                Piece::Text(text) if is_text && !self.is_hidden => self.push(&text),
                Piece::Text(_) => {}
                Piece::Close(tag) => match closed(&tag) {
                    "t" => is_text = false,
                    other => self.close(other),
                },
            }
        }
        while !self.open.is_empty() {
            self.end_paragraph();
        }
        self.table.cell(&std::mem::take(&mut self.cell));
        self.end_table();
        if markup.is_damaged() {
            office::damaged(self.writer)?;
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        if let Some(paragraph) = self.open.last_mut() {
            paragraph.text.push_str(text);
        }
    }

    fn open(&mut self, name: &str, tag: &quick_xml::events::BytesStart<'_>) {
        let is_on = || attribute(tag, "val").is_none_or(|value| value != "0" && value != "false");
        match name {
            "p" if self.open.len() < BOXES_DEPTH_MAX => self.open.push(Paragraph::default()),
            "r" => self.is_hidden = false,
            "vanish" if is_on() => self.is_hidden = true,
            "tab" => self.push("\t"),
            "br" | "cr" => self.push("\n"),
            "noBreakHyphen" => self.push("-"),
            "footnoteReference" | "endnoteReference" => {
                let mark = format!("[{}]", attribute(tag, "id").unwrap_or_default());
                self.push(&mark);
            }
            "footnote" | "endnote" => self.note = attribute(tag, "id").unwrap_or_default(),
            "pStyle" => {
                let id = attribute(tag, "val").unwrap_or_default();
                let (level, is_list) = self.style(&id);
                if let Some(paragraph) = self.open.last_mut() {
                    paragraph.level = paragraph.level.or(level);
                    paragraph.is_list |= is_list;
                }
            }
            "outlineLvl" => {
                let level = outline_level(attribute(tag, "val"));
                if let Some(paragraph) = self.open.last_mut() {
                    paragraph.level = level;
                }
            }
            "numId" => {
                // Zero takes a paragraph out of the list of its style.
                let is_list = attribute(tag, "val").is_some_and(|value| value != "0");
                if let Some(paragraph) = self.open.last_mut() {
                    paragraph.is_list = is_list;
                }
            }
            "tbl" => self.tables = self.tables.saturating_add(1),
            "gridSpan" if self.tables == 1 => {
                self.span = attribute(tag, "val").and_then(|value| value.parse().ok()).unwrap_or(1);
            }
            _ => {}
        }
    }

    fn style(&self, id: &str) -> (Option<u8>, bool) {
        let (mut level, mut is_list, mut next) = (None, false, self.styles.get(id));
        for _ in 0..STYLES_DEPTH_MAX {
            let Some(style) = next else { break };
            level = level.or(style.level);
            is_list |= style.is_list;
            next = style.based_on.as_ref().and_then(|id| self.styles.get(id));
        }
        (level, is_list)
    }

    fn close(&mut self, name: &str) {
        match name {
            "p" => self.end_paragraph(),
            "r" => self.is_hidden = false,
            "tc" if self.tables == 1 => {
                self.table.cell(&std::mem::take(&mut self.cell));
                self.table.skip(std::mem::replace(&mut self.span, 1).saturating_sub(1));
            }
            "tr" if self.tables == 1 => self.table.end_row(),
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    self.end_table();
                }
            }
            _ => {}
        }
    }

    fn end_table(&mut self) {
        self.writer.table(&mut self.table);
    }

    fn end_paragraph(&mut self) {
        let Some(paragraph) = self.open.pop() else { return };
        if self.is_notes {
            // The first two are the lines above the notes.
            if !paragraph.text.trim().is_empty() {
                self.writer.paragraph(&format!("[{}] {}", self.note, paragraph.text.trim()));
            }
        } else if self.tables > 0 {
            if !self.cell.is_empty() {
                self.cell.push(' ');
            }
            self.cell.push_str(&paragraph.text);
        } else if let Some(level) = paragraph.level {
            self.writer.heading(level, &paragraph.text);
        } else if paragraph.is_list {
            self.writer.item(&paragraph.text);
        } else {
            self.writer.paragraph(&paragraph.text);
        }
    }
}
