//! Decodes bytes in the encoding that the bytes, the server or the document name; otherwise as UTF-8, or as windows-1252, which the old web meant by
//! naming none.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How many bytes at the start of a document are searched for its encoding. The standard says 1,024 (HTML, "determining the character encoding"), but
/// browsers also read pages that put a script first.
const PRESCAN_BYTES: usize = 4_096;

/// The kind of document, and where it may name its encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// HTML: in an XML declaration or in `<meta>`.
    Html,
    /// XML: in an XML declaration.
    Xml,
    /// Any other text: nowhere.
    Other,
}

/// Decodes the bytes. Bytes that cannot be decoded become U+FFFD.
#[must_use]
pub fn decode(bytes: &[u8], named_by_server: Option<&str>, kind: Kind) -> String {
    let head = bytes.get(..PRESCAN_BYTES.min(bytes.len())).unwrap_or_default();
    let named = || named_by_server.and_then(|label| Encoding::for_label(label.as_bytes()));
    let declared = || if kind == Kind::Other { None } else { in_declaration(head) };
    let in_page = || if kind == Kind::Html { in_meta(head) } else { None };
    let guessed = || if std::str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 };
    // `decode` first looks for a byte order mark, which overrides all of these.
    let (text, ..) = named().or_else(declared).or_else(in_page).unwrap_or_else(guessed).decode(bytes);
    text.into_owned()
}

/// The encoding in `<?xml version="1.0" encoding="ISO-8859-1"?>`, which can only be at the start.
fn in_declaration(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [b'<', 0, b'?', 0, ..] => return Some(UTF_16LE),
        [0, b'<', 0, b'?', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let rest = head.strip_prefix(b"<?xml")?;
    let declaration = rest.split(|byte| *byte == b'>').next()?;
    let (_, rest) = split_once(declaration, b"encoding")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, rest) = rest.split_first()?;
    if !matches!(quote, b'"' | b'\'') {
        return None;
    }
    readable(rest.split(|byte| byte == quote).next()?)
}

/// The encoding in the first `<meta charset="...">` or `<meta http-equiv="content-type" content="...; charset=...">` outside comments.
fn in_meta(head: &[u8]) -> Option<&'static Encoding> {
    let mut rest = head;
    loop {
        let (_, tag) = split_once(rest, b"<")?;
        rest = tag;
        if let Some(comment) = tag.strip_prefix(b"!--") {
            // `<!-->` is a whole comment.
            let end = if comment.starts_with(b">") || comment.starts_with(b"->") { &b">"[..] } else { b"-->" };
            rest = split_once(comment, end)?.1;
            continue;
        }
        let is_meta = tag.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"meta"))
            && tag.get(4).is_some_and(|next| next.is_ascii_whitespace() || *next == b'/');
        if !is_meta {
            continue;
        }
        let mut attributes = tag.get(4..)?;
        let (mut charset, mut content, mut is_type) = (None, None, false);
        while let Some((name, value, after)) = attribute(attributes) {
            attributes = after;
            match name.to_ascii_lowercase().as_slice() {
                b"charset" if charset.is_none() => charset = Some(value),
                b"content" if content.is_none() => content = in_content(value),
                b"http-equiv" => is_type = value.trim_ascii().eq_ignore_ascii_case(b"content-type"),
                _ => {}
            }
        }
        rest = attributes;
        let label = charset.or_else(|| content.filter(|_| is_type));
        if let Some(encoding) = label.and_then(readable) {
            return Some(encoding);
        }
    }
}

/// The next attribute of a tag, and the text after it; `None` at the tag's end.
fn attribute(tag: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'/';
    let start = tag.iter().position(|byte| !is_between(byte))?;
    let tag = tag.get(start..)?;
    if tag.starts_with(b">") {
        return None;
    }
    let ends_name = |byte: &u8| is_between(byte) || matches!(byte, b'>' | b'=');
    // The first byte of a name may be one that would otherwise end a name.
    let end = tag.iter().skip(1).position(ends_name).map_or(tag.len(), |end| end.saturating_add(1));
    let (name, rest) = tag.split_at_checked(end)?;
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { return Some((name, &[], rest)) };
    let value = value.trim_ascii_start();
    if let Some((quote @ (b'"' | b'\''), quoted)) = value.split_first() {
        let (value, rest) = split_once(quoted, std::slice::from_ref(quote))?;
        return Some((name, value, rest));
    }
    let end = value.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>').unwrap_or(value.len());
    let (value, rest) = value.split_at_checked(end)?;
    Some((name, value, rest))
}

