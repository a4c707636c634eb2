//! Whether the attribute `style` hides an element (CSS, inline declarations). Must not know elements.

use crate::{
    colour::Colour,
    length::{is_all_inset, is_one_point, measure, number, pixels, words},
};

/// Text smaller than this, in pixels, cannot be read.
const TINY_PX: f32 = 2.0;
/// One percent of the usual text size.
const PERCENT_OF_TEXT_PX: f32 = 0.16;
/// A box of this size holds no text.
const EMPTY_PX: f32 = 1.0;
/// A box further away than this is off the screen.
const AWAY_PX: f32 = -500.0;
/// Nobody scrolls this far to the right. Downwards, long pages do go this far.
const FAR_RIGHT_PX: f32 = 5_000.0;
/// A line with this indent begins outside of its box. An indent of 100 percent counts as this many pixels.
const INDENT_PX: f32 = 1_000.0;
/// Letters that are moved together by more than their width lie on each other.
const TOGETHER_EM: f32 = -0.625;
/// The assumed size of letters if only their spacing is set: headlines are no larger.
const HEADLINE_PX: f32 = 160.0;
/// The least size that is assumed, because a text in a box without size sets its own.
const LETTER_PX: f32 = 16.0;
/// An element with a lower opacity is invisible.
const OPACITY_MIN: f32 = 0.1;

/// The style of one element.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Style {
    /// The element and its content are not shown.
    pub(crate) is_gone: bool,
    /// It is not shown, whatever other rules say.
    pub(crate) is_gone_for_good: bool,
    /// It is shown, whatever the attribute `hidden` says.
    pub(crate) is_displayed: bool,
    /// Whether it is invisible. Elements inside it may be visible again.
    pub(crate) is_invisible: Option<bool>,
    pub(crate) size: Option<Size>,
    pub(crate) colour: Option<Ink>,
    pub(crate) background: Option<Ink>,
}

/// What happens to content that is larger than its box.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Overflow {
    #[default]
    Seen,
    /// A person can scroll to it.
    Scrolled,
    Cut,
}

/// The size of text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Tiny,
    Readable,
    /// Relative to the size around it.
    Relative,
}

/// A colour, or something that is like no colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ink {
    Plain(Colour),
    Other,
}

impl Style {
    /// Whether it can hide text inside it, by itself or together with other styles.
    pub(crate) fn may_hide(&self) -> bool {
        let is_plain = |ink: Option<Ink>| matches!(ink, Some(Ink::Plain(_)));
        self.hides() || self.is_invisible.is_some() || is_plain(self.colour) || is_plain(self.background)
    }

    /// Whether it hides text by itself.
    pub(crate) fn hides(&self) -> bool {
        self.is_gone || self.is_invisible == Some(true) || self.size == Some(Size::Tiny) || self.is_faint()
    }

    fn is_faint(&self) -> bool {
        matches!(self.colour, Some(Ink::Plain(colour)) if colour.is_faint())
    }

    /// The same style with unknown colours. A colour that hides stays.
    pub(crate) fn of_unknown_colours(self) -> Self {
        let colour = if self.is_faint() { self.colour } else { Some(Ink::Other) };
        Self { colour, background: Some(Ink::Other), ..self }
    }

    /// This style, changed by a later one.
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

    /// Reads the declarations of an attribute or a rule.
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

/// The last valid value of each property.
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
    /// `-webkit-text-fill-color`, which overrides the colour.
    fill: Option<Ink>,
    background: Option<Ink>,
    has_image: bool,
    /// The background shows only through the letters.
    is_letters: bool,
    overflow: [Overflow; 2],
    /// For height and width: whether the size is empty, the maximum is empty, and the minimum is not empty.
    is_empty: [bool; 2],
    is_empty_at_most: [bool; 2],
    has_least: [bool; 2],
    /// It grows into the free room.
    grows: bool,
    is_away: [bool; 5],
    /// Left and top, in pixels.
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
            // In `italic 0/0 serif`, the size is the part that may have a line height after it.
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

    /// Whether its box cuts off the content and has no room for it.
    fn is_cut(&self) -> bool {
        let [height, width] = self.is_empty.map(|is_empty| is_empty && !self.grows);
        let [max_height, max_width] = self.is_empty_at_most;
        let [min_height, min_width] = self.has_least;
        let never_has_room = (max_height && !min_height) || (max_width && !min_width);
        let has_no_room = never_has_room || (height && !min_height) || (width && !min_width);
        // A list that scrolls often has no height of its own: it gets the room that the elements around it leave.
        (self.overflow.contains(&Overflow::Cut) && (has_no_room || self.is_indented))
            || (self.overflow.contains(&Overflow::Scrolled) && never_has_room)
    }

    /// Whether its margin moves it off the screen, and its padding does not move it back. Pages make bars as wide as the screen with both.
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
            // From the side, an element is invisible.
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

/// A distance in pixels. A percentage is one of the surrounding box.
fn distance(value: &str) -> f32 {
    pixels(value, 5.0).unwrap_or_default()
}

/// Left and top of one to four sides. The order is top, right, bottom, left; a missing side is as the other side.
fn left_and_top(value: &str) -> [f32; 2] {
    let sides: Vec<&str> = words(value).filter(|side| !side.is_empty()).take(4).collect();
    let left = sides.get(3).or_else(|| sides.get(1)).or_else(|| sides.first());
    [left, sides.first()].map(|side| side.map_or(0.0, |side| distance(side)))
}

/// Whether browsers accept a value of `display`; they ignore others.
fn is_display(value: &str) -> bool {
    let first = value.split(' ').next().unwrap_or_default();
    let known = ["none", "inline", "block", "flex", "grid", "flow", "contents", "initial", "unset", "revert", "ruby"];
    known.contains(&first)
        || ["inline-", "table", "list-item", "run-in", "flow-", "-webkit-", "-ms-", "-moz-"]
            .iter()
            .any(|start| first.starts_with(start))
}

/// The ink of a value; `None` if the value sets none.
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
    // In a shorthand, a number without a unit is a weight.
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

/// The text in lower case, without comments and escapes, and with one kind of white space.
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
            // Line ends stay, because a quotation ends at the line's end at the latest.
            '\n' | '\r' | '\x0c' => plain.push('\n'),
            c if c.is_ascii_whitespace() => plain.push(' '),
            c => plain.push(c.to_ascii_lowercase()),
        }
    }
    plain
}

/// The name and value of each declaration, and whether it is `!important`.
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
mod tests;
