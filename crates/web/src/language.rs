//! Which language somebody wants, by what their browser or program says (RFC 9110, section 12.5.4).

use http::{HeaderMap, header};

/// The longest tag that is taken: the longest that RFC 5646 (section 4.4.1) finds in use.
const MAX_TAG_BYTES: usize = 35;
/// Browsers send a handful.
const MAX_TAGS: usize = 20;

/// The language that is wanted most, as a BCP 47 tag such as `pt-BR`. `None`: nothing is said, or any will do.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let (mut best, mut tag) = (0.0, None);
    for range in value.split(',').take(MAX_TAGS) {
        let (name, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        // Names of parameters have no case, and a weight is at most 1 (RFC 9110, sections 5.6.6 and 12.4.2).
        let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|weight| weight.strip_prefix('='));
        let weight: f64 = weight.and_then(|weight| weight.parse().ok()).unwrap_or_default();
        let weight = weight.clamp(0.0, 1.0);
        // Of equals the first is meant.
        if weight > best && is_tag(name.trim()) {
            (best, tag) = (weight, Some(name.trim()));
        }
    }
    tag.map(str::to_owned)
}

fn is_tag(text: &str) -> bool {
    let is_subtag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= MAX_TAG_BYTES && text.split('-').all(is_subtag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_is_wanted_most_is_the_first_of_the_heaviest() {
        let of = |value: &[u8]| {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            preferred(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value)]))
        };
        for (said, wanted) in [
            ("de-AT", Some("de-AT")),
            ("de-DE,de;q=0.9,en;q=0.8", Some("de-DE")),
            ("en;q=0.5, pt-BR ;q=0.9", Some("pt-BR")),
            ("*", None),
            ("*, fr;q=0.1", Some("fr")),
            ("en;q=0", None),
            ("en;Q=0.5, fr;q=0.4", Some("en")),
            ("en, fr;q=7", Some("en")),
            ("en;q=-1", None),
            ("en;q=NaN", None),
            ("en;q=much, zh-Hant-TW;q=0.1", Some("zh-Hant-TW")),
            ("", None),
            ("a\tb, <b>, de_DE, en-", None),
        ] {
            assert_eq!(of(said.as_bytes()).as_deref(), wanted, "{said}");
        }
        assert_eq!(of(b"\xff"), None);
        assert_eq!(of("x".repeat(5_000).as_bytes()), None);
        assert_eq!(preferred(&HeaderMap::new()), None);
    }
}
