//! Bytes to text: the encoding that the bytes, the server or the page names, else UTF-8, else what the web of old meant by saying nothing.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Where a page must have named its encoding (HTML, "determining the character encoding").
const PRESCAN_BYTES: usize = 1_024;

/// The text. What cannot be decoded becomes U+FFFD.
pub(crate) fn decode(bytes: &[u8], named_by_server: Option<&str>, is_html: bool) -> String {
    let named = || named_by_server.and_then(|label| Encoding::for_label(label.as_bytes()));
    let in_page = || if is_html { named_in_page(bytes) } else { None };
    let guessed = || if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
    // `decode` looks for a byte order mark first, which wins over all of these.
    let (text, ..) = named().or_else(in_page).unwrap_or_else(guessed).decode(bytes);
    text.into_owned()
}

/// What follows the first `charset=`, as in `<meta charset="...">` and `<meta http-equiv content="text/html; charset=...">`.
fn named_in_page(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..PRESCAN_BYTES.min(bytes.len()))?;
    let head: String = head.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    let (_, rest) = head.split_once("<meta")?;
    let label = rest.split("charset").skip(1).find_map(|rest| rest.trim_start().strip_prefix('='))?;
    let label = label.trim_start().trim_start_matches(['"', '\'']);
    let label = label.split(|c: char| c.is_whitespace() || "\"'/>;".contains(c)).next()?;
    let encoding = Encoding::for_label(label.as_bytes())?;
    // A page that could be read this far is not in UTF-16, whatever it says.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_that_is_named_is_used() {
        let cases: [(&[u8], Option<&str>, &str); 10] = [
            ("Grüße".as_bytes(), None, "Grüße"),
            (b"Gr\xfc\xdfe", None, "Grüße"),
            (b"Gr\xfc\xdfe", Some("ISO-8859-1"), "Grüße"),
            (b"\x83e\x83X\x83g", Some("shift_jis"), "テスト"),
            (b"<meta charset=windows-1251>\xcf\xf0", None, "<meta charset=windows-1251>Пр"),
            (
                b"<META http-equiv=x content='text/html; CHARSET=KOI8-R'>\xf0",
                None,
                "<META http-equiv=x content='text/html; CHARSET=KOI8-R'>П",
            ),
            (b"<meta charset=utf-16>x", None, "<meta charset=utf-16>x"),
            (b"\xef\xbb\xbfx", Some("windows-1252"), "x"),
            (b"\xff\xfex\0", Some("utf-8"), "x"),
            (b"a\xffb", Some("utf-8"), "a\u{fffd}b"),
        ];
        for (bytes, server, text) in cases {
            assert_eq!(decode(bytes, server, true), text);
        }
    }

    #[test]
    fn unknown_names_fall_back() {
        assert_eq!(decode(b"x", Some("no-such"), true), "x");
        assert_eq!(decode("<meta charset=nothing>ü".as_bytes(), None, true), "<meta charset=nothing>ü");
        assert_eq!(decode(b"<meta charset", None, true), "<meta charset");
        assert_eq!(decode(b"", None, true), "");
    }
}
