//! Which letters the codes of a font are, and how wide. `hayro-font` knows most; here is what it leaves open: fonts of Chinese, Japanese and Korean
//! that are named by their collections, and fonts whose program is broken.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use hayro_cmap::{BfString, CMap, CMapName, CidFamily, load_embedded};
use hayro_font::{CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn};
use hayro_syntax::object::{Array, Dict, Name, Object, Stream, String as PdfString};

use super::stream::unpacked;

/// A document has some dozens of fonts; each is read once.
const FONTS_MAX: usize = 2_000;
/// Codes that are remembered of a font. Fonts have fewer letters.
const REMEMBERED_MAX: usize = 70_000;
/// The width of a letter that nobody says, in thousandths of the font's size.
const USUAL_WIDTH: f64 = 500.0;

/// What a code is.
#[derive(Clone)]
pub(super) struct Letter {
    /// Empty if nobody knows.
    pub(super) text: Rc<str>,
    /// How far the next letter is away, in thousandths of the font's size: to the right, and up.
    pub(super) advance: (f64, f64),
}

/// The fonts of a document.
pub(super) struct Fonts<'a> {
    cache: FontCache<'a>,
    fonts: FontResolverFn,
    cmaps: CMapResolverFn,
    loaded: HashMap<(usize, usize), Rc<Letters<'a>>>,
}

impl<'a> Fonts<'a> {
    pub(super) fn new() -> Self {
        let fonts: FontResolverFn = Arc::new(|query| match query {
            FontQuery::Standard(font) => Some(font.get_font_data()),
            FontQuery::Fallback(query) => Some(query.pick_standard_font().get_font_data()),
        });
        Self { cache: FontCache::new(), fonts, cmaps: Arc::new(load_embedded), loaded: HashMap::new() }
    }

    /// The font of a dictionary.
    pub(super) fn get(&mut self, dict: &Dict<'a>) -> Option<Rc<Letters<'a>>> {
        // A dictionary lies at one place in the file.
        let place = (dict.data().as_ptr() as usize, dict.data().len());
        if let Some(letters) = self.loaded.get(&place) {
            return Some(letters.clone());
        }
        if self.loaded.len() >= FONTS_MAX {
            return None;
        }
        let letters = Rc::new(Letters {
            font: self.cache.font(dict, &self.fonts, &self.cmaps),
            is_wide: dict.get::<Name<'_>>("Subtype").as_deref() == Some(b"Type0"),
            to_unicode: RefCell::new(None),
            collection: RefCell::new(None),
            dict: dict.clone(),
            remembered: RefCell::new(HashMap::new()),
        });
        self.loaded.insert(place, letters.clone());
        Some(letters)
    }
}

/// A font.
pub(super) struct Letters<'a> {
    /// `None`: its program is broken.
    font: Option<Font<'a>>,
    is_wide: bool,
    /// What the font's own map says, for broken programs; the collection's maps, for fonts without one. Read when first needed.
    to_unicode: RefCell<Option<Option<CMap>>>,
    collection: RefCell<Option<Option<(CMap, CMap)>>>,
    dict: Dict<'a>,
    remembered: RefCell<HashMap<u32, Letter>>,
}

