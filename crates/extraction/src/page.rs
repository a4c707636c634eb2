//! HTML as blocks: what a person would see of it, which `hypertext` decides (docs/adr/0023).

use hypertext::{Element, Reader, Sheets, walk};

use crate::{table::Table, writer::Writer};

/// A page, with its own style sheets.
pub(crate) fn read(html: &str, writer: &mut Writer) {
    read_with(html, Sheets::Hold, writer);
}

/// A page as a browser or a mail program would show it.
pub(crate) fn read_with(html: &str, sheets: Sheets, writer: &mut Writer) {
    let mut page = Page {
        writer,
        text: String::new(),
        title: String::new(),
        kind: Kind::Paragraph,
        is_code: false,
        tables: 0,
        is_layout: false,
        table: Table::default(),
    };
    walk(html, sheets, &mut page);
    page.end();
    page.end_table();
    let title = std::mem::take(&mut page.title);
    page.writer.title(&title);
}

/// What the open block is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Paragraph,
    Heading(u8),
    Item,
}

struct Page<'w> {
    writer: &'w mut Writer,
    text: String,
    title: String,
    kind: Kind,
    is_code: bool,
    /// How many tables are open. One that contains a heading, a list or another table only arranges the page.
    tables: usize,
    is_layout: bool,
    table: Table,
}

impl Page<'_> {
    const fn is_in_table(&self) -> bool {
        self.tables > 0 && !self.is_layout
    }

    /// The open block ends. In a table it is a part of a cell.
    fn end(&mut self) {
        if self.is_in_table() {
            self.text.push(' ');
            return;
        }
        let text = std::mem::take(&mut self.text);
        if self.is_code {
            self.writer.code(&text);
        } else {
            match self.kind {
                Kind::Paragraph => self.writer.paragraph(&text),
                Kind::Heading(level) => self.writer.heading(level, &text),
                Kind::Item => self.writer.item(&text),
            }
        }
        // What follows a nested block in an item is no item of its own.
        self.kind = Kind::Paragraph;
    }

    fn end_table(&mut self) {
        self.writer.table(&mut self.table);
    }

    fn arrange(&mut self) {
        if self.is_in_table() {
            self.end_table();
            self.is_layout = true;
            self.end();
        }
    }
}

fn level(name: &[u8]) -> Option<u8> {
    match name {
        [b'h', digit @ b'1'..=b'6'] => Some(digit.saturating_sub(b'0')),
        _ => None,
    }
}

/// Whether a block begins and ends with the element.
fn is_block(name: &[u8]) -> bool {
    hypertext::is_block(name) || matches!(name, b"body" | b"caption" | b"dd" | b"dt" | b"li" | b"option" | b"table")
}

impl Reader for Page<'_> {
    fn open(&mut self, element: &Element<'_>) -> bool {
        if self.writer.is_full() {
            return false;
        }
        let name = element.name;
        if let Some(level) = level(name) {
            self.arrange();
            self.end();
            self.kind = Kind::Heading(level);
        } else if name == b"br" {
            self.text.push('\n');
        } else if name == b"img" {
            self.text.push_str(element.alt);
        } else if name == b"td" || name == b"th" {
            if self.is_layout {
                self.end();
            } else {
                self.text.clear();
            }
        } else if is_block(name) {
            if matches!(name, b"ul" | b"ol" | b"table" | b"pre") {
                self.arrange();
            }
            self.end();
            match name {
                b"li" if !self.is_in_table() => self.kind = Kind::Item,
                b"pre" => self.is_code = true,
                b"table" => {
                    self.tables = self.tables.saturating_add(1);
                    self.text.clear();
                }
                _ => {}
            }
        }
        true
    }

    fn close(&mut self, name: &[u8]) {
        match name {
            b"td" | b"th" if self.is_in_table() => {
                let text = std::mem::take(&mut self.text);
                self.table.cell(&text);
            }
            b"tr" if self.is_in_table() => self.table.end_row(),
            b"table" => {
                if self.is_in_table() {
                    self.end_table();
                    self.text.clear();
                }
                self.tables = self.tables.saturating_sub(1);
                self.is_layout &= self.tables > 0;
                self.end();
            }
            b"pre" => {
                self.end();
                self.is_code = false;
            }
            name if is_block(name) || matches!(name, b"td" | b"th" | b"tr") => self.end(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.is_code {
            self.text.push_str(text);
            return;
        }
        // Line breaks in the source are spaces.
        for letter in text.chars() {
            let is_space = letter.is_ascii_whitespace();
            if !(is_space && self.text.ends_with([' ', '\n'])) {
                self.text.push(if is_space { ' ' } else { letter });
            }
        }
    }

    fn title(&mut self, title: &str) {
        self.title.push_str(title);
    }
}
