//! The bytes of a stream, unpacked within a limit: a few bytes may claim to become gigabytes.

use std::{borrow::Cow, io::Read as _};

use flate2::read::ZlibDecoder;
use hayro_syntax::{Filter, object::Stream};

/// A page's drawing is some hundred kilobytes; maps have some megabytes.
const STREAM_MAX_BYTES: u64 = 32 << 20;
/// Only what is packed once with the usual method is unpacked piece by piece. Other streams are unpacked whole, so they must be small: such a method
/// makes a thousand bytes of one at most.
const OTHERS_MAX_BYTES: usize = 256 << 10;
/// A real stream is packed twice at most: compressed, then as text.
const FILTERS_MAX: usize = 2;

/// A stream's bytes, as far as they can be read.
pub(super) fn unpacked<'a>(stream: &Stream<'a>) -> Option<Cow<'a, [u8]>> {
    let filters = stream.filters();
    let is_plain = !stream.dict().contains_key("DecodeParms") && !stream.dict().contains_key("DP");
    if filters.as_slice() == [Filter::FlateDecode] && is_plain {
        let packed = stream.raw_data();
        let mut bytes = Vec::new();
        // What was read before an error is kept.
        let _ = ZlibDecoder::new(packed.as_ref()).take(STREAM_MAX_BYTES).read_to_end(&mut bytes);
        if !bytes.is_empty() || packed.len() < 8 {
            return Some(Cow::Owned(bytes));
        }
    }
    if filters.is_empty() {
        return Some(stream.raw_data());
    }
    let compressing = filters
        .iter()
        .filter(|filter| matches!(filter, Filter::FlateDecode | Filter::LzwDecode | Filter::RunLengthDecode));
    if filters.len() > FILTERS_MAX
        || compressing.count() > 1
        || stream.raw_data().len() > OTHERS_MAX_BYTES.saturating_mul(4)
    {
        return None;
    }
    stream.decoded_data().ok()
}
