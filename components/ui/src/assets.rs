//! The files of the page, embedded by `build.rs`. Nothing is decided here.

use std::io::{self, Read as _};

use bytes::Bytes;
use content_encoding::Encoding;
use flate2::read::GzDecoder;

pub(crate) struct Asset {
    /// The path that the browser requests: `/index.html`, `/assets/index-4f3a.js`.
    path: &'static str,
    pub(crate) content_type: &'static str,
    /// The name changes with the content, so caches may keep it for ever.
    pub(crate) hashed: bool,
    forms: Forms,
}

/// What is embedded of a file.
#[allow(dead_code, reason = "before the page is built there are no files, and no form of one")]
enum Forms {
    /// Compressing saved nothing.
    Plain(Encoded),
    /// It would be the larger half of the component. The few who cannot read either form get the gzip unpacked.
    Packed { brotli: Encoded, gzip: Encoded, plain_etag: &'static str },
}

/// A file in one encoding.
struct Encoded {
    bytes: &'static [u8],
    /// A strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    etag: &'static str,
}

/// The page's path.
pub(crate) const PAGE: &str = "/index.html";
/// The path of the page that shows the description of the API.
pub(crate) const DOCS: &str = "/docs.html";

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file at a path, if there is one.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    let index = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(index)
}

impl Asset {
    /// Whether there is more than the plain form.
    pub(crate) const fn is_packed(&self) -> bool {
        matches!(self.forms, Forms::Packed { .. })
    }

    /// The entity tag of the file in an encoding. One that is not packed has the plain form alone.
    pub(crate) const fn etag(&self, encoding: Encoding) -> &'static str {
        match (&self.forms, encoding) {
            (Forms::Plain(plain), _) => plain.etag,
            (Forms::Packed { brotli, .. }, Encoding::Brotli) => brotli.etag,
            (Forms::Packed { gzip, .. }, Encoding::Gzip) => gzip.etag,
            (Forms::Packed { plain_etag, .. }, Encoding::Identity) => plain_etag,
        }
    }

    /// The file in an encoding.
    ///
    /// # Errors
    /// When the gzip cannot be unpacked, which a test of every file excludes.
    pub(crate) fn bytes(&self, encoding: Encoding) -> io::Result<Bytes> {
        let bytes = match (&self.forms, encoding) {
            (Forms::Plain(plain), _) => plain.bytes,
            (Forms::Packed { brotli, .. }, Encoding::Brotli) => brotli.bytes,
            (Forms::Packed { gzip, .. }, Encoding::Gzip) => gzip.bytes,
            (Forms::Packed { gzip, .. }, Encoding::Identity) => {
                let mut plain = Vec::new();
                GzDecoder::new(gzip.bytes).read_to_end(&mut plain)?;
                return Ok(plain.into());
            }
        };
        Ok(Bytes::from_static(bytes))
    }
}

#[cfg(test)]
/// Every file, for tests of all of them.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Asset)> {
    ASSETS.iter().map(|asset| (asset.path, asset))
}
