//! The duration from one time to another.

use jiff::{Span, Unit, Zoned, civil::DateTime, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here, Moment};

const DAY_SECONDS: f64 = 86_400.0;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// The start: a date, a time, a time with offset, or `now` or `today`.
    from: String,
    /// The end, likewise. If it is before the start, the numbers are negative.
    to: String,
    /// IANA time zone of times without an offset, so that changes of the clocks count. The person's own where it matters, when left out.
    time_zone: Option<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Distance {
    /// All of it in days of 24 hours. Between two dates it is a whole number; the first day is not counted.
    total_days: f64,
    /// All of it in seconds.
    total_seconds: i64,
    /// Full years.
    years: i16,
    /// Full months beside the years.
    months: i32,
    /// Full calendar days beside the months.
    days: i32,
    /// Full hours beside the days.
    hours: i32,
    /// Full minutes beside the hours.
    minutes: i64,
    /// Seconds beside the minutes.
    seconds: i64,
    /// How local times that do not exist, or happen twice, were taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// Says how much time lies between two dates or times, in all and as years, months, days and hours. Use it for ages, durations and
/// "how long until".
#[tool(title = "Time between", read_only, closed_world)]
pub(crate) async fn difference(arguments: Difference, context: &Context) -> Result<Structured<Distance>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

fn at(arguments: &Difference, here: &Here) -> Result<Distance, Failure> {
    let zone = arguments.time_zone.as_deref();
    let from = moment::read(&arguments.from, zone, here)?;
    let to = moment::read(&arguments.to, zone, here)?;
    let zone = zone.map(moment::zone).transpose()?;
    // Two times that the same clocks show need no zone.
    if let (Some(from), Some(to)) = (without_zone(&from, zone.as_ref()), without_zone(&to, zone.as_ref())) {
        let span = from.until((Unit::Year, to)).map_err(moment::out_of_range)?;
        return Ok(distance(&span, from.duration_until(to).as_secs(), Vec::new()));
    }
    let zone = zone.or_else(|| here.zone.clone());
    let mut notes = Vec::new();
    let from = point(from, zone.as_ref(), &mut notes)?;
    let to = point(to, zone.as_ref(), &mut notes)?.with_time_zone(from.time_zone().clone());
    let span = from.until((Unit::Year, &to)).map_err(moment::out_of_range)?;
    Ok(distance(&span, from.duration_until(&to).as_secs(), notes))
}

/// A date, or a local time if no zone is given: these need no zone to be compared.
fn without_zone(moment: &Moment, zone: Option<&TimeZone>) -> Option<DateTime> {
    match (moment, zone) {
        (Moment::Date(date), _) => Some((*date).into()),
        (Moment::Civil(civil), None) => Some(*civil),
        _ => None,
    }
}

fn point(moment: Moment, zone: Option<&TimeZone>, notes: &mut Vec<String>) -> Result<Zoned, Failure> {
    let civil = match moment {
        Moment::Point(zoned) => return Ok(zoned),
        Moment::Date(date) => date.into(),
        Moment::Civil(civil) => civil,
    };
    let Some(zone) = zone else {
        return moment::invalid(
            "One of the times has an offset and the other has none: say in `time_zone` where it is.",
        );
    };
    let (zoned, note) = moment::resolve(civil, zone.clone())?;
    notes.extend(note);
    Ok(zoned)
}

#[allow(clippy::cast_precision_loss)] // The calendar has fewer than 2^40 seconds.
fn distance(span: &Span, total_seconds: i64, notes: Vec<String>) -> Distance {
    Distance {
        total_days: total_seconds as f64 / DAY_SECONDS,
        total_seconds,
        years: span.get_years(),
        months: span.get_months(),
        days: span.get_days(),
        hours: span.get_hours(),
        minutes: span.get_minutes(),
        seconds: span.get_seconds(),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(from: &str, to: &str, zone: Option<&str>) -> Result<Distance, Failure> {
        let arguments = Difference { from: from.into(), to: to.into(), time_zone: zone.map(str::to_owned) };
        at(&arguments, &moment::tests::here("2026-11-22T10:00:00Z", None))
    }

    #[test]
    fn dates_differ_by_whole_days() {
        let year = between("2024-02-29", "2025-02-28", None).unwrap();
        assert_eq!((year.total_days, year.years, year.months, year.days), (365.0, 0, 11, 30));
        let christmas = between("today", "2026-12-25", None).unwrap();
        assert_eq!((christmas.total_days, christmas.months, christmas.days), (33.0, 1, 3));
        assert_eq!(between("2026-12-25", "today", None).unwrap().total_days, -33.0);
        // The clocks change in between, which does not matter for dates.
        assert_eq!(between("2026-03-28", "2026-03-30", Some("Europe/Berlin")).unwrap().total_days, 2.0);
    }

    #[test]
    fn a_night_on_which_the_clocks_change_has_other_hours() {
        let spring = between("2026-03-28T22:00", "2026-03-29T06:00", Some("Europe/Berlin")).unwrap();
        assert_eq!(spring.hours, 7);
        assert_eq!(between("2026-03-28T22:00", "2026-03-29T06:00", None).unwrap().hours, 8);
        let fold = between("2026-10-25T02:30", "2026-10-25T02:30+01:00", Some("Europe/Berlin")).unwrap();
        assert_eq!((fold.total_seconds, fold.notes.len()), (3600, 1));
    }

    #[test]
    fn zones_are_not_guessed() {
        let Err(Failure::InvalidArguments(words)) = between("now", "2026-12-25T18:00", None) else { panic!("guessed") };
        assert!(words.contains("time_zone"), "{words}");
        let christmas = Difference { from: "now".into(), to: "2026-12-25T18:00".into(), time_zone: None };
        let own = at(&christmas, &moment::tests::here("2026-12-25T10:00:00Z", Some("Europe/Berlin"))).unwrap();
        assert_eq!(own.hours, 7);
        assert_eq!(between("2026-01-01T00:00:00+05:30", "2026-01-01T00:00:00Z", None).unwrap().total_seconds, 19_800);
    }
}
