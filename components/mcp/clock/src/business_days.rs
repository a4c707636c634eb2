//! Counts and adds business days.

use jiff::{
    Span,
    civil::{Date, Weekday},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tool_provider::{Context, Failure, Structured, tool};

use crate::moment::{self, Here};

/// A country has about a dozen holidays a year, so this is enough for decades, and quick to search.
const HOLIDAYS_MAX: usize = 1_000;
/// The calendar has 7.3 million days.
const ADDED_MAX: i64 = 7_300_000;
const WEEK_DAYS: i64 = 7;

/// A day of the week.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusinessDays {
    /// The first day: a date, or `today`.
    from: String,
    /// To count: the last day. Both ends are counted. Give this or `add`.
    to: Option<String>,
    /// To add: how many business days after `from`; before it if negative. 0 is `from` or the next business day. Give this or `to`.
    add: Option<i64>,
    /// Days of the week without work; Saturday and Sunday when left out.
    weekend: Option<Vec<Day>>,
    /// Dates of holidays, at most 1000. None are known otherwise.
    #[serde(default)]
    holidays: Vec<String>,
    /// IANA time zone that says what day `today` is; the person's own when left out.
    time_zone: Option<String>,
}

#[derive(Serialize, JsonSchema, PartialEq, Debug)]
pub(crate) struct Counted {
    /// How many business days there are, both ends counted, or how many were added.
    business_days: i64,
    /// The first day.
    from: String,
    /// The last day.
    to: String,
    /// The last day's day of the week.
    weekday: &'static str,
    /// Holidays that fell on what would have been business days.
    holidays: usize,
}

/// Counts the business days between two dates, or finds the date some business days later or earlier. Use it for delivery and payment
/// deadlines. Public holidays must be given.
#[tool(title = "Business days", read_only, closed_world)]
pub(crate) async fn business_days(arguments: BusinessDays, context: &Context) -> Result<Structured<Counted>, Failure> {
    at(&arguments, &Here::of(context)).map(Structured)
}

/// The weekdays with work, from Monday.
struct Week {
    worked: Vec<Weekday>,
}

fn at(arguments: &BusinessDays, here: &Here) -> Result<Counted, Failure> {
    let zone = arguments.time_zone.as_deref();
    let from = moment::read_date(&arguments.from, zone, here)?;
    let week = Week::without(arguments.weekend.as_deref().unwrap_or(&[Day::Saturday, Day::Sunday]));
    if week.worked.is_empty() {
        return moment::invalid("The weekend has all seven days: leave one to work on.");
    }
    if arguments.holidays.len() > HOLIDAYS_MAX {
        return moment::invalid(format!("Too many holidays: give at most {HOLIDAYS_MAX}, those in the period."));
    }
    let holidays = arguments.holidays.iter().map(|date| moment::read_date(date, zone, here));
    let mut holidays = holidays.collect::<Result<Vec<_>, _>>()?;
    holidays.retain(|date| week.works(*date));
    holidays.sort_unstable();
    holidays.dedup();
    match (&arguments.to, arguments.add) {
        (Some(to), None) => {
            let to = moment::read_date(to, zone, here)?;
            if to < from {
                return moment::invalid("`to` is before `from`: swap them.");
            }
            holidays.retain(|date| (from..=to).contains(date));
            let found = holidays.len();
            let count = week.count(from, to)?.saturating_sub(i64::try_from(found).unwrap_or(i64::MAX));
            Ok(counted(count, from, to, found))
        }
        (None, Some(add)) => {
            let (to, found) = week.add(from, add, &holidays)?;
            Ok(counted(add, from, to, found))
        }
        _ => moment::invalid("Give either `to`, to count, or `add`, to find a date."),
    }
}

fn counted(business_days: i64, from: Date, to: Date, holidays: usize) -> Counted {
    let weekday = moment::show_date(to).weekday;
    Counted { business_days, from: from.to_string(), to: to.to_string(), weekday, holidays }
}

impl Week {
    fn without(weekend: &[Day]) -> Self {
        let free = |weekday: &Weekday| weekend.iter().any(|day| day.weekday() == *weekday);
        Self { worked: Weekday::Monday.cycle_forward().take(7).filter(|day| !free(day)).collect() }
    }

    fn works(&self, date: Date) -> bool {
        self.worked.contains(&date.weekday())
    }

    fn days(&self) -> i64 {
        i64::try_from(self.worked.len()).unwrap_or(WEEK_DAYS)
    }

    /// Counts working days, both ends included, and ignores holidays. Full weeks are multiplied; only the rest is counted day by day.
    fn count(&self, from: Date, to: Date) -> Result<i64, Failure> {
        let days = from.duration_until(to).as_hours() / 24 + 1;
        let rest = from.series(Span::new().days(1)).take(usize::try_from(days % WEEK_DAYS).unwrap_or(0));
        let rest = i64::try_from(rest.filter(|date| self.works(*date)).count()).unwrap_or(0);
        Ok(days / WEEK_DAYS * self.days() + rest)
    }

