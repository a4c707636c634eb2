//! The current time.

use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here, Shown};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Now {
    /// IANA time zone such as `Europe/Berlin`, or an offset such as `+02:00`; the person's own when left out, or UTC if that is
    /// not known.
    time_zone: Option<String>,
}

/// Says what date and time it is now, for the person or in any time zone. Use it before anything that depends on today's date or the current time.
#[tool(title = "Current time", read_only, closed_world)]
pub(crate) async fn now(arguments: Now, context: &Context) -> Result<Structured<Shown>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

fn at(arguments: &Now, here: &Here) -> Result<Shown, Failure> {
    Ok(moment::show(&here.now_in(arguments.time_zone.as_deref())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: Option<&str>) -> Result<Shown, Failure> {
        shown_to(None, zone)
    }

    fn shown_to(person: Option<&str>, zone: Option<&str>) -> Result<Shown, Failure> {
        let zone = zone.map(str::to_owned);
        at(&Now { time_zone: zone }, &moment::tests::here("2026-03-29T01:00:00.75Z", person))
    }

    #[test]
    fn a_person_who_names_no_zone_is_told_their_own_time() {
        let berlin = shown_to(Some("Europe/Berlin"), None).unwrap();
        assert_eq!(
            (berlin.time.as_str(), berlin.time_zone.as_deref()),
            ("2026-03-29T03:00:00+02:00", Some("Europe/Berlin"))
        );
        assert_eq!(shown_to(Some("Europe/Berlin"), Some("Asia/Tokyo")).unwrap().time, "2026-03-29T10:00:00+09:00");
    }

    #[test]
    fn the_zone_decides_what_is_shown() {
        assert_eq!(shown(None).unwrap().time, "2026-03-29T01:00:00+00:00");
        assert_eq!(shown(Some("Europe/Berlin")).unwrap().time, "2026-03-29T03:00:00+02:00");
        assert_eq!(shown(Some("+05:30")).unwrap().time, "2026-03-29T06:30:00+05:30");
        let kathmandu = shown(Some("asia/kathmandu")).unwrap();
        assert_eq!(kathmandu.time, "2026-03-29T06:45:00+05:45");
        assert_eq!((kathmandu.weekday, kathmandu.iso_week.as_str(), kathmandu.day_of_year), ("Sunday", "2026-W13", 88));
    }

    #[test]
    fn an_unknown_zone_is_answered_with_words() {
        for zone in ["Mars/Olympus", "", "+99:00", "+", "CEST", "🕐"] {
            let Err(Failure::InvalidArguments(words)) = shown(Some(zone)) else { panic!("{zone} was taken") };
            assert!(words.contains("Europe/Berlin"), "{words}");
        }
    }
}
