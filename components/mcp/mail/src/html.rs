//! Converts a mail's HTML to plain text: its visible part (`hypertext`), in time proportional to the mail, whatever the mail contains. Mail programs
//! differ in the style sheets that they support, so text may be hidden in one program and visible in another. Such text is left out.

use hypertext::{Element, Reader, Sheets};

/// How many links are written with their address. An address can be a hundred times longer than its source.
const LINKS_MAX: usize = 200;
/// Longer addresses are left out. They are for programs, not for readers.
const LINK_BYTES_MAX: usize = 500;

pub(crate) fn text(html: &str) -> String {
    let mut reading = Reading::default();
    hypertext::walk(html, Sheets::Ignored, &mut reading);
    reading.close_link();
    reading.out
}

#[derive(Default)]
struct Reading {
    out: String,
    /// The line ends before the next text. If zero, `space` says whether a space comes before it.
    lines: usize,
    space: bool,
    /// The open link's address, and the length of the text before it.
    link: Option<(String, usize)>,
    links: usize,
}

impl Reader for Reading {
    fn open(&mut self, element: &Element<'_>) -> bool {
        match element.name {
            b"a" => {
                self.close_link();
                let is_place = |href: &&str| href.starts_with("http") && href.len() <= LINK_BYTES_MAX;
                if let Some(href) = element.href.filter(is_place).filter(|_| self.links < LINKS_MAX) {
                    self.links += 1;
                    self.link = Some((href.to_owned(), self.out.len()));
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
        true
    }

    fn close(&mut self, name: &[u8]) {
        match name {
            b"a" => self.close_link(),
            b"br" => {}
            name => self.lines = self.lines.max(lines_around(name)),
        }
    }

    fn text(&mut self, text: &str) {
        self.write(text);
    }
}

impl Reading {
    /// Writes text. White space only separates words.
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

    /// Writes the link's address, unless it is the link's text.
    fn close_link(&mut self) {
        let Some((address, start)) = self.link.take() else { return };
        let said = self.out.get(start..).unwrap_or_default().trim();
        if !said.is_empty() && said != address {
            self.out.push_str(&format!(" <{address}>"));
        }
    }
}

/// The line ends around an element.
fn lines_around(name: &[u8]) -> usize {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" | b"ul" | b"ol" | b"table" | b"pre"
        | b"hr" => 2,
        b"br" | b"div" | b"tr" | b"center" | b"section" | b"article" | b"header" | b"footer" | b"address" | b"dt"
        | b"dd" => 1,
        _ => 0,
    }
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
