//! What somebody's browser or program says of them with a request: their language and their time zone. Neither says who they are.

use http::{HeaderMap, HeaderName, header};

use crate::language;

/// The IANA name of the time zone in which somebody is, as a browser knows it. No standard has a header for it; GitHub's API has this one.
const TIME_ZONE: HeaderName = HeaderName::from_static("time-zone");
/// The headers that say it, for whoever passes a request on.
const HEADERS: [HeaderName; 2] = [header::ACCEPT_LANGUAGE, TIME_ZONE];
/// The longest name there is has 32 characters (`America/Argentina/ComodRivadavia`).
const MAX_TIME_ZONE_BYTES: usize = 64;

/// What somebody prefers, as far as it is said.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Preferences {
    /// The language that they want most: a BCP 47 tag such as `pt-BR`.
    pub locale: Option<String>,
    /// The IANA name of their time zone, such as `Europe/Berlin`. Written like one; whether there is such a zone, whoever computes with it finds out.
    pub time_zone: Option<String>,
}

impl Preferences {
    /// What a request says.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let time_zone = headers.get(TIME_ZONE).and_then(|value| value.to_str().ok()).map(str::trim);
        Self {
            locale: language::preferred(headers),
            time_zone: time_zone.filter(|name| is_zone_name(name)).map(str::to_owned),
        }
    }
}

/// The headers of a request that say it, unchanged, for a component that is asked on somebody's behalf.
#[must_use]
pub fn passed_on(headers: &HeaderMap) -> HeaderMap {
    HEADERS.into_iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// Names are words between slashes (tz database, "Names of timezones"); older ones have `+` and digits in them.
fn is_zone_name(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'))
    };
    text.len() <= MAX_TIME_ZONE_BYTES && text.split('/').all(is_word)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_time_zone_is_taken_if_it_is_written_like_one() {
        let of = |value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            Preferences::of(&HeaderMap::from_iter([(TIME_ZONE, value)])).time_zone
        };
        for name in ["Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC", "America/Port-au-Prince"] {
            assert_eq!(of(name).as_deref(), Some(name));
        }
        for other in [
            "",
            "+02:00",
            "Europe/",
            "/Berlin",
            "Europe/Berlin; DROP",
            "Europe/Ber\u{200b}lin",
            "a\tb",
            &"x".repeat(65),
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Preferences::of(&HeaderMap::new()), Preferences::default());
    }

    #[test]
    fn nothing_but_the_preferences_is_passed_on() {
        let said = [("accept-language", "de-AT"), ("time-zone", "Europe/Vienna"), ("authorization", "Bearer x")];
        let headers = said.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let passed = passed_on(&headers.into_iter().collect());
        assert_eq!(passed.len(), 2);
        let (locale, time_zone) = (Some("de-AT".to_owned()), Some("Europe/Vienna".to_owned()));
        assert_eq!(Preferences::of(&passed), Preferences { locale, time_zone });
    }
}
