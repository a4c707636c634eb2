//! Through HTML from its start to its end, by its tags as they come, without building the tree they mean.
//!
//! Building it takes time that grows with the square of the depth, and a page of 2 MiB can be 400,000 deep; a guest is not interrupted. This
//! keeps the elements that are open, so many at most, and takes time in proportion to the page, whatever is in it. Where elements end that
//! do not say so follows the standard (HTML, "tree construction") as far as it decides what is hidden; where this is less exact, it hides
//! more than a browser, not less.

use std::{borrow::Cow, convert::Infallible};

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use crate::{
    element::{self, Kind, Name},
    sheet::Sheet,
    style::Style,
    tag::Tag,
    visibility::Visibility,
};

/// How deep elements are told apart; browsers go no deeper.
const DEPTH_MAX: usize = 512;
/// How many elements go on that the end of another has cut off. Pages have one or two.
const GOING_ON_MAX: usize = 8;
/// How many of these may be the same (HTML, "Noah's Ark clause").
const SAME_MAX: usize = 3;

/// Whether the style sheets of a document hold: where they do, nobody here knows what colours texts have of which the document says little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sheets {
    /// As in a browser.
    Hold,
    /// As in most programs for mail.
    Ignored,
}

/// An element that is seen.
#[derive(Clone, Copy, Debug)]
pub struct Element<'e> {
    /// Its name, in lower case.
    pub name: &'e [u8],
    /// The attribute, as it is written.
    pub href: Option<&'e str>,
    /// The attribute, or nothing.
    pub alt: &'e str,
    /// The attribute, or nothing.
    pub role: &'e str,
    /// Seen, but not read out: an icon, or what is said again elsewhere.
    pub is_aria_hidden: bool,
    /// The attribute, or nothing.
    pub http_equiv: &'e str,
    /// The attribute, or nothing.
    pub content: &'e str,
}

/// Gets what is seen.
pub trait Reader {
    /// An element begins. Whether anything in it is to be read; of one without content this means nothing.
    fn open(&mut self, element: &Element<'_>) -> bool;

    /// The innermost element of this name that was told ends; what is open at the document's end does not. A `p` may end that never began.
    fn close(&mut self, name: &[u8]);

    /// Text.
    fn text(&mut self, text: &str);

    /// The document's title.
    fn title(&mut self, _: &str) {}
}

/// Tells the reader what is seen of a document.
pub fn walk(html: &str, sheets: Sheets, reader: &mut impl Reader) {
    let mut walk = Walk {
        reader,
        frames: Vec::new(),
        root: Visibility::default(),
        tag: Tag::default(),
        attribute: Vec::new(),
        overflow: 0,
        is_lost: false,
        sheet: Sheet::of(html),
        has_sheets: false,
        has_doctype: false,
        sheets,
    };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        walk.event(event);
        None
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
}

struct Walk<'r, R> {
    reader: &'r mut R,
    /// The elements that are open, the innermost last.
    frames: Vec<Frame>,
    /// What holds outside of them.
    root: Visibility,
    /// The start tag that is being read, and its attribute.
    tag: Tag,
    attribute: Vec<u8>,
    /// How many elements are open that lie too deep.
    overflow: usize,
    /// Nobody knows any more what is hidden: all of the rest counts as hidden.
    is_lost: bool,
    /// What the document has of them in itself, and whether it has any.
    sheet: Sheet,
    has_sheets: bool,
    has_doctype: bool,
    sheets: Sheets,
}

/// An element that is open.
#[derive(Clone, Copy)]
struct Frame {
    name: Name,
    kind: Kind,
    /// What is said of it, and what holds within.
    style: Style,
    within: Visibility,
    /// The reader was told.
    is_told: bool,
    is_title: bool,
    /// Of another language, with HTML in it.
    holds_html: bool,
}

