//! The style sheets inside a document (`<style>`), as far as their effect is known without the document's tree: rules for an element by its name, its
//! id and its classes. A rule that depends on other elements, on an element's state or on the device hides nothing here.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use crate::style::Style;

/// The most rules that are kept of those that hide something only together with others (by colours), or show it again. Large pages with their own
/// styles have some hundred.
const RULES_MAX: usize = 2_000;
/// The most rules that are kept in all, with those that hide by themselves: some megabytes. If there are more, no rule is compared any more.
const HIDING_RULES_MAX: usize = 10_000;
/// The most comparisons between a document's rules and elements: a twentieth of a second of them. Large pages need some hundred thousand. A later
/// element counts as hidden if a rule that hides by itself has the element's name, id or class. So a page cannot make its hidden text readable by
/// being long.
const COMPARISONS_MAX: usize = 4_000_000;
/// How many classes of an element are read.
const CLASSES_MAX: usize = 30;
/// How deep nested blocks such as `@media` are read.
const DEPTH_MAX: usize = 3;
/// The blocks whose rules apply on every screen.
const FOR_ALL: [&str; 6] = ["@media all", "@media screen", "@media only screen", "@media only all", "@layer", "@scope"];

/// Elements whose style sheets do not apply, and their end tags.
const UNREAD: [(&str, &str); 3] = [("script", "</script"), ("noscript", "</noscript"), ("template", "</template")];

/// The rules of a document that may hide something, or show it again.
#[derive(Default)]
pub(crate) struct Sheet {
    rules: Vec<(Selector, Style)>,
    /// The index of a rule by its text, and the indexes of the rules for a class, a name or an id.
    known: HashMap<String, usize>,
    places: HashMap<String, Vec<usize>>,
    /// The classes, names and ids of the rules that hide by themselves.
    hiding: HashSet<String>,
    /// There are more such rules than are kept.
    is_overfull: bool,
    /// The classes, names and ids of other rules that are not kept. The colours of such elements are unknown.
    unread: HashSet<String>,
    /// How many comparisons are left.
    left: Cell<usize>,
}

/// A selector such as `p#id.one.two`, each part as it is written.
struct Selector {
    parts: Vec<String>,
}

impl Sheet {
    /// The rules of all `<style>` elements of a document, also of those that come after the elements that they style.
    pub(crate) fn of(html: &str) -> Self {
        let mut sheet = Self { left: Cell::new(COMPARISONS_MAX), ..Self::default() };
        for text in styles(html) {
            // The signs of an HTML comment mean nothing in a sheet (CSS Syntax 3, "CDO").
            sheet.read(&crate::style::plain(text).replace("<!--", " ").replace("-->", " "), DEPTH_MAX);
        }
        sheet
    }

    fn read(&mut self, text: &str, depth: usize) {
        let mut rest = text;
        while let Some((before, block)) = rest.split_once('{') {
            // The text before a `;` is a rule by itself, such as `@import`.
            let prelude = before.rsplit(';').next().unwrap_or_default().trim();
            let end = block_end(block);
            let body = block.get(..end).unwrap_or_default();
            rest = block.get(end.saturating_add(1)..).unwrap_or_default();
            if prelude.starts_with('@') {
                let is_for_all = FOR_ALL.iter().any(|start| {
                    prelude.strip_prefix(start).is_some_and(|rest| start.starts_with("@l") || rest.trim().is_empty())
                }) || prelude.strip_prefix("@supports").is_some_and(is_supported_by_all);
                if let Some(depth) = depth.checked_sub(1).filter(|_| is_for_all) {
                    self.read(body, depth);
                }
                continue;
            }
            let style = Style::read(body);
            if style.may_hide() || style.is_displayed || style.size.is_some() {
                prelude.split(',').for_each(|selector| self.add(&of_itself(selector), style));
            }
        }
    }

    fn add(&mut self, selector: &str, style: Style) {
        if let Some((known, said)) = self.known.get(selector).and_then(|at| self.rules.get_mut(*at)) {
            *said = said.then(&style);
            self.hiding.extend(known.parts.last().filter(|_| style.hides()).cloned());
            return;
        }
        let Some(parsed) = Selector::read(selector) else { return };
        let Some(last) = parsed.parts.last() else { return };
        let at = self.rules.len();
        if style.hides() {
            self.hiding.insert(last.clone());
            if at >= HIDING_RULES_MAX {
                self.is_overfull = true;
                return;
            }
        } else if at >= RULES_MAX {
            self.unread.insert(last.clone());
            return;
        }
        self.places.entry(last.clone()).or_default().push(at);
        self.known.insert(selector.to_owned(), at);
        self.rules.push((parsed, style));
    }

