//! For authors of tools that have to do with times: reads the name that a model or a person gives a time zone. It has the time zone database.

use jiff::tz::TimeZone;
use tool_provider::Failure;

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

#[cfg(test)]
mod tests {
    use super::*;

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
