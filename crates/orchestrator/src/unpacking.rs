//! The body of an answer as it was before its server packed it, which nobody asked it to do.

use http::{HeaderMap, header};
use unpack::{Unpacker, Unreadable};

/// What a body may become: the longest answer that is kept, in pieces of a few characters.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// What is unpacked at once, so that a little that becomes much is never there all at once.
const PART_BYTES: usize = 1024;
/// What a gzip begins with, and no text does. Some proxies pack and do not say so.
const GZIP_START: u8 = 0x1f;

/// A body as it comes.
pub(crate) enum Unpacking {
    /// Nothing has come. What its head says.
    New(String),
    /// It is not packed.
    Plain,
    /// It is.
    Packed(Unpacker),
}

impl Unpacking {
    /// For an answer with these headers.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let codings = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|coding| coding.to_str().ok());
        Self::New(codings.collect::<Vec<_>>().join(","))
    }

    /// Hands over what is in a piece of the body, until `read` has an error. `unreadable` says what it means that it cannot be unpacked.
    pub(crate) fn read<E>(
        &mut self,
        bytes: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<(), E>,
        unreadable: impl Fn(Unreadable) -> E,
    ) -> Result<(), E> {
        if let Self::New(coding) = self
            && let Some(first) = bytes.first()
        {
            let coding = if coding.is_empty() && *first == GZIP_START { "gzip" } else { coding.as_str() };
            *self = Unpacker::new(coding, MAX_BYTES).map_err(&unreadable)?.map_or(Self::Plain, Self::Packed);
        }
        match self {
            Self::Packed(unpacker) => {
                bytes.chunks(PART_BYTES).try_for_each(|part| read(&unpacker.push(part).map_err(&unreadable)?))
            }
            Self::New(_) | Self::Plain => read(bytes),
        }
    }
}