    /// The style of an element by its name, its id and its classes.
    pub(crate) fn style(&self, name: &[u8], id: &str, classes: &str) -> Style {
        let mut style = Style::default();
        if self.rules.is_empty() {
            return style;
        }
        let classes = classes.split_ascii_whitespace().take(CLASSES_MAX).map(|class| format!(".{class}"));
        let mut parts: Vec<String> = classes.collect();
        parts.push(String::from_utf8_lossy(name).into_owned());
        if !id.is_empty() {
            parts.push(format!("#{id}"));
        }
        // In pages without a doctype, style sheets ignore case.
        parts.iter_mut().for_each(|part| part.make_ascii_lowercase());
        let places: Vec<&Vec<usize>> = parts.iter().filter_map(|part| self.places.get(part)).collect();
        let has_any = |of: &HashSet<String>| parts.iter().any(|part| of.contains(part));
        let unknown = || Style { is_gone: has_any(&self.hiding), ..Style::default() }.of_unknown_colours();
        if self.is_overfull || !self.pay(places.iter().map(|at| at.len())) {
            return unknown();
        }
        let mut found: Vec<usize> = places.into_iter().flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        for (selector, said) in found.into_iter().filter_map(|at| self.rules.get(at)) {
            if !self.pay([selector.parts.len().saturating_mul(parts.len())]) {
                return unknown();
            }
            if selector.parts.iter().all(|part| parts.contains(part)) {
                style = style.then(said);
            }
        }
        if has_any(&self.unread) { style.of_unknown_colours() } else { style }
    }
}

impl Sheet {
    /// Counts comparisons down; `false` if too few are left. Zero comparisons are always allowed.
    fn pay(&self, comparisons: impl IntoIterator<Item = usize>) -> bool {
        let cost = comparisons.into_iter().fold(0_usize, usize::saturating_add);
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }
}

impl Selector {
    /// `None`: the selector is empty or has other parts.
    fn read(text: &str) -> Option<Self> {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#');
        if text.is_empty() || !text.chars().all(is_plain) {
            return None;
        }
        let mut parts: Vec<String> = Vec::new();
        for c in text.chars() {
            match parts.last_mut() {
                Some(part) if !matches!(c, '.' | '#') => part.push(c),
                _ => parts.push(c.to_string()),
            }
        }
        // `.` and `#` need a name after them.
        parts.iter().all(|part| part.len() > 1 || !part.starts_with(['.', '#'])).then_some(Self { parts })
    }
}

/// Whether all browsers meet a condition of `@supports`, as far as is known. A condition for one maker's browsers does not count, nor does a negated
/// one. All browsers support custom properties (`--x`).
fn is_supported_by_all(condition: &str) -> bool {
    let condition = condition.replace(' ', "").replace("(--", "(");
    !["not", "(-", "selector("].iter().any(|part| condition.contains(part))
}

/// A selector without the elements that contain every element, such as `body`. The `>` of `body > header` stays, because such a rule depends on other
/// elements.
fn of_itself(selector: &str) -> String {
    let selector = selector.replace('>', " > ");
    let parts: Vec<&str> = selector.split_whitespace().collect();
    let outer = parts.iter().take_while(|part| matches!(**part, "html" | "body" | ":root" | "*" | ">")).count();
    let outer = match parts.get(..outer) {
        Some([.., "*", ">"]) => outer,
        Some([.., ">"]) => outer.saturating_sub(1),
        _ => outer,
    };
    let inner = parts.get(outer..).filter(|inner| !inner.is_empty()).unwrap_or(&parts).join(" ");
    inner.strip_prefix('*').filter(|rest| rest.starts_with(['.', '#'])).map_or_else(|| inner.clone(), str::to_owned)
}

/// The end of the block whose content begins here.
fn block_end(block: &str) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in block.char_indices() {
        match (quote, c) {
            (Some(_), '\n') => quote = None,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth = depth.saturating_add(1),
            (None, '}') if depth == 0 => return at,
            (None, '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    block.len()
}

/// The texts of all `<style>` elements, except those in comments, scripts, templates and `<noscript>`.
fn styles(html: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once('<') {
        let begins = |name: &str| {
            tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && tag.as_bytes().get(name.len()).is_none_or(|next| !next.is_ascii_alphanumeric())
        };
        if let Some(comment) = tag.strip_prefix("!--") {
            rest =
                if comment.starts_with('>') { comment } else { comment.split_once("-->").map_or("", |(_, rest)| rest) };
        } else if let Some(end) = UNREAD.iter().find_map(|(name, end)| begins(name).then_some(*end)) {
            rest = until_end(tag, end).1;
        } else if begins("style") {
            let Some((attributes, text)) = tag.split_once('>') else { break };
            let (text, after) = until_end(text, "</style");
            let attributes = attributes.to_ascii_lowercase();
            // Other sheets are for paper, or for narrow screens.
            let is_for_all = ["screen", "all"].iter().any(|medium| attributes.contains(medium))
                && !["(", "not", "print"].iter().any(|other| attributes.contains(other));
            if !attributes.contains("media") || is_for_all {
                found.push(text);
            }
            rest = after;
        } else {
            rest = tag;
        }
    }
    found
}

/// The text before an end tag, and the text after it.
fn until_end<'h>(text: &'h str, end: &str) -> (&'h str, &'h str) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("</")).map(|at| from.saturating_add(at)) {
        let after = at.saturating_add(end.len());
        if text.get(at..after).is_some_and(|tag| tag.eq_ignore_ascii_case(end)) {
            return (text.get(..at).unwrap_or_default(), text.get(after..).unwrap_or_default());
        }
        from = at.saturating_add(2);
    }
    (text, "")
}
