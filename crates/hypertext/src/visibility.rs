//! Whether text is visible, from the styles of all elements around it. Must not know HTML.

use crate::{
    colour::Colour,
    style::{Ink, Size, Style},
};

/// The visibility inside an element.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Visibility {
    is_gone: bool,
    is_invisible: bool,
    is_tiny: bool,
    /// `None`: no colour is set.
    colour: Option<Ink>,
    background: Option<Ink>,
}

impl Visibility {
    /// The visibility inside an inner element with this style.
    pub(crate) fn with(self, style: &Style) -> Self {
        Self {
            is_gone: self.is_gone || style.is_gone,
            is_invisible: style.is_invisible.unwrap_or(self.is_invisible),
            is_tiny: match style.size {
                Some(Size::Tiny) => true,
                Some(Size::Readable) => false,
                Some(Size::Relative) | None => self.is_tiny,
            },
            colour: style.colour.or(self.colour),
            background: match style.background {
                Some(Ink::Plain(colour)) if colour.is_faint() => self.background,
                Some(Ink::Plain(colour)) if !colour.is_solid() => Some(Ink::Other),
                said => said.or(self.background),
            },
        }
    }

    /// Whether an element has a place on the page.
    pub(crate) fn shows_elements(self) -> bool {
        !self.is_gone && !self.is_invisible
    }

    /// Whether text is visible. On a page without style sheets, text without a set colour is black on white.
    pub(crate) fn shows_text(self, is_black_on_white: bool) -> bool {
        let known = |said: Option<Ink>, otherwise: Colour| match said {
            Some(Ink::Plain(colour)) => Some(colour),
            Some(Ink::Other) => None,
            None => is_black_on_white.then_some(otherwise),
        };
        let colour = known(self.colour, Colour::BLACK);
        let background = known(self.background, Colour::WHITE);
        let is_like = colour.zip(background).is_some_and(|(colour, background)| colour.is_like(background));
        let is_faint = colour.is_some_and(Colour::is_faint);
        self.shows_elements() && !self.is_tiny && !is_faint && !is_like
    }
}
