//! What the attribute `style` says of whether an element is seen (CSS, inline declarations). Must not know elements.

use crate::{
    colour::Colour,
    length::{is_all_inset, is_one_point, measure, number, pixels, words},
};

/// Smaller text, in pixels, is not read by anybody.
const TINY_PX: f32 = 2.0;
/// A percent of the size of text.
const PERCENT_OF_TEXT_PX: f32 = 0.16;
/// A box of this size holds no text.
const EMPTY_PX: f32 = 1.0;
/// Further away than this is not on the screen.
const AWAY_PX: f32 = -500.0;
/// And this far to the right nobody goes to look; downwards, long pages have their ends there.
const FAR_RIGHT_PX: f32 = 5_000.0;
/// A line that begins so far in begins outside of its box: all of it, in percent.
const INDENT_PX: f32 = 1_000.0;
/// Letters that are pushed together by more than their width lie on each other.
const TOGETHER_EM: f32 = -0.625;
/// How large letters are taken for whose size is not said beside how far they are apart: headlines are no larger.
const HEADLINE_PX: f32 = 160.0;
/// And at least so large, since a text in a box without size says its own.
const LETTER_PX: f32 = 16.0;
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

/// What becomes of what is larger than its box.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Overflow {
    #[default]
    Seen,
    /// One can go there.
    Scrolled,
    Cut,
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
    /// Whether it can hide text that stands in it, be it with what is said of others.
    pub(crate) fn may_hide(&self) -> bool {
        let is_plain = |ink: Option<Ink>| matches!(ink, Some(Ink::Plain(_)));
        self.hides() || self.is_invisible.is_some() || is_plain(self.colour) || is_plain(self.background)
    }

    /// Whether it hides text whatever is said of others.
    pub(crate) fn hides(&self) -> bool {
        self.is_gone || self.is_invisible == Some(true) || self.size == Some(Size::Tiny) || self.is_faint()
    }

    fn is_faint(&self) -> bool {
        matches!(self.colour, Some(Ink::Plain(colour)) if colour.is_faint())
    }

    /// The same in colours that nobody knows; what hides stays.
    pub(crate) fn of_unknown_colours(self) -> Self {
        let colour = if self.is_faint() { self.colour } else { Some(Ink::Other) };
        Self { colour, background: Some(Ink::Other), ..self }
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
    overflow: [Overflow; 2],
    /// Its height and its width, and how much of them there may be.
    is_empty: [bool; 2],
    is_empty_at_most: [bool; 2],
    has_least: [bool; 2],
    /// It takes what room there is.
    grows: bool,
    is_away: [bool; 5],
    /// On its left and above it, in pixels.
    margin: [f32; 2],
    padding: [f32; 2],
    /// Its text begins at its end.
    is_indented: bool,
    letter_spacing: &'s str,
    font_px: Option<f32>,
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
            "font-size" => self.font(value),
            // `italic 0/0 serif`: the size is what may have a line height behind it.
            "font" => {
                let mut parts = value.split(' ').filter_map(|part| part.split('/').next());
                if let Some(part) = parts.find(|part| size(part).is_some()) {
                    self.font(part);
                }
            }
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
            "overflow" => {
                let mut axes = words(value).map(overflow);
                let x = axes.next().unwrap_or_default();
                self.overflow = [x, axes.next().unwrap_or(x)];
            }
            "overflow-x" => set(&mut self.overflow, 0, overflow(value)),
            "overflow-y" => set(&mut self.overflow, 1, overflow(value)),
            "height" => set(&mut self.is_empty, 0, is_empty(value)),
            "width" => set(&mut self.is_empty, 1, is_empty(value)),
            "max-height" => set(&mut self.is_empty_at_most, 0, is_empty(value)),
            "max-width" => set(&mut self.is_empty_at_most, 1, is_empty(value)),
            "min-height" => set(&mut self.has_least, 0, pixels(value, 1.0).is_some_and(|px| px > EMPTY_PX)),
            "min-width" => set(&mut self.has_least, 1, pixels(value, 1.0).is_some_and(|px| px > EMPTY_PX)),
            "flex" | "flex-grow" => self.grows = value == "auto" || number(value).is_some_and(|share| share > 0.0),
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
            "margin-left" | "margin-inline-start" => set(&mut self.margin, 0, distance(value)),
            "margin-top" | "margin-block-start" => set(&mut self.margin, 1, distance(value)),
            "margin" => self.margin = left_and_top(value),
            "padding-left" | "padding-inline-start" => set(&mut self.padding, 0, distance(value)),
            "padding-top" | "padding-block-start" => set(&mut self.padding, 1, distance(value)),
            "padding" => self.padding = left_and_top(value),
            "letter-spacing" => self.letter_spacing = value,
            "scale" => self.is_shrunk = words(value).filter_map(number).any(|scale| scale == 0.0),
            "zoom" => self.is_shrunk = number(value).is_some_and(|zoom| zoom > 0.0 && zoom < OPACITY_MIN),
            "translate" => self.is_moved = words(value).any(is_away),
            "clip" => self.clip = value,
            "clip-path" | "-webkit-clip-path" => self.clip_path = value,
            "transform" | "-webkit-transform" => self.transform = value,
            _ => {}
        }
    }

    fn font(&mut self, value: &str) {
        if let Some(size) = size(value) {
            self.size = Some(size);
            self.font_px = pixels(value, PERCENT_OF_TEXT_PX);
        }
    }

    /// Whether what is in its box is cut off by it, and the box has no room.
    fn is_cut(&self) -> bool {
        let [height, width] = self.is_empty.map(|is_empty| is_empty && !self.grows);
        let [max_height, max_width] = self.is_empty_at_most;
        let [min_height, min_width] = self.has_least;
        let never_has_room = (max_height && !min_height) || (max_width && !min_width);
        let has_no_room = never_has_room || (height && !min_height) || (width && !min_width);
        // A list to scroll in is often given no height but what is left of the page, by whatever stands around it.
        (self.overflow.contains(&Overflow::Cut) && (has_no_room || self.is_indented))
            || (self.overflow.contains(&Overflow::Scrolled) && never_has_room)
    }

    /// Whether its margin takes it off the screen, and its padding does not bring it back: bars are made as wide as the screen so.
    fn is_pulled_away(&self) -> bool {
        let sides = self.margin.iter().zip(self.padding);
        sides.map(|(margin, padding)| margin + padding.max(0.0)).any(|px| px <= AWAY_PX)
    }

    fn is_pushed_together(&self) -> bool {
        let Some((_, unit)) = measure(self.letter_spacing) else { return false };
        let letter_px = match unit {
            "em" | "ex" | "ch" => LETTER_PX,
            _ => self.font_px.unwrap_or(HEADLINE_PX).max(LETTER_PX),
        };
        pixels(self.letter_spacing, 0.0).is_some_and(|px| px <= TOGETHER_EM * letter_px)
    }

    fn style(self) -> Style {
        let within = |value: &str, function: &str| value.split(function).nth(1).and_then(number);
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
                || self.is_pulled_away()
                || self.is_cut()
                || is_clipped
                || is_cut_out
                || is_nothing
                || is_filtered
                || self.is_pushed_together()
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

fn set<T, const N: usize>(all: &mut [T; N], at: usize, said: T) {
    if let Some(known) = all.get_mut(at) {
        *known = said;
    }
}

fn overflow(value: &str) -> Overflow {
    match value {
        "hidden" | "clip" => Overflow::Cut,
        "auto" | "scroll" | "overlay" => Overflow::Scrolled,
        _ => Overflow::Seen,
    }
}

/// In pixels; a percent is one of all that is around it.
fn distance(value: &str) -> f32 {
    pixels(value, 5.0).unwrap_or_default()
}

/// Of one to four sides, from the top around; what is not said is as on the other side.
fn left_and_top(value: &str) -> [f32; 2] {
    let sides: Vec<&str> = words(value).filter(|side| !side.is_empty()).take(4).collect();
    let left = sides.get(3).or_else(|| sides.get(1)).or_else(|| sides.first());
    [left, sides.first()].map(|side| side.map_or(0.0, |side| distance(side)))
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
    match pixels(value, PERCENT_OF_TEXT_PX)? {
        px if px < TINY_PX => Some(Size::Tiny),
        _ if is_relative => Some(Size::Relative),
        _ => Some(Size::Readable),
    }
}

fn is_empty(value: &str) -> bool {
    pixels(value, 1.0).is_some_and(|px| px <= EMPTY_PX)
}

fn is_away(value: &str) -> bool {
    distance(value) <= AWAY_PX
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
