//! What an element's name says about where the element ends and whether it is shown (HTML, "tree construction" and "rendering").

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A name in a form that is fast to compare: up to fifteen bytes as they are; of a longer name, two hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Name(u128);

/// The properties that follow from a name.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Kind {
    /// Ordinary end tags inside it do not end an element outside it (HTML, "special").
    pub(crate) is_special: bool,
    /// Continues after the end of another element has cut it off (HTML, "formatting").
    pub(crate) is_formatting: bool,
    /// End tags inside it do not end an element outside it (HTML, "particular scope").
    pub(crate) is_scope: bool,
    /// Formatting elements do not continue into it or out of it.
    pub(crate) is_marker: bool,
    /// Belongs to another language than HTML.
    pub(crate) is_foreign: bool,
}

impl Name {
    pub(crate) fn of(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        match bytes.get_mut(1..=name.len()) {
            Some(kept) => kept.copy_from_slice(name),
            None => {
                let hash = |seed: u8| {
                    let mut hasher = DefaultHasher::new();
                    (seed, name).hash(&mut hasher);
                    hasher.finish()
                };
                return Self(u128::from(hash(1) | 1 << 63) << 64 | u128::from(hash(2)));
            }
        }
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        if let Some(first) = bytes.first_mut() {
            *first = length;
        }
        Self(u128::from_be_bytes(bytes))
    }

    /// Reads the name; a long name is read as empty.
    pub(crate) fn with<T>(self, read: impl FnOnce(&[u8]) -> T) -> T {
        let bytes = self.0.to_be_bytes();
        let [length, ref rest @ ..] = bytes;
        read(rest.get(..usize::from(length)).unwrap_or_default())
    }
}

/// The properties of an HTML element with this name.
pub(crate) fn kind(name: &[u8]) -> Kind {
    let is_marker = matches!(name, b"td" | b"th" | b"caption" | b"applet" | b"marquee" | b"object" | b"template");
    Kind {
        is_special: is_special(name),
        is_formatting: matches!(
            name,
            b"a" | b"b"
                | b"big"
                | b"code"
                | b"em"
                | b"font"
                | b"i"
                | b"nobr"
                | b"s"
                | b"small"
                | b"strike"
                | b"strong"
                | b"tt"
                | b"u"
        ),
        is_scope: is_marker || matches!(name, b"table" | b"svg" | b"math"),
        is_marker,
        is_foreign: matches!(name, b"svg" | b"math"),
    }
}

fn is_special(name: &[u8]) -> bool {
    is_block(name)
        || matches!(
            name,
            b"applet"
                | b"button"
                | b"caption"
                | b"colgroup"
                | b"dd"
                | b"dt"
                | b"iframe"
                | b"li"
                | b"marquee"
                | b"noembed"
                | b"noframes"
                | b"noscript"
                | b"object"
                | b"script"
                | b"select"
                | b"style"
                | b"svg"
                | b"math"
                | b"table"
                | b"tbody"
                | b"td"
                | b"template"
                | b"textarea"
                | b"tfoot"
                | b"th"
                | b"thead"
                | b"title"
                | b"tr"
                | b"xmp"
        )
}

/// Whether an element of this name is a block, before which an open `p` ends.
#[must_use]
pub fn is_block(name: &[u8]) -> bool {
    is_heading(name)
        || matches!(
            name,
            b"address"
                | b"article"
                | b"aside"
                | b"blockquote"
                | b"center"
                | b"details"
                | b"dialog"
                | b"dir"
                | b"div"
                | b"dl"
                | b"fieldset"
                | b"figcaption"
                | b"figure"
                | b"footer"
                | b"form"
                | b"header"
                | b"hgroup"
                | b"hr"
                | b"listing"
                | b"main"
                | b"menu"
                | b"nav"
                | b"ol"
                | b"p"
                | b"plaintext"
                | b"pre"
                | b"search"
                | b"section"
                | b"summary"
                | b"ul"
                | b"xmp"
        )
}

pub(crate) fn is_heading(name: &[u8]) -> bool {
    matches!(name, b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6")
}

/// Elements without content (HTML, "void elements").
pub(crate) fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"basefont"
            | b"bgsound"
            | b"br"
            | b"col"
            | b"embed"
            | b"frame"
            | b"hr"
            | b"img"
            | b"image"
            | b"input"
            | b"keygen"
            | b"link"
            | b"meta"
            | b"param"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// Elements whose content is not shown by a browser that supports them. `is_open`: the element has the attribute `open`.
pub(crate) fn is_never_shown(name: &[u8], is_open: bool) -> bool {
    match name {
        b"dialog" => !is_open,
        b"annotation" | b"annotation-xml" | b"applet" | b"audio" | b"canvas" | b"datalist" | b"iframe" | b"meter"
        | b"noembed" | b"noframes" | b"noscript" | b"object" | b"progress" | b"rp" | b"script" | b"select"
        | b"style" | b"svg" | b"template" | b"textarea" | b"title" | b"video" => true,
        _ => false,
    }
}

/// HTML elements that end the SVG or the formula around them.
pub(crate) fn ends_foreign(name: &[u8]) -> bool {
    is_heading(name)
        || matches!(
            name,
            b"b" | b"big"
                | b"blockquote"
                | b"body"
                | b"br"
                | b"center"
                | b"code"
                | b"dd"
                | b"div"
                | b"dl"
                | b"dt"
                | b"em"
                | b"embed"
                | b"head"
                | b"hr"
                | b"i"
                | b"img"
                | b"li"
                | b"listing"
                | b"menu"
                | b"meta"
                | b"nobr"
                | b"ol"
                | b"p"
                | b"pre"
                | b"ruby"
                | b"s"
                | b"small"
                | b"span"
                | b"strong"
                | b"strike"
                | b"sub"
                | b"sup"
                | b"table"
                | b"tt"
                | b"u"
                | b"ul"
                | b"var"
        )
}

/// Elements of SVG and formulas that may contain HTML.
pub(crate) fn holds_html(name: &[u8]) -> bool {
    matches!(name, b"foreignobject" | b"desc" | b"title" | b"annotation-xml" | b"mi" | b"mo" | b"mn" | b"ms" | b"mtext")
}
