//! For authors of tools that have to do with times: reads the name that a model, a person or a browser gives a time zone. It has the time zone
//! database.

use jiff::tz::TimeZone;
use tool_provider::{Context, Failure};

/// The longest name there is has about 35 characters.
const NAME_BYTES_MAX: usize = 100;

/// A zone by its IANA name, in whatever case.
///
/// # Errors
/// [`Failure::InvalidArguments`], with what a name looks like.
pub fn named(name: &str) -> Result<TimeZone, Failure> {
    let known = (name.len() <= NAME_BYTES_MAX).then(|| TimeZone::get(name).ok()).flatten();
    known.filter(|zone| zone.iana_name().is_some()).ok_or_else(|| {
        Failure::InvalidArguments("The time zone is not known: use an IANA name such as Europe/Berlin or UTC.".into())
    })
}

/// The person's zone, if their browser or program names one that there is.
#[must_use]
pub fn of(context: &Context) -> Option<TimeZone> {
    context.time_zone().and_then(|name| named(name).ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_persons_zone_is_known_if_it_exists() {
        let of = |preferences: &[(&str, &str)]| {
            let preferences = preferences.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            of(&Context { id: "1".into(), preferences, deadline: Duration::ZERO, secrets: Vec::new() })
        };
        let berlin = of(&[("locale", "de"), ("time-zone", "Europe/Berlin")]);
        assert_eq!(berlin.as_ref().and_then(TimeZone::iana_name), Some("Europe/Berlin"));
        assert_eq!((of(&[]), of(&[("time-zone", "Etc/Unknown")])), (None, None));
    }

    #[test]
    fn a_zone_is_known_by_its_iana_name_and_by_nothing_else() {
        for (name, zone) in [("Europe/Berlin", "Europe/Berlin"), ("asia/kathmandu", "Asia/Kathmandu"), ("UTC", "UTC")] {
            assert_eq!(named(name).unwrap().iana_name(), Some(zone));
        }
        for name in ["", "Mars/Olympus", "+02:00", "CEST", &"x".repeat(1_000)] {
            let Err(Failure::InvalidArguments(words)) = named(name) else { panic!("{name} was taken") };
            assert!(words.contains("Europe/Berlin"), "{words}");
        }
    }
}
