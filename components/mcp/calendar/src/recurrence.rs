//! Rules of recurrence (RRULE, RFC 5545 section 3.3.10) as a model writes them, made such that servers take them.

use calcard::icalendar::{ICalendar, ICalendarFrequency, ICalendarProperty, ICalendarValue};
use jiff::{civil::Time, tz::TimeZone};
use tool_provider::Failure;

use crate::{
    moment::{Moment, invalid},
    stamp::Stamp,
};

/// The longest rule that makes sense names all days of a year.
const RULE_BYTES_MAX: usize = 1_500;

const WORDS: &str = "The recurrence is not understood: write an RRULE of RFC 5545 that repeats daily, weekly, monthly or yearly, such as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10.";

/// The value of the RRULE of an event that begins at `start`.
pub(crate) fn rule(text: &str, start: &Stamp) -> Result<String, Failure> {
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("RRULE:").unwrap_or(&text);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"=;,+-".contains(&byte);
    if text.len() > RULE_BYTES_MAX || !text.bytes().all(is_plain) {
        return invalid(WORDS);
    }
    let parts: Result<Vec<_>, _> = text
        .split(';')
        .filter(|part| !part.is_empty())
        .map(|part| match part.strip_prefix("UNTIL=") {
            Some(until) => until_of(until, start).map(|until| format!("UNTIL={until}")),
            None => Ok(part.to_owned()),
        })
        .collect();
    let rule = parts?.join(";");
    if is_known(&rule, start) { Ok(rule) } else { invalid(WORDS) }
}

/// Of a day, a day; of a time, a time in UTC: at the end of the day that is meant.
fn until_of(until: &str, start: &Stamp) -> Result<String, Failure> {
    let until = Stamp::parse(None, until).ok_or_else(|| Failure::InvalidArguments(WORDS.into()))?;
    if start.is_date() {
        return Ok(Stamp::Date(until.civil().date()).value());
    }
    let zone = start.zone().unwrap_or(TimeZone::UTC);
    let civil = match until {
        Stamp::Utc(_) => return Ok(until.value()),
        Stamp::Date(date) => date.to_datetime(Time::constant(23, 59, 59, 0)),
        other => other.civil(),
    };
    let point = Moment::Civil(civil).in_zone(&zone)?;
    Ok(Stamp::Utc(TimeZone::UTC.to_datetime(point.timestamp())).value())
}

fn is_known(rule: &str, start: &Stamp) -> bool {
    let text = format!(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{}\r\nRRULE:{rule}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        start.line("DTSTART")
    );
    let Ok(calendar) = ICalendar::parse(&text) else { return false };
    let entry = calendar.components.iter().find_map(|component| component.property(&ICalendarProperty::Rrule));
    let Some(ICalendarValue::RecurrenceRule(read)) = entry.and_then(|entry| entry.values.first()) else { return false };
    let is_daily =
        !matches!(read.freq, ICalendarFrequency::Hourly | ICalendarFrequency::Minutely | ICalendarFrequency::Secondly);
    // The parser reads over what it does not know; what it read, it writes.
    let parts = |text: &str| text.split(';').filter(|part| !part.is_empty()).count();
    is_daily && rule.contains("FREQ=") && parts(&read.to_string()) == parts(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_ends_in_the_form_that_its_event_begins_in() {
        let timed = Stamp::parse(Some("Europe/Berlin"), "20260309T090000").unwrap();
        assert_eq!(rule("rrule:freq=weekly;until=20260331", &timed).unwrap(), "FREQ=WEEKLY;UNTIL=20260331T215959Z");
        assert_eq!(rule("FREQ=WEEKLY;UNTIL=20260331T090000", &timed).unwrap(), "FREQ=WEEKLY;UNTIL=20260331T070000Z");
        let day = Stamp::parse(None, "20260309").unwrap();
        assert_eq!(rule("FREQ=YEARLY;UNTIL=20300309T000000Z", &day).unwrap(), "FREQ=YEARLY;UNTIL=20300309");
        for known in ["FREQ=MONTHLY;BYDAY=-1FR", "FREQ=DAILY;INTERVAL=2;COUNT=5", "FREQ=WEEKLY;WKST=SU;BYDAY=MO,TU"] {
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
