//! The type of a text by its `Content-Type` (RFC 9110, section 8.3), and its encoding.

use hypertext::charset::{self, Kind};

/// A media type, in lower case.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MediaType {
    /// The type, such as `text/html`; empty if the header is missing.
    pub essence: String,
    /// The server's name for the encoding.
    pub charset: Option<String>,
}

impl MediaType {
    /// Parses the header's value.
    #[must_use]
    pub fn read(content_type: &str) -> Self {
        let content_type = content_type.to_ascii_lowercase();
        let mut parts = content_type.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_owned();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name.trim() == "charset").then(|| value.trim().trim_matches('"').to_owned())
        });
        Self { essence, charset }
    }

    /// The place where a text of this type may name its encoding.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.essence.as_str() {
            "text/html" | "application/xhtml+xml" => Kind::Html,
            xml if xml.ends_with("/xml") || xml.ends_with("+xml") => Kind::Xml,
            _ => Kind::Other,
        }
    }

    /// Decodes bytes to text.
    #[must_use]
    pub fn decode(&self, bytes: &[u8]) -> String {
        charset::decode(bytes, self.charset.as_deref(), self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_says_what_the_bytes_are() {
        for (written, essence, charset, kind) in [
            ("Text/HTML; Charset=\"UTF-8\"", "text/html", Some("utf-8"), Kind::Html),
            ("application/atom+xml", "application/atom+xml", None, Kind::Xml),
            ("text/plain; format=flowed; charset = latin1", "text/plain", Some("latin1"), Kind::Other),
            ("", "", None, Kind::Other),
        ] {
            let read = MediaType::read(written);
            assert_eq!((read.essence.as_str(), read.charset.as_deref(), read.kind()), (essence, charset, kind));
        }
        assert_eq!(MediaType::read("text/plain; charset=latin1").decode(b"Gr\xfc\xdfe"), "Grüße");
        assert_eq!(
            MediaType::read("text/xml").decode(b"<?xml version='1.0' encoding='latin1'?>\xfc").chars().last(),
            Some('ü')
        );
    }
}
