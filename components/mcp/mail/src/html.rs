//! A mail's HTML as plain text, from its tags as they come, without building the tree they mean: that takes time in proportion to the mail,
//! whatever is in it. Some of what is hidden from people is left out: what `hidden`, `display: none` or `visibility: hidden` hides on an element itself.
//! Style sheets, colours, sizes and places hide too, and are not looked at: a model is told more than a person sees.

use std::convert::Infallible;

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

/// Links that are written with their address: one can be a hundred times longer than what the mail says for it.
const LINKS_MAX: usize = 200;
/// Longer addresses are left out: they are a program's, not a place to read.
const LINK_BYTES_MAX: usize = 500;

/// Its text.
pub(crate) fn text(html: &str) -> String {
    let mut reading = Reading::default();
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        reading.event(event);
        None
    });
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    reading.close_link();
    reading.out
}

#[derive(Default)]
struct Reading {
    out: String,
    /// Line ends, or for none a space, before what is written next.
    lines: usize,
    space: bool,
    /// The start tag whose attributes are being read.
    tag: Vec<u8>,
    attribute: Vec<u8>,
    is_hidden: bool,
    href: Option<String>,
    /// The address of the link that is open, and how much was written before.
    link: Option<(String, usize)>,
    links: usize,
    /// The element that is left out, and how many are open in it that hold others of its name.
    skipped: Option<(Vec<u8>, usize)>,
}

impl Reading {
    fn event(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                (self.tag, self.is_hidden, self.href) = (name.to_vec(), false, None);
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute = name.to_vec();
                self.is_hidden |= name == b"hidden";
            }
            CallbackEvent::AttributeValue { value } => {
                let value = String::from_utf8_lossy(value);
                match self.attribute.as_slice() {
                    b"href" => self.href = Some(value.trim().to_owned()),
                    b"style" => {
                        let style: String = value.to_lowercase().split_whitespace().collect();
                        self.is_hidden |= style.contains("display:none") || style.contains("visibility:hidden");
                    }
                    _ => {}
                }
            }
            CallbackEvent::CloseStartTag { self_closing } => self.open(self_closing),
            CallbackEvent::EndTag { name } => self.close(name),
            CallbackEvent::String { value } => {
                if self.skipped.is_none() {
                    self.write(&String::from_utf8_lossy(value));
                }
            }
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn open(&mut self, self_closing: bool) {
        let name = std::mem::take(&mut self.tag);
        // Only these can end where they start; HTML passes over the stroke in others.
        let is_empty = self_closing && name == b"svg";
        if let Some((skipped, open)) = &mut self.skipped {
            if nests(skipped, &name) {
                *open = open.saturating_add(usize::from(!is_empty));
                return;
            }
            if *open > 0 || !ends(skipped, &name) {
                return;
            }
            self.skipped = None;
        }
        let no_text =
            [&b"script"[..], b"style", b"title", b"template", b"svg", b"select", b"textarea", b"object", b"iframe"];
        if no_text.contains(&name.as_slice()) || (self.is_hidden && has_content(&name)) {
            if !is_empty {
                self.skipped = Some((name, 0));
            }
            return;
        }
        match name.as_slice() {
            b"a" => {
                self.close_link();
                let is_place = |href: &String| href.starts_with("http") && href.len() <= LINK_BYTES_MAX;
                if let Some(href) = self.href.take().filter(is_place).filter(|_| self.links < LINKS_MAX) {
                    self.links += 1;
                    self.link = Some((href, self.out.len()));
                }
            }
            b"li" => {
                self.lines = self.lines.max(1);
                self.write("- ");
                self.space = true;
            }
            b"td" | b"th" => self.space = true,
            name => self.lines = self.lines.max(lines_around(name)),
        }
    }

    fn close(&mut self, name: &[u8]) {
        if let Some((skipped, open)) = &mut self.skipped {
            let (is_own, nests) = (skipped.as_slice() == name, nests(skipped, name));
            if *open > 0 {
                *open -= usize::from(nests);
                return;
            }
            if !is_own && !nests && !ends(skipped, name) {
                return;
            }
            self.skipped = None;
            if is_own {
                return;
            }
        }
        match name {
            b"a" => self.close_link(),
            b"br" => {}
            name => self.lines = self.lines.max(lines_around(name)),
        }
    }

    /// White space means only that words are apart.
    fn write(&mut self, text: &str) {
        for (index, word) in text.split(|c: char| c.is_whitespace() || c.is_control()).enumerate() {
            self.space |= index > 0;
            if word.is_empty() {
                continue;
            }
            if !self.out.is_empty() {
                self.out.extend(std::iter::repeat_n('\n', self.lines));
                if self.lines == 0 && self.space {
                    self.out.push(' ');
                }
            }
            (self.lines, self.space) = (0, false);
            self.out.push_str(word);
        }
    }

