//! Reads and writes times as the model does. No tool reads or writes them in another way.

use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime, Weekday},
    fmt::temporal::Pieces,
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use schemars::JsonSchema;
use serde::Serialize;
use tool_provider::{Context, Failure};

/// The longest time with its zone's name in brackets has about 70 characters.
const TEXT_BYTES_MAX: usize = 100;

/// A time, as far as a text gives it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Moment {
    /// Only a day.
    Date(Date),
    /// A local time without a zone.
    Civil(DateTime),
    /// A point in time, and the zone to show it in.
    Point(Zoned),
}

/// When and where a call is made.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    pub(crate) now: Timestamp,
    /// The person's time zone, if it is known.
    pub(crate) zone: Option<TimeZone>,
}

impl Here {
    pub(crate) fn of(context: &Context) -> Self {
        Self { now: Timestamp::now(), zone: time_zone::of(context) }
    }

    /// The current moment in the zone of this name, or else in the person's.
    pub(crate) fn now_in(&self, name: Option<&str>) -> Result<Zoned, Failure> {
        let zone = match name {
            Some(name) => zone(name)?,
            None => self.zone.clone().unwrap_or(TimeZone::UTC),
        };
        Ok(self.now.to_zoned(zone))
    }
}

/// A point in time for the model.
#[derive(Serialize, JsonSchema, PartialEq, Debug)]
pub(crate) struct Shown {
    /// RFC 3339 with the zone's offset; without an offset if no zone is known; only the date if no time is known.
    pub(crate) time: String,
    /// The time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
    /// The day of the week.
    pub(crate) weekday: &'static str,
    /// The week after ISO 8601, such as `2026-W13`.
    pub(crate) iso_week: String,
    /// The day of the year, from 1.
    pub(crate) day_of_year: i16,
}

/// Fails with a message for the model.
pub(crate) fn invalid<T>(words: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::InvalidArguments(words.into()))
}

/// The failure for a time that jiff, or RFC 3339, cannot write.
pub(crate) fn out_of_range<E>(_: E) -> Failure {
    Failure::InvalidArguments(
        "That leaves the calendar, which has the years -9999 to 9999: use smaller numbers.".into(),
    )
}

/// A zone by its name or offset.
pub(crate) fn zone(name: &str) -> Result<TimeZone, Failure> {
    if name.len() <= TEXT_BYTES_MAX {
        let offset = || Pieces::parse(format!("2000-01-01T00:00{name}").as_bytes()).ok()?.to_numeric_offset();
        let known =
            if name.starts_with(['+', '-']) { offset().map(TimeZone::fixed) } else { time_zone::named(name).ok() };
        if let Some(zone) = known {
            return Ok(zone);
        }
    }
    invalid(
        "The time zone is not known: use an IANA name such as Europe/Berlin, America/New_York or UTC, or an offset such as +02:00.",
    )
}

/// Reads a time. `now`, `today` and times with an offset are shown in `default_zone`, if it is given; else `now` and `today` are the person's.
pub(crate) fn read(text: &str, default_zone: Option<&str>, here: &Here) -> Result<Moment, Failure> {
    let text = text.trim();
    if text == "now" || text == "today" {
        let zoned = here.now_in(default_zone)?;
        return Ok(if text == "today" { Moment::Date(zoned.date()) } else { Moment::Point(zoned) });
    }
    let default_zone = default_zone.map(zone).transpose()?;
    let Some(pieces) = (text.len() <= TEXT_BYTES_MAX).then(|| Pieces::parse(text).ok()).flatten() else {
        return invalid(
            "A time is not understood: write 2026-03-29, 2026-03-29T14:30, 2026-03-29T14:30:00+02:00 or `now`, with an existing day.",
        );
    };
    if pieces.time_zone_annotation().is_some() {
        let zoned: Zoned = text.parse().or_else(|error| invalid(format!("A time is not understood: {error}.")))?;
        return Ok(Moment::Point(match default_zone {
            Some(zone) => zoned.with_time_zone(zone),
            None => zoned,
        }));
    }
    let Some(time) = pieces.time() else { return Ok(Moment::Date(pieces.date())) };
    let civil = DateTime::from_parts(pieces.date(), time);
    let Some(offset) = pieces.to_numeric_offset() else { return Ok(Moment::Civil(civil)) };
    let point = offset.to_timestamp(civil).map_err(out_of_range)?;
    let fixed = if offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(offset) };
    Ok(Moment::Point(point.to_zoned(default_zone.unwrap_or(fixed))))
}

/// Reads a day.
pub(crate) fn read_date(text: &str, zone: Option<&str>, here: &Here) -> Result<Date, Failure> {
    Ok(match read(text, zone, here)? {
        Moment::Date(date) => date,
        Moment::Civil(civil) => civil.date(),
        Moment::Point(zoned) => zoned.date(),
    })
}

/// The point at which the clocks of a zone show `civil`, and a note if there is no such point or there are two.
pub(crate) fn resolve(civil: DateTime, zone: TimeZone) -> Result<(Zoned, Option<String>), Failure> {
    let name = name(&zone).unwrap_or_else(|| "this zone".into());
    let ambiguous = zone.into_ambiguous_zoned(civil);
    let kind = ambiguous.offset();
    let zoned = ambiguous.compatible().map_err(out_of_range)?;
    let (date, time) = (civil.date(), civil.time());
    let note = match kind {
        AmbiguousOffset::Unambiguous { .. } => None,
        AmbiguousOffset::Gap { .. } => Some(format!(
            "{time} does not exist on {date} in {name}: the clocks are put forward over it. Taken as {}.",
            zoned.time()
        )),
        AmbiguousOffset::Fold { before, after } => Some(format!(
            "{time} happens twice on {date} in {name}: the clocks are put back. Taken as the first, at offset {before}; \
             the second is at {after}: give the offset to choose it."
        )),
    };
    Ok((zoned, note))
}

/// The name of a zone, or its fixed offset.
pub(crate) fn name(zone: &TimeZone) -> Option<String> {
    zone.iana_name().map(str::to_owned).or_else(|| Some(zone.to_fixed_offset().ok()?.to_string()))
}

/// A point in time for the model, to the second.
pub(crate) fn show(zoned: &Zoned) -> Shown {
    let seconds = Timestamp::from_second(zoned.timestamp().as_second()).unwrap_or(zoned.timestamp());
    Shown {
        time: seconds.display_with_offset(zoned.offset()).to_string(),
        time_zone: name(zoned.time_zone()),
        ..show_date(zoned.date())
    }
}

/// A local time for the model.
pub(crate) fn show_civil(civil: DateTime) -> Shown {
    Shown { time: civil.to_string(), ..show_date(civil.date()) }
}

/// A day for the model.
pub(crate) fn show_date(date: Date) -> Shown {
    let week = date.iso_week_date();
    Shown {
        time: date.to_string(),
        time_zone: None,
        weekday: weekday(date.weekday()),
        iso_week: format!("{:04}-W{:02}", week.year(), week.week()),
        day_of_year: date.day_of_year(),
    }
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A moment, and the zone of who asks.
    pub(crate) fn here(now: &str, zone: Option<&str>) -> Here {
        Here { now: now.parse().unwrap(), zone: zone.map(|name| super::zone(name).unwrap()) }
    }
}
