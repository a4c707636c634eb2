//! What the attribute `style` says of whether an element is seen (CSS, inline declarations). Must not know elements.

use crate::{
    colour::Colour,
    length::{is_all_inset, is_one_point, measure, number, pixels, words},
};

/// Smaller text, in pixels, is not read by anybody.
const TINY_PX: f32 = 2.0;
/// A box of this size holds no text.
const EMPTY_PX: f32 = 1.0;
/// Further away than this is not on the screen.
const AWAY_PX: f32 = -500.0;
/// And this far to the right nobody goes to look; downwards, long pages have their ends there.
const FAR_RIGHT_PX: f32 = 5_000.0;
/// A line that begins so far in begins outside of its box: all of it, in percent.
const INDENT_PX: f32 = 1_000.0;
/// Letters that are pushed together by more than their width lie on each other.
const TOGETHER_PX: f32 = -10.0;
/// Less of an element is not seen.
const OPACITY_MIN: f32 = 0.1;

/// What is said of one element.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Style {
    /// It and all in it is not there.
    pub(crate) is_gone: bool,
    /// It is not there, whatever else is said of it.
    pub(crate) is_gone_for_good: bool,
    /// It has a box, whatever the attribute `hidden` says.
    pub(crate) is_displayed: bool,
    /// Whether it is invisible; those in it may say otherwise.
    pub(crate) is_invisible: Option<bool>,
    pub(crate) size: Option<Size>,
    pub(crate) colour: Option<Ink>,
    pub(crate) background: Option<Ink>,
}

/// How large text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Tiny,
    Readable,
    /// As a part of that around it.
    Relative,
}

/// A colour, or something else that is not like any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    Plain(Colour),
    Other,
}

impl Style {
    /// Whether it can hide text that stands in it.
    pub(crate) fn may_hide(&self) -> bool {
        let is_plain = |ink: Option<Ink>| matches!(ink, Some(Ink::Plain(_)));
        self.is_gone
            || self.is_invisible.is_some()
            || self.size == Some(Size::Tiny)
            || is_plain(self.colour)
            || is_plain(self.background)
    }

    /// What holds when this is said later.
    pub(crate) fn then(self, later: &Self) -> Self {
        let is_gone_for_good = self.is_gone_for_good || later.is_gone_for_good;
        let is_gone = is_gone_for_good || later.is_gone || (self.is_gone && !later.is_displayed);
        Self {
            is_gone,
            is_gone_for_good,
            is_displayed: !is_gone && (later.is_displayed || self.is_displayed),
            is_invisible: later.is_invisible.or(self.is_invisible),
            size: later.size.or(self.size),
            colour: later.colour.or(self.colour),
            background: later.background.or(self.background),
        }
    }

    /// Reads an attribute, or what a rule says.
    pub(crate) fn read(text: &str) -> Self {
        let text = plain(text);
        let mut declared = Declared::default();
        for important in [false, true] {
            for (name, value, is_important) in declarations(&text) {
                if is_important == important {
                    declared.declare(name, value);
                    declared.is_display_important |= important && name == "display";
                }
            }
        }
        declared.style()
    }
}

/// The last valid word on each property.
#[derive(Default)]
struct Declared<'s> {
    display: Option<&'s str>,
    is_display_important: bool,
    is_invisible: Option<bool>,
    opacity: Option<f32>,
    filter: &'s str,
    content_visibility: &'s str,
    size: Option<Size>,
    colour: Option<Ink>,
    /// `-webkit-text-fill-color`, which wins over the colour.
    fill: Option<Ink>,
    background: Option<Ink>,
    has_image: bool,
    /// The background is seen through the letters.
    is_letters: bool,
    cuts_off: [bool; 2],
    is_empty: [bool; 4],
    is_away: [bool; 7],
    /// Its text begins at its end.
    is_indented: bool,
    is_pushed_together: bool,
    is_shrunk: bool,
    is_moved: bool,
    clip: &'s str,
    clip_path: &'s str,
    transform: &'s str,
}

