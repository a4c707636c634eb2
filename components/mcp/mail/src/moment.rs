//! Times as the model writes and reads them. All tools use this module for that.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use tool_provider::Failure;

/// The longest time with its offset has about 40 characters.
const TEXT_BYTES_MAX: usize = 100;

/// A time zone by its name; without a name, UTC.
pub(crate) fn zone(name: Option<&str>) -> Result<TimeZone, Failure> {
    name.map_or(Ok(TimeZone::UTC), time_zone::named)
}

/// Reads a time. A date means its beginning. A time without an offset is in the given zone.
pub(crate) fn read(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let text = text.trim();
    let short = Some(text).filter(|text| text.len() <= TEXT_BYTES_MAX);
    if let Some(point) = short.and_then(|text| text.parse().ok()) {
        return Ok(point);
    }
    let civil = short.and_then(|text| text.parse::<DateTime>().ok()).filter(|civil| civil.year() >= 1);
    civil.and_then(|civil| zone.to_ambiguous_timestamp(civil).compatible().ok()).ok_or_else(|| {
        Failure::InvalidArguments(
            "A time is not understood: write 2026-03-29, 2026-03-29T14:30 or 2026-03-29T14:30:00+02:00, with an existing day."
                .into(),
        )
    })
}

/// The time in JMAP's form (UTCDate, RFC 8620 section 1.4).
pub(crate) fn utc(point: Timestamp) -> String {
    point.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time from the server, with the zone's offset.
pub(crate) fn show(text: &str, zone: &TimeZone) -> Option<String> {
    let zoned = text.parse::<Timestamp>().ok()?.to_zoned(zone.clone());
    Some(zoned.timestamp().display_with_offset(zoned.offset()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_zone_that_is_meant() {
        let berlin = zone(Some("Europe/Berlin")).unwrap();
        for (text, expected) in [
            ("2026-03-29", "2026-03-28T23:00:00Z"),
            ("2026-03-30", "2026-03-29T22:00:00Z"),
            ("2026-03-29T14:30", "2026-03-29T12:30:00Z"),
            // This time is skipped when the clocks change.
            ("2026-03-29T02:30", "2026-03-29T01:30:00Z"),
            ("2026-03-29T14:30:00Z", "2026-03-29T14:30:00Z"),
            ("2026-03-29T14:30:00.5+05:30", "2026-03-29T09:00:00Z"),
        ] {
            assert_eq!(utc(read(text, &berlin).unwrap()), expected, "{text}");
        }
        assert_eq!(show("2026-07-01T12:00:00Z", &berlin).unwrap(), "2026-07-01T14:00:00+02:00");
        for text in ["", "soon", "2026-02-30", "-000001-01-01", &"2".repeat(1_000)] {
            assert!(read(text, &berlin).is_err(), "{text}");
        }
        assert!(zone(Some("Mars/Olympus")).is_err() && show("soon", &berlin).is_none());
    }
}
