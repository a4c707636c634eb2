//! HTML to Markdown, from its tags as they come, without building the tree they mean.
//!
//! Building it takes time that grows with the square of the depth, and a page of 2 MiB can be 400,000 deep; a guest is not interrupted. This
//! takes time in proportion to the page, whatever is in it, and memory for little more than its text.

use std::{convert::Infallible, ops::Range};

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};
use url::Url;

use crate::markdown::{Gap, Markdown};

/// If the marked main part has less text, or leaving out navigation leaves less, the page has marked something else than its text.
const MIN_MAIN_BYTES: usize = 200;
/// A longer title is not one.
const MAX_TITLE_CHARS: usize = 300;
/// Links of a page that are written with their address. An address can be a hundred times longer than what the page says for it.
const MAX_LINKS: usize = 1_000;
/// Longer addresses are left out: they are a program's, not a place to read.
const MAX_LINK_BYTES: usize = 500;

/// What a page says.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// Markdown.
    pub(crate) text: String,
}

/// The page's main part, if it marks one; else all of it but navigation and what is hidden; else all of it.
pub(crate) fn read(html: &str, address: &Url) -> Page {
    let page = pass(html, address, true);
    if page.text.len() >= MIN_MAIN_BYTES {
        return page;
    }
    let whole = pass(html, address, false);
    if whole.text.len() > page.text.len().saturating_add(MIN_MAIN_BYTES) { whole } else { page }
}

fn pass(html: &str, address: &Url, main_only: bool) -> Page {
    let mut reading = Reading::new(address.clone(), main_only);
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        reading.event(event);
        None
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    reading.finish()
}

struct Reading {
    out: Markdown,
    title: String,
    in_title: bool,
    /// What addresses are relative to, and whether the page has said so itself.
    base: Url,
    has_base: bool,
    /// Addresses that have been made absolute.
    links: usize,
    main_only: bool,
    /// The start tag whose attributes are being read.
    tag: Tag,
    attribute: Attribute,
    /// The element that is left out, and how many of its name are open.
    skipped: Option<(Vec<u8>, usize)>,
    /// How many `main` and `article` are open, and where in the text they were.
    mains: usize,
    main_parts: Vec<Range<usize>>,
}

#[derive(Default)]
struct Tag {
    name: Vec<u8>,
    href: Option<String>,
    alt: String,
    hidden: bool,
    /// Its role is not the page's text.
    aside: bool,
    /// Its role is the page's text.
    main: bool,
}

#[derive(Clone, Copy, Default)]
enum Attribute {
    #[default]
    Other,
    Href,
    Alt,
    Role,
    Style,
    AriaHidden,
}

