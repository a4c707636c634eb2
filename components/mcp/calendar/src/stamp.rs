//! Dates and times as properties of iCalendar have them (RFC 5545 sections 3.3.4 and 3.3.5), with the zone they name.

use std::str::FromStr as _;

use jiff::{
    SignedDuration, ToSpan as _, Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use tool_provider::Failure;

use crate::moment::{self, Moment};

const DATE: &str = "%Y%m%d";
const TIME: &str = "%Y%m%dT%H%M%S";

/// A date, or a time in one of the three forms.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Stamp {
    Date(Date),
    Utc(DateTime),
    /// By a TZID, which need not be an IANA name.
    Zoned(String, DateTime),
    /// Wherever one is.
    Floating(DateTime),
}

/// The zone that a TZID means: IANA's names, those of Windows, and some that programs put before IANA's.
pub(crate) fn zone(tzid: &str) -> Option<TimeZone> {
    let name = || Some(calcard::common::timezone::Tz::from_str(tzid).ok()?.name()?.into_owned());
    TimeZone::get(tzid).ok().or_else(|| TimeZone::get(&name()?).ok())
}

impl Stamp {
    /// Reads a value and its TZID.
    pub(crate) fn parse(tzid: Option<&str>, value: &str) -> Option<Self> {
        let value = value.trim();
        if let Some(utc) = value.strip_suffix('Z') {
            return DateTime::strptime(TIME, utc).ok().map(Self::Utc);
        }
        if let Ok(date) = Date::strptime(DATE, value) {
            return Some(Self::Date(date));
        }
        let civil = DateTime::strptime(TIME, value).ok()?;
        Some(tzid.map_or(Self::Floating(civil), |tzid| Self::Zoned(tzid.to_owned(), civil)))
    }

    /// What a model wrote. A point in time is written in the zone, a time without one needs it.
    pub(crate) fn of_moment(moment: Moment, zone: Option<&TimeZone>) -> Result<Self, Failure> {
        let named = |civil, zone: &TimeZone| match zone.iana_name() {
            Some("UTC" | "Etc/UTC") | None => Self::Utc(civil),
            Some(name) => Self::Zoned(name.to_owned(), civil),
        };
        match (moment, zone) {
            (Moment::Date(date), _) => Ok(Self::Date(date)),
            // As the clocks show it, also if they skip it.
            (Moment::Civil(_), Some(zone)) => Ok(named(moment.in_zone(zone)?.datetime(), zone)),
            (Moment::Civil(_), None) => {
                moment::invalid("Say in `time_zone` where that time is meant, or give its offset.")
            }
            (Moment::Point(point), Some(zone)) => Ok(named(zone.to_datetime(point), zone)),
            (Moment::Point(point), None) => Ok(Self::Utc(TimeZone::UTC.to_datetime(point))),
        }
    }

    /// The value.
    pub(crate) fn value(&self) -> String {
        match self {
            Self::Date(date) => date.strftime(DATE).to_string(),
            Self::Utc(civil) => format!("{}Z", civil.strftime(TIME)),
            Self::Zoned(_, civil) | Self::Floating(civil) => civil.strftime(TIME).to_string(),
        }
    }

    /// The line of a property, without its end.
    pub(crate) fn line(&self, name: &str) -> String {
        let value = self.value();
        match self {
            Self::Date(_) => format!("{name};VALUE=DATE:{value}"),
            Self::Zoned(tzid, _) if tzid.contains([':', ';', ',']) => format!("{name};TZID=\"{tzid}\":{value}"),
            Self::Zoned(tzid, _) => format!("{name};TZID={tzid}:{value}"),
            _ => format!("{name}:{value}"),
        }
    }

    pub(crate) fn is_date(&self) -> bool {
        matches!(self, Self::Date(_))
    }

    /// What clocks show at its beginning.
    pub(crate) fn civil(&self) -> DateTime {
        match self {
            Self::Date(date) => DateTime::from(*date),
            Self::Utc(civil) | Self::Zoned(_, civil) | Self::Floating(civil) => *civil,
        }
    }

    /// The same form with another time.
    pub(crate) fn with(&self, civil: DateTime) -> Self {
        match self {
            Self::Date(_) => Self::Date(civil.date()),
            Self::Utc(_) => Self::Utc(civil),
            Self::Zoned(tzid, _) => Self::Zoned(tzid.clone(), civil),
            Self::Floating(_) => Self::Floating(civil),
        }
    }

    /// The zone it is written in; none if it has none, or one that nobody knows.
    pub(crate) fn zone(&self) -> Option<TimeZone> {
        match self {
            Self::Utc(_) => Some(TimeZone::UTC),
            Self::Zoned(tzid, _) => zone(tzid),
            Self::Date(_) | Self::Floating(_) => None,
        }
    }

    /// The point at which it begins; `here` is the zone of what names none.
    pub(crate) fn begin(&self, here: &TimeZone) -> Result<Zoned, Failure> {
        let zone = self.zone().unwrap_or_else(|| here.clone());
        Moment::Civil(self.civil()).in_zone(&zone)
    }

    /// Some time later: of days, whole ones; of times, what really passes.
    pub(crate) fn later(&self, length: SignedDuration) -> Result<Self, Failure> {
        if self.is_date() {
            let days = (length.as_hours() / 24).max(1).days();
            return Ok(self.with(self.civil().checked_add(days).map_err(moment::out_of_range)?));
        }
        let zone = self.zone().unwrap_or(TimeZone::UTC);
        let begin = self.begin(&zone)?;
        Ok(self.with(begin.checked_add(length).map_err(moment::out_of_range)?.datetime()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_written_as_it_was_read() {
        for (tzid, value, line) in [
            (None, "20260329", "DTSTART;VALUE=DATE:20260329"),
            (None, "20260329T143000Z", "DTSTART:20260329T143000Z"),
            (None, "20260329T143000", "DTSTART:20260329T143000"),
            (
                Some("W. Europe Standard Time"),
                "20260329T143000",
                "DTSTART;TZID=W. Europe Standard Time:20260329T143000",
            ),
            (Some("a:b"), "20260329T143000", "DTSTART;TZID=\"a:b\":20260329T143000"),
        ] {
            let stamp = Stamp::parse(tzid, value).unwrap();
            assert_eq!((stamp.value().as_str(), stamp.line("DTSTART").as_str()), (value, line));
        }
        for value in ["", "2026", "20260230", "20260329T", "20260329T2500", "99999999T999999Z", "🕐"] {
            assert_eq!(Stamp::parse(None, value), None, "{value}");
        }
    }

    #[test]
    fn zones_have_names_of_several_fashions() {
        for tzid in ["Europe/Berlin", "W. Europe Standard Time"] {
            assert_eq!(zone(tzid).unwrap().iana_name(), Some("Europe/Berlin"), "{tzid}");
        }
        assert_eq!(zone("My own zone"), None);
    }
}
