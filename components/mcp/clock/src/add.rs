//! Adds a duration to a time, or takes it away.

use jiff::{Span, Zoned, civil::DateTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here, Moment, Shown};

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Add {
    /// A date, a time, a time with offset, or `now` or `today`.
    start: String,
    /// IANA time zone of `start`, so that changes of the clocks count. The person's own for `now` and `today` when left out.
    time_zone: Option<String>,
    /// Years to add; negative numbers go back, here and below.
    #[serde(default)]
    years: i64,
    /// Months to add. A day that the month does not have becomes its last day.
    #[serde(default)]
    months: i64,
    /// Weeks to add.
    #[serde(default)]
    weeks: i64,
    /// Days to add: calendar days, which have 23 or 25 hours when the clocks change.
    #[serde(default)]
    days: i64,
    /// Hours to add: time that really passes.
    #[serde(default)]
    hours: i64,
    /// Minutes to add: time that really passes.
    #[serde(default)]
    minutes: i64,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Added {
    /// The time reached.
    result: Shown,
    /// What was adjusted on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Adds years, months, weeks, days, hours and minutes to a date or time, or takes them away. Use it for deadlines, ages and
/// "in six weeks". Years and months come first, then weeks and days, then hours and minutes.
#[tool(title = "Add to a date", read_only, closed_world)]
pub(crate) async fn add(arguments: Add, context: &Context) -> Result<Structured<Added>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

fn at(arguments: &Add, here: &Here) -> Result<Added, Failure> {
    let start = moment::read(&arguments.start, arguments.time_zone.as_deref(), here)?;
    let start = match (start, arguments.time_zone.as_deref()) {
        (Moment::Civil(civil), Some(name)) => {
            let (zoned, note) = moment::resolve(civil, moment::zone(name)?)?;
            let mut added = add_to_point(arguments, &zoned)?;
            added.notes.splice(0..0, note);
            return Ok(added);
        }
        (start, _) => start,
    };
    match start {
        Moment::Point(zoned) => add_to_point(arguments, &zoned),
        Moment::Civil(civil) => {
            let (civil, notes) = add_calendar(arguments, civil)?;
            let result = civil.checked_add(clock_span(arguments)?).map_err(moment::out_of_range)?;
            Ok(Added { result: moment::show_civil(result), notes })
        }
        Moment::Date(date) => {
            let (civil, notes) = add_calendar(arguments, date.into())?;
            let timed = arguments.hours != 0 || arguments.minutes != 0;
            let result = civil.checked_add(clock_span(arguments)?).map_err(moment::out_of_range)?;
            let result = if timed { moment::show_civil(result) } else { moment::show_date(result.date()) };
            Ok(Added { result, notes })
        }
    }
}

fn add_to_point(arguments: &Add, start: &Zoned) -> Result<Added, Failure> {
    let (civil, mut notes) = add_calendar(arguments, start.datetime())?;
    // The local time is resolved again only if it moved. Otherwise, the second of two equal local times would become the first.
    let mut point = start.clone();
    if civil != start.datetime() {
        let (zoned, note) = moment::resolve(civil, start.time_zone().clone())?;
        point = zoned;
        notes.extend(note);
    }
    let point = point.checked_add(clock_span(arguments)?).map_err(moment::out_of_range)?;
    Ok(Added { result: moment::show(&point), notes })
}

fn add_calendar(arguments: &Add, start: DateTime) -> Result<(DateTime, Vec<String>), Failure> {
    let Add { years, months, weeks, days, .. } = *arguments;
    let of_months = Span::new().try_years(years).and_then(|span| span.try_months(months));
    let of_days = Span::new().try_weeks(weeks).and_then(|span| span.try_days(days));
    let moved = start.checked_add(of_months.map_err(moment::out_of_range)?).map_err(moment::out_of_range)?;
    let mut notes = Vec::new();
    if moved.day() != start.day() {
        notes.push(format!(
            "{:04}-{:02} has no day {}: its last day, {}, was taken.",
            moved.year(),
            moved.month(),
            start.day(),
            moved.day()
        ));
    }
    let moved = moved.checked_add(of_days.map_err(moment::out_of_range)?).map_err(moment::out_of_range)?;
    Ok((moved, notes))
}

fn clock_span(arguments: &Add) -> Result<Span, Failure> {
    let span = Span::new().try_hours(arguments.hours).and_then(|span| span.try_minutes(arguments.minutes));
    span.map_err(moment::out_of_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(arguments: Add) -> Result<Added, Failure> {
        at(&arguments, &moment::tests::here("2026-11-22T10:00:00Z", None))
    }

    fn from(start: &str) -> Add {
        Add { start: start.into(), ..Add::default() }
    }

    fn in_berlin(start: &str) -> Add {
        Add { time_zone: Some("Europe/Berlin".into()), ..from(start) }
    }

    #[test]
    fn the_last_day_of_a_month_is_kept_in_sight() {
        let leap = added(Add { years: 1, ..from("2024-02-29") }).unwrap();
        assert_eq!(leap.result.time, "2025-02-28");
        assert!(leap.notes[0].contains("2025-02 has no day 29"));
        assert_eq!(added(Add { years: 4, ..from("2024-02-29") }).unwrap().result.time, "2028-02-29");
        assert_eq!(added(Add { months: 1, ..from("2024-01-31") }).unwrap().result.time, "2024-02-29");
        assert_eq!(added(Add { months: -1, ..from("2026-03-31") }).unwrap().result.time, "2026-02-28");
        assert_eq!(added(Add { days: 1, ..from("2024-02-28") }).unwrap().result.time, "2024-02-29");
        assert_eq!(added(Add { months: 1, days: 1, ..from("2026-01-31") }).unwrap().result.time, "2026-03-01");
    }

    #[test]
    fn a_day_is_not_always_24_hours() {
        let day = added(Add { days: 1, ..in_berlin("2026-03-28T12:00") }).unwrap();
        assert_eq!(day.result.time, "2026-03-29T12:00:00+02:00");
        let hours = added(Add { hours: 24, ..in_berlin("2026-03-28T12:00") }).unwrap();
        assert_eq!(hours.result.time, "2026-03-29T13:00:00+02:00");
        let gap = added(Add { days: 1, ..in_berlin("2026-03-28T02:30") }).unwrap();
        assert_eq!(gap.result.time, "2026-03-29T03:30:00+02:00");
        assert!(gap.notes[0].contains("does not exist"));
        let second = added(Add { minutes: 15, ..in_berlin("2026-10-25T02:30:00+01:00") }).unwrap();
        assert_eq!(second.result.time, "2026-10-25T02:45:00+01:00");
        let first = added(in_berlin("2026-10-25T02:30")).unwrap();
        assert!(first.notes[0].contains("happens twice"));
    }

    #[test]
    fn what_is_not_known_of_a_time_is_not_made_up() {
        assert_eq!(added(Add { days: 10, ..from("today") }).unwrap().result.time, "2026-12-02");
        assert_eq!(added(Add { hours: 1, ..from("now") }).unwrap().result.time, "2026-11-22T11:00:00+00:00");
        assert_eq!(added(Add { hours: 1, ..from("2026-03-29T01:45") }).unwrap().result.time, "2026-03-29T02:45:00");
        assert_eq!(added(Add { hours: 30, ..from("2026-03-29") }).unwrap().result.time, "2026-03-30T06:00:00");
    }

    #[test]
    fn leaving_the_calendar_is_an_error() {
        for arguments in [
            Add { years: 8000, ..from("2026-01-01") },
            Add { days: i64::MAX, ..from("2026-01-01") },
            Add { hours: i64::MIN, ..from("now") },
            Add { months: 200_000, ..from("2026-01-01T00:00:00Z") },
            Add { days: 1, ..from("9999-12-31") },
        ] {
            let Err(Failure::InvalidArguments(words)) = added(arguments) else { panic!("outside the calendar") };
            assert!(words.contains("-9999 to 9999"), "{words}");
        }
    }
}
