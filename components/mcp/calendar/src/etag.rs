//! Versions of events: ETags (RFC 9110 section 8.8.3).

/// Whether two ETags name the same version. Some servers write `W/` before an ETag, or leave its quotes out, in one place and not in another.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    opaque(one) == opaque(other)
}

/// Whether an ETag is weak, so it cannot be a condition for a write.
pub(crate) fn is_weak(etag: &str) -> bool {
    etag.trim().starts_with("W/")
}

/// The ETag in the form for a condition. Often a proxy added `W/`, and the server itself knows the version without it.
pub(crate) fn strong(etag: &str) -> String {
    format!("\"{}\"", opaque(etag))
}

fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