impl<'s> Declared<'s> {
    fn declare(&mut self, name: &str, value: &'s str) {
        match name {
            "display" if is_display(value) => self.display = Some(value),
            "visibility" => match value {
                "hidden" | "collapse" => self.is_invisible = Some(true),
                "visible" | "initial" => self.is_invisible = Some(false),
                _ => {}
            },
            "opacity" => self.opacity = number(value).or(self.opacity),
            "filter" => self.filter = value,
            "content-visibility" => self.content_visibility = value,
            "font-size" => self.size = size(value).or(self.size),
            // `italic 0/0 serif`: the size is what may have a line height behind it.
            "font" => self.size = value.split(' ').find_map(|part| size(part.split('/').next()?)).or(self.size),
            "color" => self.colour = ink(value).or(self.colour),
            "-webkit-text-fill-color" => self.fill = ink(value).or(self.fill),
            "background-color" => self.background = ink(value).or(self.background),
            "background" => {
                self.has_image = value.contains('(') && !value.starts_with("rgb");
                let read = words(value).find_map(Colour::read).map(Ink::Plain);
                self.background = read.or_else(|| ink(value)).or(self.background);
            }
            "background-image" => self.has_image = value != "none",
            "background-clip" | "-webkit-background-clip" => self.is_letters = value.contains("text"),
            "overflow" => self.cuts_off = [!value.contains("visible"); 2],
            "overflow-x" => set(&mut self.cuts_off, 0, value != "visible"),
            "overflow-y" => set(&mut self.cuts_off, 1, value != "visible"),
            "height" => set(&mut self.is_empty, 0, is_empty(value)),
            "max-height" => set(&mut self.is_empty, 1, is_empty(value)),
            "width" => set(&mut self.is_empty, 2, is_empty(value)),
            "max-width" => set(&mut self.is_empty, 3, is_empty(value)),
            "left" | "inset-inline-start" => set(&mut self.is_away, 0, is_away(value) || is_far_right(value)),
            "right" | "inset-inline-end" => set(&mut self.is_away, 1, is_away(value)),
            "top" | "inset-block-start" => set(&mut self.is_away, 2, is_away(value)),
            "bottom" | "inset-block-end" => set(&mut self.is_away, 3, is_away(value)),
            "inset" => {
                for at in 0..4 {
                    set(&mut self.is_away, at, words(value).any(is_away));
                }
            }
            "text-indent" => {
                set(&mut self.is_away, 4, is_away(value));
                self.is_indented = pixels(value, 10.0).is_some_and(|px| px >= INDENT_PX);
            }
            "margin-left" | "margin-inline-start" => set(&mut self.is_away, 5, is_away(value)),
            "margin-top" | "margin-block-start" => set(&mut self.is_away, 6, is_away(value)),
            "margin" => {
                // One to four of them, from the top around; what is not said is as on the other side.
                let sides: Vec<&str> = words(value).filter(|side| !side.is_empty()).take(4).collect();
                let left = sides.get(3).or_else(|| sides.get(1)).or_else(|| sides.first());
                set(&mut self.is_away, 5, left.is_some_and(|left| is_away(left)));
                set(&mut self.is_away, 6, sides.first().is_some_and(|top| is_away(top)));
            }
            "letter-spacing" => self.is_pushed_together = pixels(value, 0.0).is_some_and(|px| px <= TOGETHER_PX),
            "scale" => self.is_shrunk = words(value).filter_map(number).any(|scale| scale == 0.0),
            "zoom" => self.is_shrunk = number(value).is_some_and(|zoom| zoom > 0.0 && zoom < OPACITY_MIN),
            "translate" => self.is_moved = words(value).any(is_away),
            "clip" => self.clip = value,
            "clip-path" | "-webkit-clip-path" => self.clip_path = value,
            "transform" | "-webkit-transform" => self.transform = value,
            _ => {}
        }
    }

