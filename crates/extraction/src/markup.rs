//! XML, piece by piece. Entities that a document defines itself are not expanded, so none can grow; depth costs nothing but its bytes. Broken markup
//! ends the document where it breaks.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesEnd, BytesRef, BytesStart, Event},
};

/// A piece of a document.
pub(crate) enum Piece<'x> {
    Open(BytesStart<'x>),
    Close(BytesEnd<'x>),
    Text(Cow<'x, str>),
}

/// A document that is being read.
pub(crate) struct Markup<'x> {
    reader: Reader<&'x [u8]>,
    is_damaged: bool,
}

impl<'x> Markup<'x> {
    pub(crate) fn new(text: &'x str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        config.allow_unmatched_ends = true;
        config.check_end_names = false;
        config.expand_empty_elements = true;
        Self { reader, is_damaged: false }
    }

    /// Whether the document ended because it is broken.
    pub(crate) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// The next piece.
    pub(crate) fn next(&mut self) -> Option<Piece<'x>> {
        loop {
            match self.reader.read_event() {
                Ok(Event::Start(tag) | Event::Empty(tag)) => return Some(Piece::Open(tag)),
                Ok(Event::End(tag)) => return Some(Piece::Close(tag)),
                Ok(Event::Text(text)) => return Some(Piece::Text(text.into_inner())),
                Ok(Event::CData(text)) => return Some(Piece::Text(text.into_inner())),
                Ok(Event::GeneralRef(reference)) => return Some(Piece::Text(resolved(&reference))),
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
                Ok(Event::Eof) => return None,
                Err(_) => {
                    self.is_damaged = true;
                    return None;
                }
            }
        }
    }

    /// Passes over an element whose start was read.
    pub(crate) fn skip(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next() {
                Some(Piece::Open(_)) => depth = depth.saturating_add(1),
                Some(Piece::Close(_)) => depth = depth.saturating_sub(1),
                Some(Piece::Text(_)) => {}
                None => return,
            }
        }
    }
}

/// An element's name without its prefix.
pub(crate) fn name<'t>(tag: &'t BytesStart<'_>) -> &'t str {
    tag.local_name().into_inner()
}

/// The name of the element that ends.
pub(crate) fn closed<'t>(tag: &'t BytesEnd<'_>) -> &'t str {
    tag.local_name().into_inner()
}

/// An attribute by its name without its prefix.
pub(crate) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    let attributes = attributes.with_checks(false).flatten();
    let mut found = attributes.filter(|attribute| attribute.key.local_name().into_inner() == name);
    let value = found.next()?;
    Some(value.normalized_value(XmlVersion::Implicit1_0).unwrap_or_default().into_owned())
}

fn resolved<'x>(reference: &BytesRef<'x>) -> Cow<'x, str> {
    if let Ok(Some(letter)) = reference.resolve_char_ref() {
        return Cow::Owned(letter.to_string());
    }
    Cow::Borrowed(match reference.xml10_content().as_ref() {
        "lt" => "<",
        "gt" => ">",
        "amp" => "&",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" => " ",
        // An entity of the document's own.
        _ => "",
    })
}
