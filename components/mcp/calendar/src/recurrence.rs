//! Recurrence rules (RRULE, RFC 5545 section 3.3.10) as a model writes them, converted to a form that servers accept.

use jiff::{
    SignedDuration, ToSpan as _,
    civil::{DateTime, Time},
    tz::TimeZone,
};
use tool_provider::Failure;

use crate::{
    moment::{self, Moment, invalid},
    repeat::{self, Budget},
    rule::{Frequency, Rule},
    series,
    stamp::Stamp,
    times::not_understood,
};

const WORDS: &str = "The recurrence is not understood: write an RRULE of RFC 5545 that repeats daily, weekly, monthly or yearly, such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10.";

/// How many years the first time of a rule is searched: leap days may be eight years apart.
const YEARS_AHEAD: i16 = 9;

/// The RRULE's value for an event that begins at `start`.
pub(crate) fn rule(text: &str, start: &Stamp) -> Result<String, Failure> {
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("RRULE:").unwrap_or(&text);
    let parts: Result<Vec<_>, _> = text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_prefix("UNTIL=") {
            Some(until) => until_of(until, start).map(|until| format!("UNTIL={until}")),
            None => Ok(part.to_owned()),
        })
        .collect();
    let text = parts?.join(";");
    let Ok(rule) = Rule::parse(&text) else { return invalid(WORDS) };
    // Few servers know other calendars than the Gregorian one.
    let is_plain = !["RSCALE=", "SKIP="].iter().any(|part| text.contains(part));
    let is_possible = rule.frequency != Frequency::Hourly && !(start.is_date() && rule.has_times());
    if !is_plain || !is_possible {
        return invalid(WORDS);
    }
    if rule.count.is_some() && rule.until.is_some() {
        return invalid("The recurrence ends by COUNT or by UNTIL: give one of them.");
    }
    if until(&rule, start)?.is_some_and(|until| until < start.civil()) {
        return invalid("The recurrence ends before the event begins.");
    }
    match first_named(&rule, start) {
        Some(first) if first == start.civil() => Ok(text),
        Some(first) => invalid(format!(
            "The recurrence does not name the `start` ({}): begin at its first time, {first}{}, or write another rule.",
            start.civil(),
            if matches!(start, Stamp::Utc(_)) {
                " in UTC, or give `time_zone`, in which its days are meant"
            } else {
                ""
            },
        )),
        None => invalid("The recurrence names no time at all."),
    }
}

/// The end of a rule as clocks show it.
fn until(rule: &Rule, start: &Stamp) -> Result<Option<DateTime>, Failure> {
    let zone = start.zone().unwrap_or(TimeZone::UTC);
    let until = rule.until.as_ref();
    until.map(|until| series::until_of(until, start, &zone, &zone).ok_or_else(not_understood)).transpose()
}

/// The first time that a rule produces, from the start on.
fn first_named(rule: &Rule, start: &Stamp) -> Option<DateTime> {
    let civil = start.civil();
    let last = civil.checked_add(YEARS_AHEAD.years()).unwrap_or(DateTime::MAX);
    let endless = Rule { count: None, until: None, ..rule.clone() };
    repeat::times(&endless, civil, civil, last, &Budget::default()).times.first().copied()
}

/// The UNTIL for a series: a date if the series has dates; otherwise a time in UTC, at the end of the given day.
fn until_of(until: &str, start: &Stamp) -> Result<String, Failure> {
    let until = Stamp::parse(None, until).ok_or_else(|| Failure::InvalidArguments(WORDS.into()))?;
    if start.is_date() {
        return Ok(Stamp::Date(until.civil().date()).value());
    }
    if let Stamp::Floating(_) = start {
        let civil = if until.is_date() { end_of(&until) } else { until.civil() };
        return Ok(Stamp::Floating(civil).value());
    }
    let zone = start.zone().unwrap_or(TimeZone::UTC);
    let civil = match until {
        Stamp::Utc(_) => return Ok(until.value()),
        Stamp::Date(_) => end_of(&until),
        other => other.civil(),
    };
    utc(civil, &zone)
}

fn end_of(day: &Stamp) -> DateTime {
    day.civil().date().to_datetime(Time::constant(23, 59, 59, 0))
}

fn utc(civil: DateTime, zone: &TimeZone) -> Result<String, Failure> {
    let point = Moment::Civil(civil).in_zone(zone)?;
    Ok(Stamp::Utc(TimeZone::UTC.to_datetime(point.timestamp())).value())
}

