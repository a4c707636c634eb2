//! Dates and times in properties of iCalendar (RFC 5545 sections 3.3.4 and 3.3.5), with their zones.

use jiff::{
    SignedDuration, ToSpan as _, Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use tool_provider::Failure;

use crate::{
    moment::{self, Moment},
    zones::{self, Zone},
};

/// The longest valid form has sixteen bytes. Forms of some programs, such as `2026-03-29T14:30:00.000+02:00`, have about twice as many.
const VALUE_BYTES_MAX: usize = 32;

const DATE: &str = "%Y%m%d";
const TIME: &str = "%Y%m%dT%H%M%S";

/// A date, or a time in one of three forms.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Stamp {
    Date(Date),
    Utc(DateTime),
    /// A time with a TZID.
    Zoned(Zone, DateTime),
    /// A time without a zone.
    Floating(DateTime),
}

/// Parses a time such as `20260329T143000`. Some programs write the end of a day as `T240000`, leave out the seconds, add fractions, or use dashes
/// and colons (ISO 8601).
fn civil(date: Date, time: &str) -> Option<DateTime> {
    let whole = time.split_once(['.', ',']).map_or(time, |(whole, _)| whole).replace(':', "");
    match whole.as_str() {
        "240000" | "2400" => Some(date.tomorrow().ok()?.into()),
        time => {
            let seconds = if time.len() == 4 { "00" } else { "" };
            DateTime::strptime(TIME, format!("{}T{time}{seconds}", date.strftime(DATE))).ok()
        }
    }
}

impl Stamp {
    /// Parses a value. `zone` is the zone of its TZID.
    pub(crate) fn parse(zone: Option<Zone>, value: &str) -> Option<Self> {
        let value = value.trim();
        if value.len() > VALUE_BYTES_MAX || !value.is_ascii() {
            return None;
        }
        let (date, time) = value.split_once(['T', 't']).map_or((value, None), |(date, time)| (date, Some(time)));
        let date = Date::strptime(DATE, date.replace('-', "")).ok()?;
        let Some(time) = time else { return Some(Self::Date(date)) };
        if let Some(utc) = time.strip_suffix(['Z', 'z']) {
            return civil(date, utc).map(Self::Utc);
        }
        if let Some((time, offset)) = time.find(['+', '-']).and_then(|sign| time.split_at_checked(sign)) {
            let east = SignedDuration::from_secs(zones::offset(offset)?.into());
            let utc = Self::Utc(civil(date, time)?.checked_sub(east).ok()?);
            // A series follows the clocks of its zone, which an offset does not describe.
            let Some(zone) = zone.filter(|zone| zone.rules.is_some()) else { return Some(utc) };
            let point = utc.begin(&TimeZone::UTC).ok()?;
            return Some(Self::Zoned(zone, point.datetime()).at(&point));
        }
        let civil = civil(date, time)?;
        Some(zone.map_or(Self::Floating(civil), |zone| Self::Zoned(zone, civil)))
    }

    /// A time from a model. A point in time is converted to the zone; a time without offset requires one.
    pub(crate) fn of_moment(moment: Moment, zone: Option<&TimeZone>) -> Result<Self, Failure> {
        let named = |civil, zone: &TimeZone| match zone.iana_name() {
            Some("UTC" | "Etc/UTC") | None => Self::Utc(civil),
            Some(name) => Self::Zoned(Zone { name: name.to_owned(), rules: Some(zone.clone()) }, civil),
        };
        match (moment, zone) {
            (Moment::Date(date), _) => Ok(Self::Date(date)),
            // As clocks show it, even if they skip this time.
            (Moment::Civil(_), Some(zone)) => Ok(named(moment.in_zone(zone)?.datetime(), zone)),
            (Moment::Civil(_), None) => {
                moment::invalid("Say in `time_zone` where that time is meant, or give its offset.")
            }
            (Moment::Point(point), Some(zone)) => {
                let zoned = point.to_zoned(zone.clone());
                Ok(named(zoned.datetime(), zone).at(&zoned))
            }
            (Moment::Point(point), None) => Ok(Self::Utc(TimeZone::UTC.to_datetime(point))),
        }
    }