impl<R: Reader> Walk<'_, R> {
    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = Tag::new(name),
            CallbackEvent::AttributeName { name } => {
                self.attribute = name.to_vec();
                self.tag.attribute(name, "");
            }
            CallbackEvent::AttributeValue { value } => {
                self.tag.attribute(&self.attribute, &String::from_utf8_lossy(value));
            }
            CallbackEvent::CloseStartTag { self_closing } => self.open(self_closing),
            CallbackEvent::EndTag { name } => self.end(name),
            CallbackEvent::String { value } => self.text(value),
            CallbackEvent::Doctype { force_quirks, .. } => self.has_doctype |= !force_quirks,
            CallbackEvent::Comment { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn text(&mut self, value: &[u8]) {
        let is_black_on_white = self.sheets == Sheets::Ignored || !self.has_sheets;
        let text = String::from_utf8_lossy(value);
        let text = seen(&text);
        if self.frames.last().is_some_and(|frame| frame.is_title) {
            self.reader.title(&text);
        } else if !self.is_lost && self.within().shows_text(is_black_on_white) {
            self.reader.text(&text);
        }
    }

    /// What holds here.
    fn within(&self) -> Visibility {
        self.frames.last().map_or(self.root, |frame| frame.within)
    }

    fn is_in_foreign(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.kind.is_foreign && !frame.holds_html)
    }

    fn open(&mut self, self_closing: bool) {
        let tag = std::mem::take(&mut self.tag);
        let name = tag.name();
        while self.is_in_foreign() && element::ends_foreign(name) {
            self.pop_to(self.frames.len().saturating_sub(1));
        }
        let is_foreign = self.is_in_foreign();
        self.has_sheets |= name == b"style" || tag.is_sheet();
        let mut style = tag.style(&self.sheet);
        match name {
            // Scripts show a page that begins hidden.
            b"html" | b"body" | b"head" if !is_foreign => {
                self.root =
                    self.root.with(&Style { colour: style.colour, background: style.background, ..Style::default() });
                return;
            }
            _ => {}
        }
        if self.frames.len() >= DEPTH_MAX && !element::is_void(name) {
            self.overflow = self.overflow.saturating_add(1);
            self.is_lost |= style.may_hide();
            return;
        }
        if !is_foreign {
            self.end_others(name);
        }
        let kind = if is_foreign {
            let holds_html = element::holds_html(name);
            Kind { is_foreign: true, is_special: holds_html, is_scope: holds_html, ..Kind::default() }
        } else {
            element::kind(name)
        };
        let is_empty = if kind.is_foreign { self_closing } else { element::is_void(name) };
        let around = self.within();
        let is_seen = !self.is_lost && around.with(&style).shows_elements();
        let is_read = is_seen && self.reader.open(&tag.element());
        if is_empty {
            return;
        }
        style.is_gone |= is_seen && !is_read;
        self.frames.push(Frame {
            name: Name::of(name),
            kind,
            style,
            within: around.with(&style),
            is_told: is_read,
            is_title: name == b"title" && !is_foreign && around.shows_elements(),
            holds_html: is_foreign && element::holds_html(name),
        });
    }

    /// Ends what ends where an element of this name begins.
    fn end_others(&mut self, name: &[u8]) {
        let found = match name {
            b"li" => {
                let passes = is([b"address", b"div", b"p"]);
                self.find(is([b"li"]), |frame| frame.kind.is_special && !passes(frame))
            }
            b"dd" | b"dt" => {
                let passes = is([b"address", b"div", b"p"]);
                self.find(is([b"dd", b"dt"]), |frame| frame.kind.is_special && !passes(frame))
            }
            b"tr" => self.find(is([b"tr"]), is([b"table", b"template"])),
            b"td" | b"th" => self.find(is([b"td", b"th"]), is([b"tr", b"table", b"template"])),
            b"thead" | b"tbody" | b"tfoot" => {
                self.find(is([b"thead", b"tbody", b"tfoot"]), is([b"table", b"template"]))
            }
            b"button" => self.find(is([b"button"]), |frame| frame.kind.is_scope),
            b"a" | b"nobr" => return self.end_formatting(Name::of(name)),
            name if element::is_heading(name) => {
                self.end_paragraph();
                let is_heading = |frame: &Frame| frame.name.with(element::is_heading);
                self.frames.last().is_some_and(is_heading).then(|| self.frames.len().saturating_sub(1))
            }
            _ => None,
        };
        if let Some(index) = found {
            self.pop_to(index);
        }
        // Without a doctype, browsers let a paragraph go on around a table.
        let is_around = name == b"table" && self.has_doctype;
        if element::is_block(name) || is_around || matches!(name, b"li" | b"dd" | b"dt") {
            self.end_paragraph();
        }
    }

    fn end_paragraph(&mut self) -> bool {
        let button = Name::of(b"button");
        let found = self.find(is([b"p"]), |frame| frame.kind.is_scope || frame.name == button);
        if let Some(index) = found {
            self.pop_to(index);
        }
        found.is_some()
    }

    fn end(&mut self, name: &[u8]) {
        if self.overflow > 0 {
            self.overflow = self.overflow.saturating_sub(1);
            return;
        }
        let own = Name::of(name);
        if self.is_in_foreign()
            && let Some(index) = self.find(|frame| frame.name == own, |frame| !frame.kind.is_foreign)
        {
            return self.pop_to(index);
        }
        let found = match name {
            b"html" | b"body" | b"head" => None,
            b"p" => {
                if !self.end_paragraph() && !self.is_lost && self.within().shows_elements() {
                    self.reader.close(name);
                }
                None
            }
            b"br" => {
                self.tag = Tag::new(name);
                return self.open(false);
            }
            b"li" => {
                let is_list = is([b"ol", b"ul"]);
                self.find(|frame| frame.name == own, |frame| frame.kind.is_scope || is_list(frame))
            }
            b"table" | b"thead" | b"tbody" | b"tfoot" | b"tr" | b"td" | b"th" | b"caption" | b"colgroup" => {
                self.find(|frame| frame.name == own, is([b"table", b"template"]))
            }
            b"template" => self.find(|frame| frame.name == own, |_| false),
            // What is in it goes on.
            b"form" => {
                let found = self.find(|frame| frame.name == own, |frame| frame.kind.is_scope);
                return self.remove(found);
            }
            name if element::is_heading(name) => {
                self.find(|frame| frame.name.with(element::is_heading), |frame| frame.kind.is_scope)
            }
            name if element::kind(name).is_formatting => return self.end_formatting(own),
            name if element::kind(name).is_special => self.find(|frame| frame.name == own, |frame| frame.kind.is_scope),
            _ => self.find(|frame| frame.name == own, |frame| frame.kind.is_special),
        };
        if let Some(index) = found {
            self.pop_to(index);
        }
    }

    /// Ends an element that others may have begun in and go on.
    fn end_formatting(&mut self, name: Name) {
        let found = self.find(|frame| frame.name == name && frame.kind.is_formatting, |frame| frame.kind.is_scope);
        let inner = found.and_then(|index| self.frames.get(index.saturating_add(1)..)).unwrap_or_default();
        if inner.iter().any(|frame| frame.kind.is_special) {
            self.remove(found);
        } else if let Some(index) = found {
            self.pop_to(index);
        }
    }

    /// The innermost element that is looked for, unless there is an end to the search before.
    fn find(&self, is_found: impl Fn(&Frame) -> bool, is_end: impl Fn(&Frame) -> bool) -> Option<usize> {
        for (index, frame) in self.frames.iter().enumerate().rev() {
            if is_found(frame) {
                return Some(index);
            }
            if is_end(frame) {
                return None;
            }
        }
        None
    }

    /// Ends one element only: what is open in it goes on without.
    fn remove(&mut self, index: Option<usize>) {
        let Some(index) = index.filter(|index| *index < self.frames.len()) else { return };
        let frame = self.frames.remove(index);
        if frame.is_told {
            frame.name.with(|name| self.reader.close(name));
        }
        let before = index.checked_sub(1).and_then(|before| self.frames.get(before));
        let mut within = before.map_or(self.root, |frame| frame.within);
        for frame in self.frames.iter_mut().skip(index) {
            within = within.with(&frame.style);
            frame.within = within;
        }
    }

    /// Ends an element and all in it. What of that goes on elsewhere begins again.
    fn pop_to(&mut self, index: usize) {
        let ended = self.frames.get(index..).unwrap_or_default();
        let is_cut_off = |frame: &&Frame| frame.kind.is_formatting && frame.style.may_hide();
        let own = ended.iter().skip(1).take_while(|frame| !frame.kind.is_marker);
        let is_marker = ended.first().is_some_and(|frame| frame.kind.is_marker);
        let going_on: Vec<Frame> = if is_marker {
            Vec::new()
        } else {
            own.filter(is_cut_off).copied().take(GOING_ON_MAX.saturating_add(1)).collect()
        };
        while self.frames.len() > index {
            if let Some(frame) = self.frames.pop().filter(|frame| frame.is_told) {
                frame.name.with(|name| self.reader.close(name));
            }
        }
        self.is_lost |= going_on.len() > GOING_ON_MAX;
        for frame in going_on {
            let is_same = |other: &&Frame| other.name == frame.name && other.style == frame.style;
            if self.frames.iter().rev().take_while(is_same).count() < SAME_MAX {
                let within = self.within().with(&frame.style);
                self.frames.push(Frame { within, is_told: false, ..frame });
            }
        }
    }
}

/// Whether an element has one of these names.
fn is<const N: usize>(names: [&[u8]; N]) -> impl Fn(&Frame) -> bool {
    let names = names.map(Name::of);
    move |frame| names.contains(&frame.name)
}

/// A text without the characters that repeat one invisibly (Unicode, "Tags"), of whatever kind the document is.
#[must_use]
pub fn seen(text: &str) -> Cow<'_, str> {
    let is_unseen = |c: char| ('\u{e0000}'..='\u{e007f}').contains(&c);
    if text.contains(is_unseen) { Cow::Owned(text.replace(is_unseen, "")) } else { Cow::Borrowed(text) }
}