/// The new first time of a series that begins at `old`, if its time `meant` moves to `start`.
pub(crate) fn first_moved(old: &Stamp, meant: &Stamp, start: &Stamp) -> Result<Stamp, Failure> {
    let (old, meant) = (old.like(start)?, meant.like(start)?);
    let days = meant.civil().date().until(start.civil().date()).map_err(moment::out_of_range)?;
    let date = old.civil().date().checked_add(days).map_err(moment::out_of_range)?;
    Ok(start.with(date.to_datetime(start.civil().time())))
}

/// The rule of a series that moves from `old` to `first`, because its time `meant` moves to `start`. The rule's end moves too, or the last time would
/// be lost. A move is refused if no rule is given and the old one would produce wrong times.
pub(crate) fn moved(
    text: Option<&str>,
    old: &Stamp,
    meant: &Stamp,
    start: &Stamp,
    first: &Stamp,
) -> Result<String, Failure> {
    let needed = || {
        Failure::InvalidArguments(
            "A series that moves to other days needs the `recurrence` that it gets. So does one whose rule names times of the day, and one that gets days instead of times.".into(),
        )
    };
    let text = text.ok_or_else(needed)?;
    let rule = Rule::parse(text).map_err(|_| needed())?;
    let is_other_day = start.civil().date() != meant.like(start)?.civil().date();
    if is_other_day || rule.has_times() || old.is_date() != start.is_date() || rule.frequency == Frequency::Hourly {
        return Err(needed());
    }
    let by: SignedDuration = old.like(start)?.civil().duration_until(first.civil());
    let moved = match &rule.until {
        None => None,
        Some(until) if until.is_date() => Some(until.clone()),
        Some(until) => {
            let civil = until.like(first)?.civil().checked_add(by).map_err(moment::out_of_range)?;
            Some(match first.zone() {
                Some(zone) => Stamp::parse(None, &utc(civil, &zone)?).ok_or_else(not_understood)?,
                None => first.with(civil),
            })
        }
    };
    let parts = text.split(';').map(|part| match (part.trim().get(..6), &moved) {
        (Some(name), Some(until)) if name.eq_ignore_ascii_case("UNTIL=") => format!("UNTIL={}", until.value()),
        _ => part.to_owned(),
    });
    let text = parts.collect::<Vec<_>>().join(";");
    if first_named(&rule, first) == Some(first.civil()) { Ok(text) } else { Err(needed()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::Zone;

    #[test]
    fn a_rule_ends_in_the_form_that_its_event_begins_in() {
        let berlin = Zone { name: "Europe/Berlin".into(), rules: TimeZone::get("Europe/Berlin").ok() };
        let timed = Stamp::parse(Some(berlin), "20260309T090000").unwrap();
        assert_eq!(rule("rrule:freq=weekly;until=20260331", &timed).unwrap(), "FREQ=WEEKLY;UNTIL=20260331T215959Z");
        assert_eq!(rule("FREQ=WEEKLY;UNTIL=20260331T090000", &timed).unwrap(), "FREQ=WEEKLY;UNTIL=20260331T070000Z");
        let day = Stamp::parse(None, "20260309").unwrap();
        assert_eq!(rule("FREQ=YEARLY;UNTIL=20300309T000000Z", &day).unwrap(), "FREQ=YEARLY;UNTIL=20300309");
        for known in ["FREQ=MONTHLY;BYDAY=2MO", "FREQ=DAILY;INTERVAL=2;COUNT=5", "FREQ=WEEKLY;WKST=SU;BYDAY=MO,TU"] {
            assert_eq!(rule(known, &timed).unwrap(), known);
        }
    }

    #[test]
    fn what_is_no_rule_is_answered_with_words() {
        let start = Stamp::parse(None, "20260309T090000Z").unwrap();
        for text in [
            "",
            "weekly",
            "FREQ=HOURLY",
            "FREQ=SOMETIMES",
            "FREQ=DAILY\r\nATTENDEE:x",
            "FREQ=DAILY;UNTIL=soon",
            "INTERVAL=2",
            "FREQ=DAILY;EVER=1",
        ] {
            assert!(matches!(rule(text, &start), Err(Failure::InvalidArguments(_))), "{text}");
        }
    }
}