    fn style(self) -> Style {
        let within = |value: &str, function: &str| value.split(function).nth(1).and_then(number);
        let is_cut = self.cuts_off.contains(&true) && (self.is_empty.contains(&true) || self.is_indented);
        let is_clipped = within(self.clip, "rect(").is_some_and(|top| top <= EMPTY_PX)
            && !self.clip.contains("auto")
            && self.clip.split([',', ' ', '(']).filter_map(number).all(|edge| edge <= EMPTY_PX);
        let is_cut_out = self.clip_path.split("inset(").nth(1).is_some_and(is_all_inset)
            || ["circle(", "ellipse("]
                .iter()
                .any(|function| within(self.clip_path, function).is_some_and(|radius| radius <= 0.0))
            || self.clip_path.split("polygon(").nth(1).is_some_and(is_one_point);
        let is_nothing = ["scale(", "scalex(", "scaley(", "scale3d("]
            .iter()
            .any(|function| within(self.transform, function).is_some_and(|scale| scale == 0.0))
            || ["translate(", "translatex(", "translatey("]
                .iter()
                .filter_map(|function| pixels(self.transform.split(function).nth(1)?, 1.0))
                .any(|px| px <= AWAY_PX)
            // From the side there is nothing to see.
            || ["rotatex(90deg", "rotatey(90deg", "rotatex(-90deg", "rotatey(-90deg"]
                .iter()
                .any(|turned| self.transform.contains(turned));
        let is_filtered = ["opacity(", "opacity="]
            .iter()
            .any(|function| within(self.filter, function).is_some_and(|opacity| opacity < OPACITY_MIN));
        let colour = self.fill.or(self.colour);
        Style {
            is_gone: self.display == Some("none")
                || self.opacity.is_some_and(|opacity| opacity < OPACITY_MIN)
                || self.content_visibility == "hidden"
                || self.is_away.contains(&true)
                || is_cut
                || is_clipped
                || is_cut_out
                || is_nothing
                || is_filtered
                || self.is_pushed_together
                || self.is_shrunk
                || self.is_moved,
            is_gone_for_good: self.is_display_important && self.display == Some("none"),
            is_displayed: self.display.is_some_and(|display| display != "none"),
            is_invisible: self.is_invisible,
            size: self.size,
            colour: if self.is_letters { Some(Ink::Other) } else { colour },
            background: if self.has_image { Some(Ink::Other) } else { self.background },
        }
    }
}

fn set<const N: usize>(flags: &mut [bool; N], at: usize, flag: bool) {
    if let Some(known) = flags.get_mut(at) {
        *known = flag;
    }
}

/// A value that browsers take for one of `display`; others they pass over.
fn is_display(value: &str) -> bool {
    let first = value.split(' ').next().unwrap_or_default();
    let known = ["none", "inline", "block", "flex", "grid", "flow", "contents", "initial", "unset", "revert", "ruby"];
    known.contains(&first)
        || ["inline-", "table", "list-item", "run-in", "flow-", "-webkit-", "-ms-", "-moz-"]
            .iter()
            .any(|start| first.starts_with(start))
}

/// A colour, or what counts as none; `None`: nothing is said.
fn ink(value: &str) -> Option<Ink> {
    match value {
        "" | "inherit" | "currentcolor" | "unset" | "none" => None,
        _ => Some(Colour::read(value).map_or(Ink::Other, Ink::Plain)),
    }
}

fn size(value: &str) -> Option<Size> {
    match value {
        "smaller" | "larger" => return Some(Size::Relative),
        "xx-small" | "x-small" | "small" | "medium" | "large" | "x-large" | "xx-large" | "xxx-large" | "initial" => {
            return Some(Size::Readable);
        }
        _ => {}
    }
    let (number, unit) = measure(value)?;
    // Part of a shorthand: a weight.
    if unit.is_empty() && number != 0.0 {
        return None;
    }
    let is_relative = matches!(unit, "em" | "%" | "ex" | "ch");
    match pixels(value, 0.16)? {
        px if px < TINY_PX => Some(Size::Tiny),
        _ if is_relative => Some(Size::Relative),
        _ => Some(Size::Readable),
    }
}

fn is_empty(value: &str) -> bool {
    pixels(value, 1.0).is_some_and(|px| px <= EMPTY_PX)
}

fn is_away(value: &str) -> bool {
    // All of what is around it.
    pixels(value, 5.0).is_some_and(|px| px <= AWAY_PX)
}

fn is_far_right(value: &str) -> bool {
    pixels(value, 1.0).is_some_and(|px| px >= FAR_RIGHT_PX)
}

/// In lower case, without comments and escapes, and with one kind of white space.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'*') => {
                let mut last = ' ';
                rest.next();
                for c in rest.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            '\\' => {
                let mut code = 0_u32;
                let mut digits = 0_u32;
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(16)).filter(|_| digits < 6) {
                    code = code.saturating_mul(16).saturating_add(digit);
                    digits = digits.saturating_add(1);
                    rest.next();
                }
                if digits == 0 {
                    plain.extend(rest.next().map(|c| c.to_ascii_lowercase()));
                } else {
                    plain.extend(char::from_u32(code).map(|c| c.to_ascii_lowercase()));
                    if rest.peek().is_some_and(|c| c.is_ascii_whitespace()) {
                        rest.next();
                    }
                }
            }
            // What stands in quotes may go on to the line's end only.
            '\n' | '\r' | '\x0c' => plain.push('\n'),
            c if c.is_ascii_whitespace() => plain.push(' '),
            c => plain.push(c.to_ascii_lowercase()),
        }
    }
    plain
}

