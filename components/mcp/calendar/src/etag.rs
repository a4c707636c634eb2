//! Versions of events, as servers name them (RFC 9110 section 8.8.3).

/// Whether two names are of one version. Servers put a `W/` before theirs, or leave the quotes out, in one place and not in another.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    opaque(one) == opaque(other)
}

/// A version that may change without its name: it is no condition for a write.
pub(crate) fn is_weak(etag: &str) -> bool {
    etag.trim().starts_with("W/")
}

/// The form that a condition has. Many a `W/` was put there by a proxy, and the server itself knows the version without.
pub(crate) fn strong(etag: &str) -> String {
    format!("\"{}\"", opaque(etag))
}

fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