impl Letters<'_> {
    /// The next code of a string that is not empty, and its length.
    pub(super) fn code(&self, bytes: &[u8]) -> (u32, usize) {
        let (code, length) = match (&self.font, bytes) {
            (Some(font), [_, ..]) => font.read_code(bytes, 0),
            (None, [high, low, ..]) if self.is_wide => (u32::from(*high) << 8 | u32::from(*low), 2),
            (_, bytes) => (bytes.first().copied().unwrap_or_default().into(), 1),
        };
        (code, length.max(1))
    }

    pub(super) fn is_horizontal(&self) -> bool {
        self.font.as_ref().is_none_or(Font::is_horizontal)
    }

    pub(super) fn letter(&self, code: u32) -> Letter {
        if let Some(letter) = self.remembered.borrow().get(&code) {
            return letter.clone();
        }
        let letter = self.look_up(code);
        let mut remembered = self.remembered.borrow_mut();
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert(code, letter.clone());
        }
        letter
    }

    fn look_up(&self, code: u32) -> Letter {
        let Some(font) = &self.font else {
            let text = self.by_own_map(code).or_else(|| self.by_collection(code));
            let plain = || u8::try_from(code).ok().filter(|_| !self.is_wide).map(|code| super::string(&[code]));
            return Letter { text: text.or_else(plain).unwrap_or_default().into(), advance: (USUAL_WIDTH, 0.0) };
        };
        let text = match font.glyph(font.map_code(code), code) {
            FontGlyph::Outline(glyph) => glyph.as_unicode(),
            FontGlyph::Type3(glyph) => glyph.as_unicode(),
        };
        let text = text.map(text_of).filter(|text| is_shown(text)).or_else(|| self.by_collection(code));
        let advance = font.code_advance(code);
        Letter { text: text.unwrap_or_default().into(), advance: (advance.x, advance.y) }
    }

    fn by_own_map(&self, code: u32) -> Option<String> {
        let mut map = self.to_unicode.borrow_mut();
        let map = map.get_or_insert_with(|| {
            let stream = self.dict.get::<Stream<'_>>("ToUnicode")?;
            CMap::parse(&unpacked(&stream)?, load_embedded)
        });
        map.as_ref()?.lookup_bf_string(code).map(text_of)
    }

    /// By the numbers of letters in one of Adobe's collections.
    fn by_collection(&self, code: u32) -> Option<String> {
        if !self.is_wide {
            return None;
        }
        let mut maps = self.collection.borrow_mut();
        let (to_number, to_text) = maps.get_or_insert_with(|| collection(&self.dict)).as_ref()?;
        let number = (1..=4).find_map(|length| to_number.lookup_cid_code(code, length))?;
        to_text.lookup_bf_string(number).map(text_of)
    }
}

/// The map from codes to numbers, and that from numbers to letters.
fn collection(dict: &Dict<'_>) -> Option<(CMap, CMap)> {
    let to_number = match dict.get::<Object<'_>>("Encoding")? {
        Object::Name(name) => match name.as_ref() {
            b"Identity-H" => CMap::identity_h(),
            b"Identity-V" => CMap::identity_v(),
            name => CMap::parse(load_embedded(CMapName::from_bytes(name))?, load_embedded)?,
        },
        Object::Stream(stream) => CMap::parse(&unpacked(&stream)?, load_embedded)?,
        _ => return None,
    };
    let named = to_number.metadata().character_collection.clone().map(|found| found.family);
    let described = || {
        let descendant = dict.get::<Array<'_>>("DescendantFonts")?.iter::<Dict<'_>>().next()?;
        let info = descendant.get::<Dict<'_>>("CIDSystemInfo")?;
        let text = |key: &str| info.get::<PdfString<'_>>(key);
        Some(CidFamily::from_registry_ordering(&text("Registry")?, &text("Ordering")?))
    };
    let family = named.filter(|family| *family != CidFamily::AdobeIdentity).or_else(described)?;
    let to_text = CMap::parse(load_embedded(family.ucs2_cmap()?)?, load_embedded)?;
    Some((to_number, to_text))
}

fn text_of(found: BfString) -> String {
    match found {
        BfString::Char(letter) => letter.to_string(),
        BfString::String(text) => text,
    }
}

/// Some fonts map codes to nothing, or to places that are theirs alone.
fn is_shown(text: &str) -> bool {
    let is_own = |letter: char| ('\u{e000}'..='\u{f8ff}').contains(&letter);
    !text.is_empty() && !text.chars().any(|letter| letter == '\0' || letter == '\u{fffd}' || is_own(letter))
}