impl Reading {
    fn new(base: Url, main_only: bool) -> Self {
        Self {
            out: Markdown::default(),
            title: String::new(),
            in_title: false,
            base,
            has_base: false,
            links: 0,
            main_only,
            tag: Tag::default(),
            attribute: Attribute::Other,
            skipped: None,
            mains: 0,
            main_parts: Vec::new(),
        }
    }

    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = Tag { name: name.to_vec(), ..Tag::default() };
                self.attribute = Attribute::Other;
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute = match name {
                    b"href" => Attribute::Href,
                    b"alt" => Attribute::Alt,
                    b"role" => Attribute::Role,
                    b"style" => Attribute::Style,
                    b"aria-hidden" => Attribute::AriaHidden,
                    _ => Attribute::Other,
                };
                self.tag.hidden |= name == b"hidden";
            }
            CallbackEvent::AttributeValue { value } => self.value(value),
            CallbackEvent::CloseStartTag { self_closing } => self.open(self_closing),
            CallbackEvent::EndTag { name } => self.close(name),
            CallbackEvent::String { value } => self.string(value),
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn value(&mut self, value: &[u8]) {
        let text = || String::from_utf8_lossy(value);
        match self.attribute {
            Attribute::Href => self.tag.href = Some(text().trim().to_owned()),
            Attribute::Alt => self.tag.alt = text().trim().to_owned(),
            Attribute::Role => {
                self.tag.main = matches!(value, b"main" | b"article");
                self.tag.aside = matches!(
                    value,
                    b"navigation" | b"banner" | b"contentinfo" | b"complementary" | b"search" | b"dialog" | b"menu"
                );
            }
            Attribute::Style => {
                let style: String = text().chars().filter(|c| !c.is_whitespace()).collect();
                self.tag.hidden |= style.contains("display:none") || style.contains("visibility:hidden");
            }
            Attribute::AriaHidden => self.tag.hidden |= value == b"true",
            Attribute::Other => {}
        }
    }

    fn string(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        if self.in_title {
            if self.title.is_empty() {
                let words: Vec<_> = text.split_whitespace().collect();
                self.title = words.join(" ").chars().take(MAX_TITLE_CHARS).collect();
            }
        } else if self.skipped.is_none() {
            self.out.write(&text);
        }
    }

    fn open(&mut self, self_closing: bool) {
        let tag = std::mem::take(&mut self.tag);
        let name = tag.name.as_slice();
        if let Some((skipped, open)) = &mut self.skipped {
            if skipped.as_slice() == name {
                *open = open.saturating_add(1);
            }
            return;
        }
        let empty = is_void(name) || (self_closing && matches!(name, b"svg" | b"math"));
        if !empty && self.leaves_out(&tag) {
            self.skipped = Some((tag.name, 1));
            return;
        }
        if tag.main || matches!(name, b"main" | b"article") {
            if self.mains == 0 {
                self.out.apart(Gap::Paragraph);
                self.main_parts.push(self.out.len()..usize::MAX);
            }
            // A role is on an element of any name, whose end is not told from others': the part then reaches to the end of the page.
            self.mains = self.mains.saturating_add(1);
        }
        match name {
            b"title" => self.in_title = true,
            b"base" => {
                if let Some(base) = tag.href.filter(|_| !self.has_base).and_then(|href| self.base.join(&href).ok()) {
                    (self.base, self.has_base) = (base, true);
                }
            }
            b"a" => {
                let address = tag.href.and_then(|href| self.link(&href));
                self.out.open_link(address);
            }
            b"img" if !tag.alt.is_empty() => {
                self.out.write("(image: ");
                self.out.write(&tag.alt);
                self.out.mark(")");
            }
            b"br" => self.out.apart(Gap::Line),
            b"h1" => self.out.heading(1),
            b"h2" => self.out.heading(2),
            b"h3" => self.out.heading(3),
            b"h4" => self.out.heading(4),
            b"h5" => self.out.heading(5),
            b"h6" => self.out.heading(6),
            b"ul" | b"menu" => self.out.open_list(false),
            b"ol" => self.out.open_list(true),
            b"li" => self.out.item(),
            b"pre" => self.out.open_preformatted(),
            b"code" | b"kbd" | b"samp" => self.out.mark("`"),
            b"td" | b"th" => {
                self.out.write(" ");
                self.out.mark("|");
                self.out.write(" ");
            }
            b"hr" => {
                self.out.apart(Gap::Paragraph);
                self.out.mark("---");
                self.out.apart(Gap::Paragraph);
            }
            _ => self.out.apart(gap_around(name)),
        }
    }

    fn close(&mut self, name: &[u8]) {
        if let Some((skipped, open)) = &mut self.skipped {
            if skipped.as_slice() == name {
                *open = open.saturating_sub(1);
                if *open == 0 {
                    self.skipped = None;
                }
            }
            return;
        }
        match name {
            b"title" => self.in_title = false,
            b"main" | b"article" => {
                self.out.apart(Gap::Paragraph);
                self.mains = self.mains.saturating_sub(1);
                let end = self.out.len();
                if let Some(part) = self.main_parts.last_mut().filter(|part| self.mains == 0 && part.end == usize::MAX)
                {
                    part.end = end;
                }
            }
            b"a" => self.out.close_link(),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.out.apart(Gap::Paragraph),
            b"ul" | b"ol" | b"menu" => self.out.close_list(),
            b"pre" => self.out.close_preformatted(),
            b"code" | b"kbd" | b"samp" => self.out.mark("`"),
            _ => self.out.apart(gap_around(name)),
        }
    }

    /// Whether nothing of this element is read.
    fn leaves_out(&self, tag: &Tag) -> bool {
        match tag.name.as_slice() {
            b"script" | b"style" | b"noscript" | b"template" | b"svg" | b"iframe" | b"object" | b"canvas"
            | b"audio" | b"video" | b"select" | b"datalist" | b"textarea" | b"button" => true,
            b"nav" | b"aside" | b"dialog" => self.main_only,
            b"header" | b"footer" => self.main_only && self.mains == 0,
            // Hidden from people, so that only a program would read it.
            name => {
                (tag.hidden && has_end_tag(name))
                    || (tag.aside && self.main_only && self.mains == 0 && has_end_tag(name))
            }
        }
    }

    /// Where a link leads, if that is another page.
    fn link(&mut self, href: &str) -> Option<String> {
        if self.links >= MAX_LINKS || href.is_empty() || href.starts_with('#') {
            return None;
        }
        self.links += 1;
        let url = self.base.join(href).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.as_str().len() <= MAX_LINK_BYTES).then(|| String::from(url))
    }

    fn finish(mut self) -> Page {
        self.out.close_link();
        let all = self.out.text();
        let mut text = String::new();
        if self.main_only {
            for part in &self.main_parts {
                let end = part.end.min(all.len());
                let part = all.get(part.start..end).unwrap_or_default().trim();
                if !part.is_empty() {
                    text.push_str(if text.is_empty() { "" } else { "\n\n" });
                    text.push_str(part);
                }
            }
        }
        if text.len() < MIN_MAIN_BYTES {
            text = all.trim().to_owned();
        }
        Page { title: self.title, text }
    }
}

/// Elements without content (HTML, "void elements").
fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// Whether the end of such an element is always written: else nobody knows how much to leave out.
fn has_end_tag(name: &[u8]) -> bool {
    !(is_void(name)
        || matches!(
            name,
            b"html"
                | b"head"
                | b"body"
                | b"p"
                | b"li"
                | b"dt"
                | b"dd"
                | b"tr"
                | b"td"
                | b"th"
                | b"thead"
                | b"tbody"
                | b"tfoot"
                | b"option"
        ))
}

/// How far an element stands from what is around it.
fn gap_around(name: &[u8]) -> Gap {
    match name {
        b"p" | b"blockquote" | b"table" | b"dl" | b"figure" | b"section" | b"article" | b"main" | b"header"
        | b"footer" | b"details" => Gap::Paragraph,
        b"div" | b"tr" | b"dt" | b"dd" | b"address" | b"figcaption" | b"summary" | b"caption" | b"form"
        | b"fieldset" | b"legend" | b"option" | b"nav" | b"aside" | b"body" | b"center" | b"hgroup" | b"search"
        | b"dialog" => Gap::Line,
        _ => Gap::None,
    }
}

#[cfg(test)]
mod tests;
