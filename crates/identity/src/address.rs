//! Email addresses: each has one spelling, and none looks like another person's.
//!
//! Only a mail can tell whether an address works. This module only makes sure that two accounts cannot be confused. The part before the `@` is a
//! username of RFC 8265, the host an IDNA name (UTS 46), and confusable letters are those of UTS 39.

use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};
use precis_profiles::{UsernameCaseMapped, precis_core::profile::PrecisFastInvocation as _};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _, confusable_detection::skeleton};

use crate::signup::InvalidField;

/// The longest possible address, RFC 5321 section 4.5.3.1.3 without the brackets.
pub const MAX_EMAIL_BYTES: usize = 254;

/// Checks an address for a new account and returns its one spelling.
///
/// # Errors
/// [`InvalidField`].
pub fn email(text: &str) -> Result<String, InvalidField> {
    let (local, host) =
        parts(text).ok_or(InvalidField { field: "email", message: "This does not look like an e-mail address." })?;
    if std::iter::once(local.as_str()).chain(host.split('.')).any(looks_like_another) {
        let message =
            "This address mixes alphabets, or has letters that look like others. Use an address in one alphabet.";
        return Err(InvalidField { field: "email", message });
    }
    Ok(format!("{local}@{host}"))
}

/// The two spellings under which an account with this address may be stored: the current one, and that of earlier releases, which did not
/// normalize. `None`: no account can have this address.
#[must_use]
pub fn spellings(text: &str) -> Option<(String, String)> {
    let older =
        Some(text.trim().to_lowercase()).filter(|older| older.len() <= MAX_EMAIL_BYTES && older.contains('@'))?;
    let today = parts(text).map_or_else(|| older.clone(), |(local, host)| format!("{local}@{host}"));
    Some((today, older))
}

/// The username and the host, each in its one spelling.
fn parts(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    if text.len() > MAX_EMAIL_BYTES {
        return None;
    }
    let (local, host) = text.split_once('@')?;
    let local = UsernameCaseMapped::enforce(local).ok()?.into_owned();
    // The profile turns wide characters into ordinary ones, so check again.
    let plausible = !local.contains('@') && local.len() + host.len() < MAX_EMAIL_BYTES;
    Some((local, domain(host)?)).filter(|_| plausible)
}

/// A host in Unicode, without the root's dot.
fn domain(text: &str) -> Option<String> {
    let uts46 = Uts46::new();
    let ascii =
        uts46.to_ascii(text.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::VerifyAllowRootDot).ok()?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    let (unicode, valid) = uts46.to_unicode(ascii.as_bytes(), AsciiDenyList::URL, Hyphens::Allow);
    valid.ok().filter(|()| !unicode.is_empty())?;
    Some(unicode.into_owned())
}

/// Whether a label mixes alphabets (UTS 39, section 5.2), or has no letters outside ASCII except ones that look like ASCII letters.
fn looks_like_another(label: &str) -> bool {
    if label.is_ascii() {
        return false;
    }
    let letters: String = label.chars().filter(|letter| !letter.is_ascii_punctuation()).collect();
    let looks_ascii = |letter: char| {
        let mut text = [0; 4];
        let mut shown = skeleton(letter.encode_utf8(&mut text));
        shown.next().is_some_and(|first| first.is_ascii()) && shown.next().is_none()
    };
    !letters.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive)
        || label.chars().filter(|letter| !letter.is_ascii()).all(looks_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for (spelling, written) in [
            (
                "ada@example.org",
                vec![" Ada@Example.ORG ", "ada@example.org.", "ａｄａ@example。org", "ada@ｅxample.org"],
            ),
            ("o'brien+x_1.y@mail.example.org", vec!["O'Brien+x_1.y@Mail.Example.ORG"]),
            ("josé@bücher.example", vec!["jose\u{301}@bu\u{308}cher.example", "JOSÉ@xn--bcher-kva.example"]),
            ("иван.петров@пример.рф", vec!["ИВАН.Петров@xn--e1afmkfd.xn--p1ai"]),
            ("æble@example.org", vec!["Æble@example.org"]),
            ("ışık@example.org", vec!["ışık@example.org"]),
            ("田中tanaka@example.jp", vec!["田中Tanaka@example.jp"]),
            ("ada@localhost", vec!["ada@localhost"]),
        ] {
            for written in written {
                assert_eq!(email(written).as_deref(), Ok(spelling), "{written}");
                assert_eq!(spellings(written).unwrap().0, spelling, "{written}");
            }
        }
    }

    #[test]
    fn what_is_no_address_or_looks_like_another_is_refused() {
        for wrong in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@.",
            "a b@c",
            "a@b@c",
            "a@b c",
            "a\0@b.c",
            "a@b\0.c",
            "a@b..c",
            "ada＠x@example.org",
            // Zero-width space and joiner, soft hyphen, variation selector, filler.
            "a\u{200b}da@example.org",
            "a\u{200d}da@example.org",
            "a\u{ad}da@example.org",
            "ada\u{e0100}@example.org",
            "ada\u{3164}@example.org",
            "\u{feff}ada@example.org",
            "ada\u{202e}@example.org",
            // Cyrillic a alone, and a whole word of Cyrillic letters that look Latin; dotless i; Greek.
            "\u{430}da@example.org",
            "\u{430}\u{441}\u{430}@example.org",
            "p\u{131}ng@example.org",
            "\u{3bf}@example.org",
            "ada@ex\u{430}mple.org",
            "ada@\u{430}\u{440}\u{440}\u{4cf}\u{435}.com",
            "ada@xn--80ak6aa92e.com",
            &format!("{}@b", "a".repeat(300)),
            &format!("a@{}.org", "b".repeat(64)),
        ] {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn whoever_has_an_account_under_an_older_spelling_finds_it() {
        assert_eq!(spellings(" Ada@Example.org.").unwrap().1, "ada@example.org.");
        let (today, older) = spellings("\u{430}da@example.org").unwrap();
        assert_eq!((today.as_str(), older.as_str()), ("\u{430}da@example.org", "\u{430}da@example.org"));
        assert_eq!(spellings("a\u{200b}da@example.org").unwrap().1, "a\u{200b}da@example.org");
        for nobody in ["", "ada", &format!("{}@b", "a".repeat(300))] {
            assert!(spellings(nobody).is_none(), "{nobody}");
        }
    }
}
