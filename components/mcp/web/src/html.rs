//! Converts a page to Markdown: the main part of its visible text (`hypertext`), without navigation. It takes time in proportion to the page,
//! whatever the page contains, and memory for little more than its text.

use std::ops::Range;

use hypertext::{Element, Reader, Refresh, Sheets};
use url::Url;

use crate::markdown::{Gap, Markdown};

/// If the marked main part is shorter, or the rest without navigation is, the page has marked something else than its text.
const MIN_MAIN_BYTES: usize = 200;
/// Longer titles are cut.
const MAX_TITLE_CHARS: usize = 300;
/// How many links of a page are written with their address. An address can be a hundred times longer than its source.
const MAX_LINKS: usize = 1_000;
/// Longer addresses are left out. They are for programs, not for readers.
const MAX_LINK_BYTES: usize = 500;

/// The contents of a page.
#[derive(PartialEq, Eq, Default, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// The text as Markdown.
    pub(crate) text: String,
    /// The page that it moves on to by itself.
    pub(crate) refresh: Option<Refresh>,
}

/// The page's marked main part; or everything without navigation and hidden parts; or everything.
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
    hypertext::walk(html, Sheets::Hold, &mut reading);
    reading.finish()
}

struct Reading {
    out: Markdown,
    title: String,
    refresh: Option<Refresh>,
    /// The base of relative addresses, and whether the page has set it.
    base: Url,
    has_base: bool,
    /// The number of addresses that were made absolute.
    links: usize,
    main_only: bool,
    /// The number of open `main` and `article` elements, and their ranges in the text.
    mains: usize,
    main_parts: Vec<Range<usize>>,
}

impl Reading {
    fn new(base: Url, main_only: bool) -> Self {
        Self {
            out: Markdown::default(),
            title: String::new(),
            refresh: None,
            base,
            has_base: false,
            links: 0,
            main_only,
            mains: 0,
            main_parts: Vec::new(),
        }
    }

    /// Whether an element is skipped.
    fn leaves_out(&self, element: &Element<'_>) -> bool {
        let is_aside = matches!(
            element.role,
            "navigation" | "banner" | "contentinfo" | "complementary" | "search" | "dialog" | "menu"
        );
        match element.name {
            b"button" => true,
            b"nav" | b"aside" | b"dialog" => self.main_only,
            b"header" | b"footer" => self.main_only && self.mains == 0,
            // Icons, and text that is repeated elsewhere.
            _ => element.is_aria_hidden || (is_aside && self.main_only && self.mains == 0),
        }
    }

    /// The target of a link, if it is another page.
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
        Page { title: self.title, text, refresh: self.refresh }
    }
}

impl Reader for Reading {
    fn open(&mut self, element: &Element<'_>) -> bool {
        if self.leaves_out(element) {
            return false;
        }
        let name = element.name;
        if matches!(element.role, "main" | "article") || matches!(name, b"main" | b"article") {
            if self.mains == 0 {
                self.out.apart(Gap::Paragraph);
                self.main_parts.push(self.out.len()..usize::MAX);
            }
            // An element of any name can have a role, so its end cannot be recognized: the part then reaches to the end of the page.
            self.mains = self.mains.saturating_add(1);
        }
        match name {
            b"base" => {
                let base = element.href.filter(|_| !self.has_base).and_then(|href| self.base.join(href.trim()).ok());
                if let Some(base) = base {
                    (self.base, self.has_base) = (base, true);
                }
            }
            b"meta" if element.http_equiv.eq_ignore_ascii_case("refresh") => {
                self.refresh = self.refresh.take().or_else(|| hypertext::refresh(element.content));
            }
            b"a" => {
                let address = element.href.and_then(|href| self.link(href.trim()));
                self.out.open_link(address);
            }
            b"img" if !element.alt.is_empty() => {
                self.out.write("(image: ");
                self.out.write(element.alt);
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
        true
    }

    fn close(&mut self, name: &[u8]) {
        match name {
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

    fn text(&mut self, text: &str) {
        self.out.write(text);
    }

    fn title(&mut self, text: &str) {
        if self.title.is_empty() {
            let words: Vec<_> = text.split_whitespace().collect();
            self.title = words.join(" ").chars().take(MAX_TITLE_CHARS).collect();
        }
    }
}

/// The gap around an element.
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
