//! A table as text: a line for each row, a tab between cells. Empty rows, and empty cells at a row's end, are left out.

use crate::{
    TEXT_MAX_BYTES,
    writer::{clean, cut},
};

/// A cell of a real table is shorter; a longer one is a text that somebody put there.
const CELL_MAX_BYTES: usize = 32 << 10;
/// How many empty cells may stand before a filled one. Sheets have up to 16,384 columns, and a cell in the last would be all tabs.
const GAP_MAX: usize = 32;

/// A table that is being read.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
    /// The empty cells since the last one of this row that is not.
    gap: usize,
    has_cells: bool,
}

impl Table {
    /// The row's next cell.
    pub(crate) fn cell(&mut self, text: &str) {
        self.words(&words(text));
    }

    /// The row's next cell, of [`words`]: one that is repeated is cleaned once.
    pub(crate) fn words(&mut self, words: &str) {
        self.gap = self.gap.saturating_add(1);
        if words.is_empty() || self.is_full() {
            return;
        }
        if !self.has_cells && !self.text.is_empty() {
            self.text.push('\n');
        }
        let before = if self.has_cells { 0 } else { 1 };
        let tabs = self.gap.saturating_sub(before).min(GAP_MAX);
        self.text.extend(std::iter::repeat_n('\t', tabs));
        self.text.push_str(words);
        self.gap = 0;
        self.has_cells = true;
    }

    /// This many empty cells.
    pub(crate) fn skip(&mut self, cells: usize) {
        self.gap = self.gap.saturating_add(cells);
    }

    /// The row ends.
    pub(crate) fn end_row(&mut self) {
        self.gap = 0;
        self.has_cells = false;
    }

    /// Whether the rest would be cut off.
    pub(crate) const fn is_full(&self) -> bool {
        self.text.len() > TEXT_MAX_BYTES
    }

    pub(crate) fn take(&mut self) -> String {
        self.end_row();
        std::mem::take(&mut self.text)
    }
}

/// The text of a cell, with one space between its words.
pub(crate) fn words(text: &str) -> String {
    let cleaned = clean(cut(text.trim_start(), CELL_MAX_BYTES));
    let mut words = String::new();
    for word in cleaned.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}
