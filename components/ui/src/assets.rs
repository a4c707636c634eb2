//! The files of the page, embedded by `build.rs`. Nothing is decided here.

pub(crate) struct Asset {
    /// The path that the browser requests: `/index.html`, `/assets/index-4f3a.js`.
    path: &'static str,
    pub(crate) content_type: &'static str,
    /// The name changes with the content, so caches may keep it for ever.
    pub(crate) hashed: bool,
    pub(crate) identity: Encoded,
    /// `None` where compressing saved nothing; the same for `gzip`.
    pub(crate) brotli: Option<Encoded>,
    pub(crate) gzip: Option<Encoded>,
}

/// A file in one encoding.
pub(crate) struct Encoded {
    pub(crate) bytes: &'static [u8],
    /// A strong entity tag, with its quotes (RFC 9110 section 8.8.3).
    pub(crate) etag: &'static str,
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

#[cfg(test)]
/// Every file, for tests of all of them.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static Asset)> {
    ASSETS.iter().map(|asset| (asset.path, asset))
}
