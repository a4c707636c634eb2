//! Writes Markdown: white space, blocks, lists, links. It knows nothing of HTML, and its output is never much longer than its input.

use std::mem::take;

/// Deeper lists are written at this depth.
const MAX_LIST_DEPTH: usize = 8;
/// A link with a longer text was never closed. It is closed at the next block.
const MAX_LINK_TEXT_BYTES: usize = 1_000;

/// The gap before the next text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Gap {
    #[default]
    None,
    Space,
    Line,
    Paragraph,
}

/// A text that is being written.
#[derive(Default)]
pub(crate) struct Markdown {
    text: String,
    gap: Gap,
    /// A marker (`- `, `# `) was written, but not its text.
    after_marker: bool,
    /// The number of open `pre` elements.
    preformatted: usize,
    lists: Vec<List>,
    link: Option<Link>,
}

struct List {
    /// The number of the next item, if items are numbered.
    next: Option<usize>,
}

struct Link {
    /// The position of the link's text, after the bracket.
    start: usize,
    address: String,
}

impl Markdown {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Writes running text. White space is collapsed, except in `pre`.
    pub(crate) fn write(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.fill_gap();
            self.text.extend(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
            return;
        }
        for (index, word) in text.split(|c: char| c.is_whitespace() || c.is_control()).enumerate() {
            if index > 0 {
                self.gap = self.gap.max(Gap::Space);
            }
            if !word.is_empty() {
                self.fill_gap();
                self.text.push_str(word);
            }
        }
    }

    /// Writes a mark without escaping, such as the backtick of code.
    pub(crate) fn mark(&mut self, mark: &str) {
        if self.preformatted == 0 {
            self.fill_gap();
            self.text.push_str(mark);
        }
    }

    /// Sets a gap before the next text.
    pub(crate) fn apart(&mut self, gap: Gap) {
        if self.link.as_ref().is_some_and(|link| self.text.len().saturating_sub(link.start) > MAX_LINK_TEXT_BYTES) {
            self.close_link();
        }
        // A link's text is on one line, and a list's items are close together.
        let widest = match (&self.link, self.lists.is_empty()) {
            (Some(_), _) => Gap::Space,
            (None, false) => Gap::Line,
            (None, true) => Gap::Paragraph,
        };
        self.gap = self.gap.max(gap.min(widest));
    }

    pub(crate) fn heading(&mut self, level: usize) {
        self.apart(Gap::Paragraph);
        if self.link.is_none() {
            let marks = "#".repeat(level);
            self.mark(&marks);
            self.text.push(' ');
            self.after_marker = true;
        }
    }

    pub(crate) fn open_list(&mut self, numbered: bool) {
        self.apart(Gap::Paragraph);
        if self.lists.len() < MAX_LIST_DEPTH {
            self.lists.push(List { next: numbered.then_some(1) });
        }
    }

    pub(crate) fn close_list(&mut self) {
        self.lists.pop();
        self.apart(Gap::Paragraph);
    }

    pub(crate) fn item(&mut self) {
        self.apart(Gap::Line);
        if self.link.is_some() {
            return;
        }
        let depth = self.lists.len().saturating_sub(1);
        let number = self.lists.last_mut().and_then(|list| {
            let number = list.next;
            list.next = number.map(|number| number.saturating_add(1));
            number
        });
        self.after_marker = false;
        self.fill_gap();
        self.text.push_str(&"  ".repeat(depth));
        match number {
            Some(number) => self.text.push_str(&format!("{number}. ")),
            None => self.text.push_str("- "),
        }
        self.after_marker = true;
    }

    pub(crate) fn open_preformatted(&mut self) {
        self.close_link();
        self.apart(Gap::Paragraph);
        if self.preformatted == 0 {
            self.fill_gap();
            self.text.push_str("```\n");
        }
        self.preformatted = self.preformatted.saturating_add(1);
    }

    pub(crate) fn close_preformatted(&mut self) {
        if self.preformatted == 1 {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
            }
            self.text.push_str("```");
            self.gap = Gap::Paragraph;
        }
        self.preformatted = self.preformatted.saturating_sub(1);
    }

    /// Opens a link. Without an address, only its text is written.
    pub(crate) fn open_link(&mut self, address: Option<String>) {
        self.close_link();
        if let Some(address) = address.filter(|_| self.preformatted == 0) {
            self.fill_gap();
            self.text.push('[');
            self.link = Some(Link { start: self.text.len(), address });
        }
    }

    pub(crate) fn close_link(&mut self) {
        let Some(Link { start, address }) = take(&mut self.link) else { return };
        if self.text.len() > start {
            self.text.push_str("](");
            self.text.push_str(&address);
            self.text.push(')');
        } else {
            self.text.truncate(start.saturating_sub(1));
        }
    }

    fn fill_gap(&mut self) {
        let gap = take(&mut self.gap);
        let begins = self.text.is_empty() || self.link.as_ref().is_some_and(|link| link.start == self.text.len());
        if !(begins || take(&mut self.after_marker)) {
            self.text.push_str(match gap {
                Gap::None => "",
                Gap::Space => " ",
                Gap::Line => "\n",
                Gap::Paragraph => "\n\n",
            });
        }
    }
}