/// Name, value, and whether it is `!important`.
fn declarations(text: &str) -> impl Iterator<Item = (&str, &str, bool)> {
    let (mut quote, mut depth) = (None, 0_usize);
    let all = text.split(move |c: char| {
        match (quote, c) {
            (Some(_), '\n') => quote = None,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth = depth.saturating_add(1),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ';') => return depth == 0,
            _ => {}
        }
        false
    });
    all.filter_map(|declaration| {
        let (name, value) = declaration.split_once(':')?;
        let (value, is_important) = match value.rsplit_once('!') {
            Some((value, word)) if word.trim() == "important" => (value, true),
            _ => (value, false),
        };
        Some((name.trim(), value.trim(), is_important))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_an_element_is_seen_however_it_is_written() {
        for style in [
            "display:none",
            "DISPLAY : None !important",
            "display:none!important;display:block",
            "color:red;;display:none;",
            "display:none;display:nothing-known",
            "dis/* */play:none",
            "d\\69splay:none",
            "\\44 isplay:none",
            "background:url('a;b');display:none",
            "background:url(data:image/png;base64,x);display:none",
            "font-family:'x\n;display:none",
            "opacity:0",
            "opacity: .01",
            "filter:opacity(0%)",
            "filter:alpha(opacity=0)",
            "content-visibility:hidden",
            "max-height:0;overflow:hidden",
            "height:0px;overflow-y:hidden",
            "width:1px;height:1px;overflow:hidden",
            "position:absolute;left:-9999px",
            "position:fixed;top:-100vh",
            "text-indent:-99em",
            "margin-left:-5000px",
            "clip:rect(0,0,0,0)",
            "clip: rect(1px 1px 1px 1px)",
            "clip-path:inset(100%)",
            "clip-path:circle(0)",
            "transform:scale(0)",
            "transform:rotate(1deg) translateX(-9999px)",
        ] {
            assert!(Style::read(style).is_gone, "{style}");
        }
        for style in [
            "",
            ";:;",
            "display",
            "display:none;display:block",
            "xdisplay:none",
            "font-family:'display:none;'",
            "font-family:'display:none",
            "content:\"a;display:none\"",
            "background:url(x;display:none)",
            "/* display:none */",
            "opacity:0.5",
            "opacity:nothing",
            "height:0",
            "overflow:hidden;height:100px",
            "left:-10px",
            "clip:auto",
            "clip:rect(0,100px,100px,0)",
            "clip-path:inset(5%)",
            "transform:scale(1)",
            "transform:translate(-50%, -50%)",
        ] {
            assert!(!Style::read(style).is_gone, "{style}");
        }
    }

    #[test]
    fn what_others_may_take_back_is_told_apart() {
        assert_eq!(Style::read("visibility:HIDDEN").is_invisible, Some(true));
        assert_eq!(Style::read("visibility:hidden;visibility:visible").is_invisible, Some(false));
        for tiny in [
            "font-size:0",
            "font-size:0px!important",
            "font-size: 1px",
            "font-size:.01em",
            "font:0/0 a",
            "font-size:0%",
        ] {
            assert_eq!(Style::read(tiny).size, Some(Size::Tiny), "{tiny}");
        }
        assert_eq!(Style::read("font:italic 700 13px/1.5 Arial").size, Some(Size::Readable));
        assert_eq!(Style::read("font-size:90%").size, Some(Size::Relative));
        assert_eq!(Style::read("font-size:var(--x)").size, None);
        assert_eq!(Style::read("color:#fff").colour, Some(Ink::Plain(Colour::WHITE)));
        assert_eq!(Style::read("color:white;-webkit-text-fill-color:black").colour, Some(Ink::Plain(Colour::BLACK)));
        assert_eq!(Style::read("color:transparent;-webkit-background-clip:text").colour, Some(Ink::Other));
        assert_eq!(Style::read("background: #fff none repeat").background, Some(Ink::Plain(Colour::WHITE)));
        assert_eq!(Style::read("background: rgb(0, 0, 0)").background, Some(Ink::Plain(Colour::BLACK)));
        assert_eq!(Style::read("background:#fff url(a.png)").background, Some(Ink::Other));
        assert_eq!(Style::read("background:linear-gradient(#000, #111)").background, Some(Ink::Other));
        assert_eq!(Style::read("background-color:inherit").background, None);
    }
}