/// The value of `charset=` in `text/html; charset=utf-8`.
fn in_content(content: &[u8]) -> Option<&[u8]> {
    let mut rest = content;
    loop {
        let at = rest.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset"))?;
        rest = rest.get(at.saturating_add(7)..)?;
        let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        return match value.split_first() {
            Some((quote @ (b'"' | b'\''), quoted)) => quoted.split(|byte| byte == quote).next(),
            _ => value.split(|byte| byte.is_ascii_whitespace() || *byte == b';').next(),
        };
    }
}

fn readable(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label)?;
    // A document that could be read this far is not in UTF-16, whatever it says.
    Some(if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding })
}

fn split_once<'b>(bytes: &'b [u8], separator: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(separator.len().max(1)).position(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at.saturating_add(separator.len())..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_that_is_named_is_used() {
        let cases: [(&[u8], Option<&str>, &str); 20] = [
            ("Grüße".as_bytes(), None, "Grüße"),
            (b"Gr\xfc\xdfe", None, "Grüße"),
            (b"Gr\xfc\xdfe", Some("ISO-8859-1"), "Grüße"),
            (b"\x83e\x83X\x83g", Some("shift_jis"), "テスト"),
            (b"<meta charset=windows-1251>\xcf\xf0", None, "<meta charset=windows-1251>Пр"),
            (b"<META Charset = 'KOI8-R' />\xf0", None, "<META Charset = 'KOI8-R' />П"),
            (
                b"<META http-equiv=Content-Type content='text/html; CHARSET=KOI8-R'>\xf0",
                None,
                "<META http-equiv=Content-Type content='text/html; CHARSET=KOI8-R'>П",
            ),
            (
                b"<meta content='text/html;charset=\"koi8-r\"' http-equiv=content-type>\xf0",
                None,
                "<meta content='text/html;charset=\"koi8-r\"' http-equiv=content-type>П",
            ),
            // The charset belongs to something else, is in a comment, or is in another element.
            (b"<meta name=x content='charset=koi8-r'>\xfc", None, "<meta name=x content='charset=koi8-r'>ü"),
            (b"<!-- <meta charset=koi8-r> -->\xfc", None, "<!-- <meta charset=koi8-r> -->ü"),
            (b"<metal charset=koi8-r>\xfc", None, "<metal charset=koi8-r>ü"),
            (b"<!--><meta charset=koi8-r>\xf0", None, "<!--><meta charset=koi8-r>П"),
            (b"<meta name=a><meta charset=koi8-r>\xf0", None, "<meta name=a><meta charset=koi8-r>П"),
            (b"<meta charset=utf-16>x", None, "<meta charset=utf-16>x"),
            (b"\xef\xbb\xbfx", Some("windows-1252"), "x"),
            (b"\xff\xfex\0", Some("utf-8"), "x"),
            (b"\xfe\xff\0x", Some("utf-8"), "x"),
            (b"a\xffb", Some("utf-8"), "a\u{fffd}b"),
            (
                b"<?xml version='1.0' encoding='windows-1251'?>\xcf",
                None,
                "<?xml version='1.0' encoding='windows-1251'?>П",
            ),
            (b"<\0?\0x\0m\0l\0?\0>\0\xfc\0", None, "<?xml?>ü"),
        ];
        for (bytes, server, text) in cases {
            assert_eq!(decode(bytes, server, Kind::Html), text, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_xml_declaration_names_the_encoding() {
        let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>Gr\xfc\xdfe</a>";
        for kind in [Kind::Html, Kind::Xml] {
            assert!(decode(latin, None, kind).ends_with("<a>Grüße</a>"));
        }
        let cyrillic = b"<?xml version='1.0' encoding = 'koi8-r' standalone='yes'?>\xf0";
        assert!(decode(cyrillic, None, Kind::Xml).ends_with('П'));
        assert!(decode(cyrillic, Some("windows-1252"), Kind::Xml).ends_with('ð'), "the server's word counts more");
        assert!(decode(cyrillic, None, Kind::Other).ends_with('ð'), "text that only looks like it says nothing");
        assert!(decode(b" <?xml encoding='koi8-r'?>\xf0", None, Kind::Xml).ends_with('ð'));
        assert!(decode(b"<?xml version='1.0'?><x encoding='koi8-r'>\xf0", None, Kind::Xml).ends_with('ð'));
    }

    #[test]
    fn unknown_names_and_broken_heads_fall_back() {
        assert_eq!(decode(b"x", Some("no-such"), Kind::Html), "x");
        for page in [
            "<meta charset=nothing>ü",
            "<meta charset",
            "<meta charset=",
            "<meta charset='utf-8",
            "<meta =",
            "<!--",
            "<?xml encoding",
            "<?xml encoding='",
            "<",
            "",
        ] {
            assert_eq!(decode(page.as_bytes(), None, Kind::Html), page);
        }
    }
}