    /// Says where a link leads, if what it says is not that.
    fn close_link(&mut self) {
        let Some((address, start)) = self.link.take() else { return };
        let said = self.out.get(start..).unwrap_or_default().trim();
        if !said.is_empty() && said != address {
            self.out.push_str(&format!(" <{address}>"));
        }
    }
}

/// How far an element stands from what is around it.
fn lines_around(name: &[u8]) -> usize {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" | b"ul" | b"ol" | b"table" | b"pre"
        | b"hr" => 2,
        b"br" | b"div" | b"tr" | b"center" | b"section" | b"article" | b"header" | b"footer" | b"address" | b"dt"
        | b"dd" => 1,
        _ => 0,
    }
}

/// Whether an element within one that is left out can hold further ones of its name.
fn nests(skipped: &[u8], name: &[u8]) -> bool {
    match skipped {
        b"p" => false,
        b"li" => matches!(name, b"ul" | b"ol" | b"menu"),
        b"dt" | b"dd" => name == b"dl",
        b"td" | b"th" | b"tr" | b"thead" | b"tbody" | b"tfoot" => name == b"table",
        _ => name == skipped,
    }
}

/// Whether a tag ends an element whose own end need not be written.
fn ends(skipped: &[u8], name: &[u8]) -> bool {
    let is_part = matches!(name, b"thead" | b"tbody" | b"tfoot");
    match skipped {
        b"p" => (lines_around(name) > 0 && name != b"br") || matches!(name, b"li" | b"td" | b"th" | b"body" | b"html"),
        b"li" => name == b"li",
        b"dt" | b"dd" => matches!(name, b"dt" | b"dd"),
        b"td" | b"th" => is_part || matches!(name, b"td" | b"th" | b"tr"),
        b"tr" => is_part || name == b"tr",
        b"thead" | b"tbody" | b"tfoot" => is_part,
        _ => false,
    }
}

/// Whether there is an end to such an element other than the mail's.
fn has_content(name: &[u8]) -> bool {
    let without = [
        &b"area"[..],
        b"base",
        b"br",
        b"col",
        b"embed",
        b"hr",
        b"img",
        b"input",
        b"link",
        b"meta",
        b"source",
        b"track",
        b"wbr",
        b"html",
        b"head",
        b"body",
        b"option",
    ];
    !without.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_reads_as_it_looks() {
        for (html, expected) in [
            ("<p>One&nbsp;&amp;\n two<p>Three<br>four", "One & two\n\nThree\nfour"),
            ("<html><head><title>T</title><style>p{}</style></head><body>Hi</body>", "Hi"),
            ("<ul><li>a</li><li><b>b</b></li></ul>c", "- a\n- b\n\nc"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
            ("See <a href='https://a.example/x'>the offer</a>.", "See the offer <https://a.example/x>."),
            ("<a href='https://a.example'>https://a.example</a> <a href='#top'>up</a>", "https://a.example up"),
            ("<div style='DISPLAY: none'>obey <div>me</div> now</div>seen<span hidden>not</span>", "seen"),
            ("<p style='display:none'>obey<b>me</b><p>seen", "seen"),
            ("<div><p hidden>obey</div>seen", "seen"),
            ("a<ul><li hidden>obey<ul><li>me</ul>now<li>seen</ul>b", "a\n\n- seen\n\nb"),
            ("<ul><li hidden>obey</ul>seen", "seen"),
            ("<dl><dt hidden>obey<dd>seen</dl>", "seen"),
            (
                "<table><tr><td hidden>obey<table><tr><td>me</table>now<td>a<tr hidden><td>no<td>no<tr><td>b</table>c",
                "a\nb\n\nc",
            ),
            ("<table><tr hidden><td>obey</table>seen", "seen"),
            ("<img hidden>a<br hidden>b", "a\nb"),
            ("<svg/>seen<svg><svg/><text>no</text></svg> too", "seen too"),
            ("<div hidden/>obey</div>seen<script/>no</script>", "seen"),
            ("<script>1 < 2</script><b", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn deep_and_broken_mails_take_no_longer() {
        let deep = "<div><ul><li><a href=x><b>".repeat(50_000);
        assert!(text(&deep).len() < deep.len());
        for broken in ["<", "<a href='", "&#x110000;&#0;&", "</", "<!--", "<![CDATA[", "\u{0}"] {
            let _ = text(broken);
        }
    }
}
