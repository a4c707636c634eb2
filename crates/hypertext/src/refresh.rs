//! The address that a page redirects to by itself: `<meta http-equiv=refresh>` and the header `Refresh` (HTML, "shared declarative refresh steps").

/// A redirect after some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refresh {
    /// The time.
    pub seconds: u32,
    /// The address as it is written; empty for the page itself.
    pub url: String,
}

/// Reads a text such as `5; url=/next`; `None` if it is not a redirect.
#[must_use]
pub fn refresh(content: &str) -> Option<Refresh> {
    let content = content.trim_start();
    let digits = content.find(|c: char| !c.is_ascii_digit()).unwrap_or(content.len());
    let (time, rest) = content.split_at_checked(digits)?;
    if time.is_empty() && !rest.starts_with('.') {
        return None;
    }
    // A larger number means for ever.
    let seconds = if time.is_empty() { 0 } else { time.parse().unwrap_or(u32::MAX) };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let separated = after.trim_start();
    let place = separated.strip_prefix([';', ',']).unwrap_or(separated).trim_start();
    if after.len() == separated.len() && after.len() == place.len() && !after.is_empty() {
        // Something else follows the time.
        return None;
    }
    let named = place.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("url"));
    let value = if named { place.get(3..).unwrap_or_default().trim_start().strip_prefix('=') } else { None };
    let url = value.map_or(place, str::trim_start);
    let url = match url.chars().next() {
        Some(quote @ ('"' | '\'')) => url.get(1..).unwrap_or_default().split(quote).next().unwrap_or_default(),
        _ => url,
    };
    Some(Refresh { seconds, url: url.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_the_place_are_read() {
        for (content, seconds, url) in [
            ("0;url=/next", 0, "/next"),
            ("0; URL = 'https://b.org/?a=b;c' ", 0, "https://b.org/?a=b;c"),
            ("5,url=\"/a\"x", 5, "/a"),
            (" 3.5 /a", 3, "/a"),
            (".5;/a", 0, "/a"),
            ("0; urls/a", 0, "urls/a"),
            ("300", 300, ""),
            ("99999999999; url=", u32::MAX, ""),
            ("1;url='/a", 1, "/a"),
        ] {
            assert_eq!(refresh(content), Some(Refresh { seconds, url: url.into() }), "{content}");
        }
        for content in ["", "url=/next", "-1;url=/a", "5x;url=/a", "ü", "; /a"] {
            assert_eq!(refresh(content), None, "{content}");
        }
    }
}
