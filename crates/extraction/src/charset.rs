//! Bytes as text: by a byte order mark, by the encoding that the file or its media type names, and else by looking at them.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use hypertext::charset::{Kind, decode};

use crate::Hints;

/// How many bytes show which half of UTF-16 is zero.
const SAMPLE_BYTES: usize = 4_096;

/// Plain text.
pub(crate) fn text<'b>(bytes: &'b [u8], hints: Hints<'_>) -> Cow<'b, str> {
    let utf_8 = std::str::from_utf8(bytes).is_ok().then_some(UTF_8);
    let encoding = utf_8.or_else(|| named(hints.media_type)).or_else(|| wide(bytes)).unwrap_or_else(|| guessed(bytes));
    // `decode` first looks for a byte order mark, which overrides all of these.
    encoding.decode(bytes).0
}

/// HTML, which may name its encoding itself.
pub(crate) fn html(bytes: &[u8], hints: Hints<'_>) -> String {
    decode(bytes, named(hints.media_type).map(Encoding::name), Kind::Html)
}

/// XML, which is UTF-8 unless it says otherwise.
pub(crate) fn xml(bytes: &[u8]) -> Cow<'_, str> {
    let is_declared = bytes.starts_with(b"<?xml") || Encoding::for_bom(bytes).is_some();
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text.trim_start_matches('\u{feff}')),
        Err(_) if is_declared || wide(bytes).is_some() => Cow::Owned(decode(bytes, None, Kind::Xml)),
        Err(_) => text(bytes, Hints::default()),
    }
}

/// UTF-16 without a byte order mark: one of two bytes is zero nearly always.
pub(crate) fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = bytes.get(..SAMPLE_BYTES.min(bytes.len())).unwrap_or_default();
    let (pairs, _) = sample.as_chunks::<2>();
    let zeros = |half: fn(&[u8; 2]) -> u8| pairs.iter().filter(|pair| half(pair) == 0).count().saturating_mul(4);
    let (first, second) = (zeros(|[first, _]| *first), zeros(|[_, second]| *second));
    let (many, few) = (pairs.len().saturating_mul(3), pairs.len() / 4);
    if pairs.is_empty() {
        None
    } else if second >= many && first <= few {
        Some(UTF_16LE)
    } else if first >= many && second <= few {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// `charset` of a media type.
fn named(media_type: &str) -> Option<&'static Encoding> {
    let parameters = media_type.split(';').skip(1);
    let charset = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let label = charset.map(|(_, label)| label.trim().trim_matches('"'))?;
    // A file that is named UTF-8 and is not was decided by its bytes before.
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != UTF_8)
}

fn guessed(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, Utf8Detection::Allow)
}
