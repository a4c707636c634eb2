//! A start tag and the attributes that matter here. Must not know the elements around it.

use crate::{
    colour::Colour,
    element,
    sheet::Sheet,
    style::{Ink, Style},
    walk::Element,
};

/// A start tag. Of duplicate attributes, the first counts.
#[derive(Default)]
pub(crate) struct Tag {
    name: Vec<u8>,
    href: Option<String>,
    alt: Option<String>,
    role: Option<String>,
    style: Option<String>,
    id: Option<String>,
    class: Option<String>,
    aria_hidden: Option<String>,
    http_equiv: Option<String>,
    content: Option<String>,
    rel: Option<String>,
    colour: Option<String>,
    background_colour: Option<String>,
    has_image: bool,
    is_hidden: bool,
    is_open: bool,
    /// Whether the value of the last attribute has not come yet.
    awaited: bool,
}

impl Tag {
    pub(crate) fn new(name: &[u8]) -> Self {
        // Browsers read `image` as `img`.
        let name = if name == b"image" { &b"img"[..] } else { name };
        Self { name: name.to_vec(), ..Self::default() }
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Takes an attribute: first its name with an empty value, then the value if there is one.
    pub(crate) fn attribute(&mut self, name: &[u8], value: &str) {
        let place = match name {
            b"href" => &mut self.href,
            b"alt" => &mut self.alt,
            b"role" => &mut self.role,
            b"style" => &mut self.style,
            b"id" => &mut self.id,
            b"class" => &mut self.class,
            b"aria-hidden" => &mut self.aria_hidden,
            b"http-equiv" => &mut self.http_equiv,
            b"content" => &mut self.content,
            b"rel" => &mut self.rel,
            b"color" | b"text" => &mut self.colour,
            b"bgcolor" => &mut self.background_colour,
            b"background" => return self.has_image = true,
            b"hidden" | b"popover" => return self.is_hidden = true,
            b"open" => return self.is_open = true,
            _ => return,
        };
        if place.is_none() {
            *place = Some(String::new());
            self.awaited = true;
        } else if std::mem::take(&mut self.awaited) {
            *place = Some(value.trim().to_owned());
        }
    }

    /// Whether it links a style sheet.
    pub(crate) fn is_sheet(&self) -> bool {
        let rel = self.rel.as_deref().unwrap_or_default();
        self.name == b"link" && rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("stylesheet"))
    }

    /// Its style, from its attributes and the document's own style sheets.
    pub(crate) fn style(&self, sheet: &Sheet) -> Style {
        let name = self.name.as_slice();
        // A line break separates words, whatever its style.
        if name == b"br" {
            return Style::default();
        }
        let own = self.style.as_deref().map(Style::read).unwrap_or_default();
        let (id, class) = (self.id.as_deref().unwrap_or_default(), self.class.as_deref().unwrap_or_default());
        let mut style = sheet.style(name, id, class).then(&own);
        style.is_gone |= element::is_never_shown(name, self.is_open) || (self.is_hidden && !style.is_displayed);
        let ink = |text: &String| Colour::of_attribute(text).map_or(Ink::Other, Ink::Plain);
        let colour = match name {
            b"font" | b"body" => self.colour.as_ref().map(ink),
            // Links are blue, whatever colour is around them.
            b"a" if self.href.is_some() => Some(Ink::Other),
            _ => None,
        };
        let background = match name {
            b"body" | b"table" | b"thead" | b"tbody" | b"tfoot" | b"tr" | b"td" | b"th" if self.has_image => {
                Some(Ink::Other)
            }
            b"body" | b"table" | b"thead" | b"tbody" | b"tfoot" | b"tr" | b"td" | b"th" => {
                self.background_colour.as_ref().map(ink)
            }
            _ => None,
        };
        Style { colour: style.colour.or(colour), background: style.background.or(background), ..style }
    }

    /// The element as the reader gets it.
    pub(crate) fn element(&self) -> Element<'_> {
        Element {
            name: &self.name,
            href: self.href.as_deref(),
            alt: self.alt.as_deref().unwrap_or_default(),
            role: self.role.as_deref().unwrap_or_default(),
            is_aria_hidden: self.aria_hidden.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("true")),
            http_equiv: self.http_equiv.as_deref().unwrap_or_default(),
            content: self.content.as_deref().unwrap_or_default(),
        }
    }
}
