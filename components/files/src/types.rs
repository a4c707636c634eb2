//! Which type a file has, by its first bytes. A name says nothing: whoever names a page `cat.png` must not have it shown as a picture.

use std::str;

/// Bytes that no reader of texts understands as more than that.
const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain";

/// The media type of a file that begins so.
pub(crate) fn media_type(beginning: &[u8]) -> &'static str {
    match infer::get(beginning) {
        Some(kind) => kind.mime_type(),
        None if is_text(beginning) => TEXT,
        None => UNKNOWN,
    }
}

/// Whether it is text in UTF-8. A character may be cut at the end.
fn is_text(beginning: &[u8]) -> bool {
    let valid = match str::from_utf8(beginning) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    valid && !beginning.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_says_the_type() {
        for (beginning, expected) in [
            (b"\x89PNG\r\n\x1a\nrest".as_slice(), "image/png"),
            (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"%PDF-1.7", "application/pdf"),
            (b"<!DOCTYPE html><p>", "text/html"),
            ("Grüße, 🌱".as_bytes(), TEXT),
            (b"Gr\xc3\xbc\xc3", TEXT),
            (b"Gr\xfc\xdfe", UNKNOWN),
            (b"a\0b", UNKNOWN),
            (b"\x01\x02\xff\xfe", UNKNOWN),
        ] {
            assert_eq!(media_type(beginning), expected, "{beginning:?}");
        }
    }
}
