//! The names of files: as a device had them, without what would harm whoever shows or saves one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Longer than names of any file system (255 bytes or characters).
const MAX_CHARS: usize = 255;
/// For one without.
const UNNAMED: &str = "file";

/// What may stand in `filename*` as it is (RFC 8187, section 3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name without folders and control characters.
pub(crate) fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last.chars().filter(|letter| !is_unseen(*letter)).take(MAX_CHARS).collect();
    let shown = shown.trim();
    if matches!(shown, "" | "." | "..") { UNNAMED.to_owned() } else { shown.to_owned() }
}

/// Control characters, and those that turn the direction of what stands beside them: with one, `photo_gpj.exe` looks like a photo.
fn is_unseen(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The header that has a browser save a file by its name, and never show it as a page (RFC 6266).
pub(crate) fn disposition(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_folder_and_nothing_that_cannot_be_seen() {
        for (name, expected) in [
            ("Grüße 🌱.txt", "Grüße 🌱.txt"),
            ("../../etc/passwd", "passwd"),
            (r"C:\Users\ada\a.txt", "a.txt"),
            ("a\r\nb\0.txt", "ab.txt"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("  ", UNNAMED),
            ("..", UNNAMED),
            ("a/", UNNAMED),
        ] {
            assert_eq!(clean(name), expected);
        }
        assert_eq!(clean(&"x".repeat(1_000)).len(), MAX_CHARS);
        assert_eq!(disposition("a \"ü\".txt"), "attachment; filename*=UTF-8''a%20%22%C3%BC%22.txt");
    }
}
