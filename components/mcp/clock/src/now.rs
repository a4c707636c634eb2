//! The current time.

use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::Deserialize;
use tool_provider::{Failure, Structured, tool};

use crate::moment::{self, Shown};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Now {
    /// IANA time zone such as `Europe/Berlin`, or an offset such as `+02:00`; UTC when left out.
    time_zone: Option<String>,
}

/// Says what date and time it is now, in any time zone. Use it before anything that depends on today's date or the current time.
#[tool(title = "Current time", read_only, closed_world)]
pub(crate) async fn now(arguments: Now) -> Result<Structured<Shown>, Failure> {
    at(&arguments, Timestamp::now()).map(Structured)
}

fn at(arguments: &Now, now: Timestamp) -> Result<Shown, Failure> {
    let zone = arguments.time_zone.as_deref().map_or(Ok(TimeZone::UTC), moment::zone)?;
    Ok(moment::show(&now.to_zoned(zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: Option<&str>) -> Result<Shown, Failure> {
        at(&Now { time_zone: zone.map(str::to_owned) }, "2026-03-29T01:00:00.75Z".parse().unwrap())
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
