//! Points in time, to the millisecond.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC with three decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = DateTime, examples("2026-01-01T12:00:00.000Z")))]
pub struct Timestamp(i64);

impl Timestamp {
    /// Reads stored milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time by this host's clock. Leases and expiries use the database's clock instead.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The beginning of the next day in UTC.
    #[must_use]
    pub fn next_day(self) -> Self {
        self.next(|date| date.tomorrow().ok())
    }

    /// The beginning of the next month in UTC.
    #[must_use]
    pub fn next_month(self) -> Self {
        self.next(|date| date.last_of_month().tomorrow().ok())
    }

    /// Itself, beyond the year 9999.
    fn next(self, next: impl FnOnce(jiff::civil::Date) -> Option<jiff::civil::Date>) -> Self {
        let now = jiff::Timestamp::from_millisecond(self.0).ok();
        let next = now.and_then(|now| next(now.to_zoned(jiff::tz::TimeZone::UTC).date()));
        let next = next.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
        next.map_or(self, |next| Self(next.timestamp().as_millisecond()))
    }
}

/// Reads RFC 3339, as [`Timestamp`] is shown or with another offset.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_millisecond())).map_err(|_| InvalidTimestamp)
    }
}

/// A text that is not a point in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not a time of RFC 3339")]
pub struct InvalidTimestamp;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            // Beyond the year 9999. Our code never writes such a time, and bad data should not break a response.
            Err(_) => f.write_str("9999-12-31T23:59:59.999Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Writes a timestamp as milliseconds since 1970, for messages between components.
pub mod milliseconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Timestamp;

    /// For `serde(with)`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        timestamp.as_millis().serialize(serializer)
    }

    /// For `serde(with)`.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_offset_and_nothing_else_is() {
        assert_eq!("2026-01-01T01:00:00+01:00".parse(), Ok(Timestamp::from_millis(1_767_225_600_000)));
        for wrong in ["", "2026-01-01", "2026-01-01T00:00:00", "tomorrow", "1767225600000"] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(InvalidTimestamp), "{wrong}");
        }
    }

    #[test]
    fn is_written_with_exactly_three_decimals() {
        assert_eq!(Timestamp::from_millis(1_767_225_600_000).to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_767_225_600_120).to_string(), "2026-01-01T00:00:00.120Z");
    }

    #[test]
    fn days_and_months_end_by_the_calendar_in_utc() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(time("2026-12-31T23:59:59.999Z").next_day(), time("2027-01-01T00:00:00Z"));
        assert_eq!(time("2024-02-01T00:00:00Z").next_month(), time("2024-03-01T00:00:00Z"));
        assert_eq!(time("2026-11-30T12:00:00Z").next_month(), time("2026-12-01T00:00:00Z"));
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(last.next_day(), last);
    }
}
