//! Times as the model writes and reads them. All tools use this module for that.

use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime},
    fmt::temporal::Pieces,
    tz::TimeZone,
};
use tool_provider::Failure;

/// The longest time, with its zone's name in brackets, has about 70 characters.
const TEXT_BYTES_MAX: usize = 100;

/// A time in the model's text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Moment {
    /// A date.
    Date(Date),
    /// A date and time without a zone.
    Civil(DateTime),
    /// A point in time.
    Point(Timestamp),
}

pub(crate) fn invalid<T>(words: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::InvalidArguments(words.into()))
}

/// The failure for a time that calendars cannot write.
pub(crate) fn out_of_range<E>(_: E) -> Failure {
    Failure::InvalidArguments("That time is not in the calendar, which has the years 1 to 9999.".into())
}

/// Reads a time.
pub(crate) fn read(text: &str) -> Result<Moment, Failure> {
    let text = text.trim();
    let pieces = (text.len() <= TEXT_BYTES_MAX).then(|| Pieces::parse(text).ok()).flatten();
    let Some(pieces) = pieces.filter(|pieces| (1..=9999).contains(&pieces.date().year())) else {
        return invalid(
            "A time is not understood: write 2026-03-29, 2026-03-29T14:30 or 2026-03-29T14:30:00+02:00, with an existing day.",
        );
    };
    let Some(time) = pieces.time() else { return Ok(Moment::Date(pieces.date())) };
    // iCalendar has no fractions of seconds.
    let civil = DateTime::from_parts(pieces.date(), time.with().subsec_nanosecond(0).build().map_err(out_of_range)?);
    Ok(match (pieces.time_zone_annotation(), pieces.to_numeric_offset()) {
        (None, None) => Moment::Civil(civil),
        (None, Some(offset)) => Moment::Point(offset.to_timestamp(civil).map_err(out_of_range)?),
        (Some(_), _) => match text.parse::<Zoned>() {
            Ok(zoned) => Moment::Point(zoned.timestamp()),
            Err(error) => return invalid(format!("A time is not understood: {error}.")),
        },
    })
}

impl Moment {
    /// The time in a zone. A time that the clocks skip is read as one hour later, a repeated one as the first.
    pub(crate) fn in_zone(self, zone: &TimeZone) -> Result<Zoned, Failure> {
        match self {
            Self::Date(date) => date.to_zoned(zone.clone()).map_err(out_of_range),
            Self::Civil(civil) => zone.to_ambiguous_zoned(civil).compatible().map_err(out_of_range),
            Self::Point(point) => Ok(point.to_zoned(zone.clone())),
        }
    }
}

/// A time for the model: RFC 3339 with the zone's offset.
pub(crate) fn show(zoned: &Zoned) -> String {
    zoned.timestamp().display_with_offset(zoned.offset()).to_string()
}
