//! Reads HTML from start to end, tag by tag, without building the tree.
//!
//! Building the tree takes time that grows with the square of the depth. A page of 2 MiB can be 400,000 deep, and a guest is not interrupted. This
//! code keeps a limited number of open elements, and its time is proportional to the page, whatever is in the page. Elements without an end tag end
//! as in the standard (HTML, "tree construction"), as far as that decides what is hidden. Where this code is less exact than a browser, it hides
//! more, not less.

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

/// How deep elements are tracked; browsers go no deeper.
const DEPTH_MAX: usize = 512;
/// How many elements continue after the end of another has cut them off. Pages have one or two.
const GOING_ON_MAX: usize = 8;
/// How many of these may be the same (HTML, "Noah's Ark clause").
const SAME_MAX: usize = 3;

/// Whether a document's style sheets apply. If they do, the colour of a text is unknown unless the document itself sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sheets {
    /// As in a browser.
    Hold,
    /// As in most mail programs.
    Ignored,
}

/// A visible element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'e> {
    /// Its name, in lower case.
    pub name: &'e [u8],
    /// The attribute, as it is written.
    pub href: Option<&'e str>,
    /// The attribute, or an empty text.
    pub alt: &'e str,
    /// The attribute, or an empty text.
    pub role: &'e str,
    /// Whether it is visible but not read out: an icon, or a repetition.
    pub is_aria_hidden: bool,
    /// The attribute, or an empty text.
    pub http_equiv: &'e str,
    /// The attribute, or an empty text.
    pub content: &'e str,
}

/// Receives the visible elements and text.
pub trait Reader {
    /// An element begins. Returns whether its content is to be read; for an element without content, the result means nothing.
    fn open(&mut self, element: &Element<'_>) -> bool;

    /// The innermost reported element of this name ends. Elements that are open at the document's end are not closed. A `p` may end that never began.
    fn close(&mut self, name: &[u8]);

    /// Visible text.
    fn text(&mut self, text: &str);

    /// The document's title.
    fn title(&mut self, _: &str) {}
}

/// Reports the visible elements and text of a document to the reader.
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
    /// The open elements, the innermost last.
    frames: Vec<Frame>,
    /// The visibility outside of them.
    root: Visibility,
    /// The start tag that is being read, and its attribute.
    tag: Tag,
    attribute: Vec<u8>,
    /// How many open elements are too deep.
    overflow: usize,
    /// It is unknown what is hidden, so the rest of the document counts as hidden.
    is_lost: bool,
    /// The document's own style sheets, and whether it has or links any.
    sheet: Sheet,
    has_sheets: bool,
    has_doctype: bool,
    sheets: Sheets,
}

/// An open element.
#[derive(Clone, Copy)]
struct Frame {
    name: Name,
    kind: Kind,
    /// Its style, and the visibility inside it.
    style: Style,
    within: Visibility,
    /// Whether the reader was told of it.
    is_told: bool,
    is_title: bool,
    /// Whether it is of another language and contains HTML.
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

    /// The visibility at this place.
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
            // A page may begin hidden until a script shows it, so only its colours count.
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

    /// Ends the elements that end where an element of this name begins.
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
        // Without a doctype, browsers let a paragraph continue around a table.
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
            // The elements inside a form stay open.
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

    /// Ends a formatting element. Elements that began inside it may stay open.
    fn end_formatting(&mut self, name: Name) {
        let found = self.find(|frame| frame.name == name && frame.kind.is_formatting, |frame| frame.kind.is_scope);
        let inner = found.and_then(|index| self.frames.get(index.saturating_add(1)..)).unwrap_or_default();
        if inner.iter().any(|frame| frame.kind.is_special) {
            self.remove(found);
        } else if let Some(index) = found {
            self.pop_to(index);
        }
    }

    /// The innermost element that `is_found` accepts, unless `is_end` stops the search first.
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

    /// Ends one element only: the elements inside it stay open.
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

    /// Ends an element and all elements inside it. Elements that continue begin again.
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

/// The text without the invisible characters that can repeat a text (Unicode, "Tags"), for every kind of document.
#[must_use]
pub fn seen(text: &str) -> Cow<'_, str> {
    let is_unseen = |c: char| ('\u{e0000}'..='\u{e007f}').contains(&c);
    if text.contains(is_unseen) { Cow::Owned(text.replace(is_unseen, "")) } else { Cow::Borrowed(text) }
}