    pub(crate) fn value(&self) -> String {
        match self {
            Self::Date(date) => date.strftime(DATE).to_string(),
            Self::Utc(civil) => format!("{}Z", civil.strftime(TIME)),
            Self::Zoned(_, civil) | Self::Floating(civil) => civil.strftime(TIME).to_string(),
        }
    }

    /// The line of a property, without its line end.
    pub(crate) fn line(&self, name: &str) -> String {
        let value = self.value();
        match self {
            Self::Date(_) => format!("{name};VALUE=DATE:{value}"),
            Self::Zoned(zone, _) if zone.name.contains([':', ';', ',']) => {
                format!("{name};TZID=\"{}\":{value}", zone.name)
            }
            Self::Zoned(zone, _) => format!("{name};TZID={}:{value}", zone.name),
            _ => format!("{name}:{value}"),
        }
    }

    pub(crate) fn is_date(&self) -> bool {
        matches!(self, Self::Date(_))
    }

    /// The date and time that clocks show at the beginning.
    pub(crate) fn civil(&self) -> DateTime {
        match self {
            Self::Date(date) => DateTime::from(*date),
            Self::Utc(civil) | Self::Zoned(_, civil) | Self::Floating(civil) => *civil,
        }
    }

    /// Another time in the same form.
    pub(crate) fn with(&self, civil: DateTime) -> Self {
        match self {
            Self::Date(_) => Self::Date(civil.date()),
            Self::Utc(_) => Self::Utc(civil),
            Self::Zoned(zone, _) => Self::Zoned(zone.clone(), civil),
            Self::Floating(_) => Self::Floating(civil),
        }
    }

    /// A point in time in the same form; in UTC if the clocks repeat this hour and the form would mean the first one.
    pub(crate) fn at(&self, point: &Zoned) -> Self {
        let Some(zone) = self.zone() else { return self.with(point.datetime()) };
        let written = self.with(point.with_time_zone(zone.clone()).datetime());
        match written.begin(&zone) {
            Ok(begin) if begin.timestamp() != point.timestamp() => {
                Self::Utc(TimeZone::UTC.to_datetime(point.timestamp()))
            }
            _ => written,
        }
    }

    /// The same point in time in the form of another stamp. Dates and times without a zone are taken literally.
    pub(crate) fn like(&self, form: &Self) -> Result<Self, Failure> {
        match (self.zone(), form.zone()) {
            (Some(own), Some(zone)) => Ok(form.with(self.begin(&own)?.with_time_zone(zone).datetime())),
            _ => Ok(form.with(self.civil())),
        }
    }

    /// The zone of the time; `None` if it has none, or an unknown one.
    pub(crate) fn zone(&self) -> Option<TimeZone> {
        match self {
            Self::Utc(_) => Some(TimeZone::UTC),
            Self::Zoned(zone, _) => zone.rules.clone(),
            Self::Date(_) | Self::Floating(_) => None,
        }
    }

    /// The point in time at its beginning. `here` is the zone for times without one.
    pub(crate) fn begin(&self, here: &TimeZone) -> Result<Zoned, Failure> {
        let zone = self.zone().unwrap_or_else(|| here.clone());
        Moment::Civil(self.civil()).in_zone(&zone)
    }

    /// The stamp after some time: whole days for a date, elapsed time otherwise.
    pub(crate) fn later(&self, length: SignedDuration) -> Result<Self, Failure> {
        if self.is_date() {
            let days = (length.as_hours() / 24).max(1).days();
            return Ok(self.with(self.civil().checked_add(days).map_err(moment::out_of_range)?));
        }
        let zone = self.zone().unwrap_or(TimeZone::UTC);
        let begin = self.begin(&zone)?;
        Ok(self.at(&begin.checked_add(length).map_err(moment::out_of_range)?))
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
            let zone = tzid.map(|tzid: &str| Zone { name: tzid.to_owned(), rules: None });
            let stamp = Stamp::parse(zone, value).unwrap();
            assert_eq!((stamp.value().as_str(), stamp.line("DTSTART").as_str()), (value, line));
        }
        for value in ["", "2026", "20260230", "20260329T", "20260329T2500", "99999999T999999Z", "🕐", "99991231T240000"]
        {
            assert_eq!(Stamp::parse(None, value), None, "{value}");
        }
    }
}
