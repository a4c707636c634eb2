//! Decompresses the body of an answer. Some servers compress it although nobody asked for that.

use http::{HeaderMap, header};
use unpack::{Unpacker, Unreadable};

/// The largest decompressed body: the longest answer that is accepted, in pieces of a few characters.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The input that is decompressed at once, so a body that expands a lot is never in memory as a whole.
const PART_BYTES: usize = 1024;
/// The first byte of gzip, with which no text begins. Some proxies compress without saying so.
const GZIP_START: u8 = 0x1f;

/// The state of a body that is arriving.
pub(crate) enum Unpacking {
    /// No byte has come. Contains the encoding from the head.
    New(String),
    /// The body is not compressed.
    Plain,
    /// The body is compressed.
    Packed(Unpacker),
}

impl Unpacking {
    /// For a response with these headers.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let codings = headers.get_all(header::CONTENT_ENCODING).iter().filter_map(|coding| coding.to_str().ok());
        Self::New(codings.collect::<Vec<_>>().join(","))
    }

    /// Passes the contents of a piece of the body to `read`, until `read` fails. `unreadable` makes the error for a body that cannot be decompressed.
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