    /// The day `add` business days from `from`, and the number of holidays on the way.
    fn add(&self, from: Date, add: i64, holidays: &[Date]) -> Result<(Date, usize), Failure> {
        if add.abs_diff(0) > ADDED_MAX.unsigned_abs() {
            return Err(moment::out_of_range(()));
        }
        // For 0, the next business day is counted from the day before.
        let (from, add) = match add {
            0 => (step(from, -1)?, 1),
            _ => (from, add),
        };
        let backward = add < 0;
        let mut passed = 0;
        let mut to = self.add_worked(from, add)?;
        // Each holiday on the way adds one more day. The way then gets longer and may reach further holidays, so they are visited in order.
        let mut ahead: Vec<_> =
            holidays.iter().filter(|day| if backward { **day < from } else { **day > from }).collect();
        if backward {
            ahead.reverse();
        }
        for holiday in ahead {
            if if backward { *holiday < to } else { *holiday > to } {
                break;
            }
            passed += 1;
            to = self.add_worked(to, if backward { -1 } else { 1 })?;
        }
        Ok((to, passed))
    }

    /// Adds working days, and ignores holidays. Full weeks are added at once; at most seven days are counted one by one.
    fn add_worked(&self, from: Date, add: i64) -> Result<Date, Failure> {
        let direction = add.signum();
        let weeks = (add.abs() - 1) / self.days();
        let mut left = add.abs() - weeks * self.days();
        let mut date = step(from, direction * weeks * WEEK_DAYS)?;
        while left > 0 {
            date = step(date, direction)?;
            left -= i64::from(self.works(date));
        }
        Ok(date)
    }
}

fn step(date: Date, days: i64) -> Result<Date, Failure> {
    Span::new().try_days(days).and_then(|span| date.checked_add(span)).map_err(moment::out_of_range)
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Monday => Weekday::Monday,
            Self::Tuesday => Weekday::Tuesday,
            Self::Wednesday => Weekday::Wednesday,
            Self::Thursday => Weekday::Thursday,
            Self::Friday => Weekday::Friday,
            Self::Saturday => Weekday::Saturday,
            Self::Sunday => Weekday::Sunday,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: BusinessDays) -> Result<Counted, Failure> {
        at(&arguments, &moment::tests::here("2026-11-22T10:00:00Z", None))
    }

    fn count(from: &str, to: &str, holidays: &[&str]) -> i64 {
        let holidays = holidays.iter().map(|day| (*day).to_owned()).collect();
        run(BusinessDays { from: from.into(), to: Some(to.into()), holidays, ..Default::default() })
            .unwrap()
            .business_days
    }

    fn add(from: &str, add: i64, holidays: &[&str]) -> String {
        let holidays = holidays.iter().map(|day| (*day).to_owned()).collect();
        run(BusinessDays { from: from.into(), add: Some(add), holidays, ..Default::default() }).unwrap().to
    }

    #[test]
    fn both_ends_are_counted_and_holidays_once() {
        assert_eq!(count("2026-03-02", "2026-03-31", &[]), 22);
        assert_eq!(count("2026-03-07", "2026-03-08", &[]), 0);
        assert_eq!(count("2026-12-21", "2026-12-31", &["2026-12-25", "2026-12-25", "2026-12-26"]), 8);
        assert_eq!(count("-009999-01-01", "9999-12-31", &[]), 5_217_490);
    }

    #[test]
    fn adding_skips_weekends_and_holidays() {
        assert_eq!(add("2026-11-20", 1, &[]), "2026-11-23");
        assert_eq!(add("2026-11-21", 1, &[]), "2026-11-23");
        assert_eq!(add("2026-11-23", -1, &[]), "2026-11-20");
        assert_eq!(add("2026-12-24", 1, &["2026-12-25", "2026-12-28"]), "2026-12-29");
        assert_eq!(add("2026-12-29", -1, &["2026-12-25", "2026-12-28"]), "2026-12-24");
        assert_eq!(add("2026-12-25", 0, &["2026-12-25"]), "2026-12-28");
        assert_eq!(add("2026-12-24", 0, &[]), "2026-12-24");
        assert_eq!(add("2026-01-01", 2_000_000, &[]), "9692-02-21");
    }

    #[test]
    fn adding_and_counting_agree() {
        for days in 1..40 {
            let to = add("2026-12-01", days, &["2026-12-25", "2027-01-01"]);
            // From the day after, because the start is not one of the days added.
            assert_eq!(count("2026-12-02", &to, &["2026-12-25", "2027-01-01"]), days);
        }
    }

    #[test]
    fn other_weekends_exist() {
        let weekend = Some(vec![Day::Friday, Day::Saturday]);
        let week = BusinessDays { from: "2026-11-26".into(), add: Some(1), weekend, ..Default::default() };
        assert_eq!(run(week).unwrap().weekday, "Sunday");
    }

    #[test]
    fn nonsense_is_answered_with_words() {
        let from = || BusinessDays { from: "2026-11-26".into(), ..Default::default() };
        let week = [Day::Monday, Day::Tuesday, Day::Wednesday, Day::Thursday, Day::Friday, Day::Saturday, Day::Sunday];
        for (arguments, words) in [
            (from(), "either"),
            (BusinessDays { add: Some(i64::MIN), ..from() }, "-9999 to 9999"),
            (BusinessDays { add: Some(7_000_000), ..from() }, "-9999 to 9999"),
            (BusinessDays { to: Some("2026-11-25".into()), ..from() }, "swap"),
            (BusinessDays { add: Some(1), weekend: Some(week.to_vec()), ..from() }, "seven"),
            (BusinessDays { add: Some(1), holidays: vec!["2026-12-25".into(); 1_001], ..from() }, "at most"),
            (BusinessDays { add: Some(1), holidays: vec!["Christmas".into()], ..from() }, "not understood"),
        ] {
            let Err(Failure::InvalidArguments(said)) = run(arguments) else { panic!("{words}") };
            assert!(said.contains(words), "{said}");
        }
    }
}
