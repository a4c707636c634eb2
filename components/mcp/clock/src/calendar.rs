//! Facts about a day.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here, Shown};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calendar {
    /// A date such as `2026-03-29`, or `today`.
    date: String,
    /// IANA time zone that says what day `today` is; the person's own when left out.
    time_zone: Option<String>,
}

#[derive(Serialize, JsonSchema, Debug)]
pub(crate) struct Facts {
    /// The day.
    #[serde(flatten)]
    day: Shown,
    /// The quarter of the year, from 1.
    quarter: i8,
    /// How many days the month has.
    days_in_month: i8,
    /// Whether the year has 366 days.
    leap_year: bool,
}

/// Says the weekday, ISO week, day of the year, quarter and leap year of a date. Use it for "what day of the week is ...".
#[tool(title = "About a date", read_only, closed_world)]
pub(crate) async fn calendar(arguments: Calendar, context: &Context) -> Result<Structured<Facts>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

fn at(arguments: &Calendar, here: &Here) -> Result<Facts, Failure> {
    let date = moment::read_date(&arguments.date, arguments.time_zone.as_deref(), here)?;
    Ok(Facts {
        day: moment::show_date(date),
        quarter: (date.month() - 1) / 3 + 1,
        days_in_month: date.days_in_month(),
        leap_year: date.in_leap_year(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(date: &str, zone: Option<&str>) -> Facts {
        let arguments = Calendar { date: date.into(), time_zone: zone.map(str::to_owned) };
        at(&arguments, &moment::tests::here("2026-12-31T23:00:00Z", None)).unwrap()
    }

    #[test]
    fn a_day_has_its_place_in_the_year() {
        let leap = facts("2024-02-29", None);
        assert_eq!((leap.day.weekday, leap.day.day_of_year, leap.quarter), ("Thursday", 60, 1));
        assert_eq!((leap.days_in_month, leap.leap_year), (29, true));
        // At the ends of a year, the ISO year differs from the calendar's.
        assert_eq!(facts("2027-01-01", None).day.iso_week, "2026-W53");
        assert!(!facts("1900-02-28", None).leap_year);
    }

    #[test]
    fn what_day_today_is_depends_on_the_zone() {
        assert_eq!(facts("today", None).day.time, "2026-12-31");
        assert_eq!(facts("today", Some("Europe/Berlin")).day.time, "2027-01-01");
        let own = Calendar { date: "today".into(), time_zone: None };
        let own = at(&own, &moment::tests::here("2026-12-31T23:00:00Z", Some("Europe/Berlin"))).unwrap();
        assert_eq!(own.day.time, "2027-01-01");
    }
}
