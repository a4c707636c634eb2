//! iCalendar objects as the times at which something happens. What recurs is repeated here, within a limit. Must not write iCalendar.

use calcard::{
    common::{PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarFrequency, ICalendarProperty, ICalendarStatus,
        ICalendarTransparency, ICalendarValue,
        dates::{CalendarEvent, TimeOrDelta},
    },
};
use jiff::{
    SignedDuration, Timestamp, ToSpan as _, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::{
    dav::Object,
    moment::Moment,
    stamp::{self, Stamp},
    window::Window,
};

/// How often one object is repeated from its beginning on: 27 years of every day.
const REPETITIONS_MAX: usize = 10_000;

/// Times a day that a rule may name: every hour.
const TIMES_OF_DAY_MAX: usize = 24;

/// Texts are shown up to here; agendas that are longer are not for lists.
const SHOWN_CHARS_MAX: usize = 1_000;

/// Something that happens once.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub(crate) id: String,
    pub(crate) etag: Option<String>,
    pub(crate) calendar: String,
    pub(crate) start: Zoned,
    /// The first moment after it.
    pub(crate) end: Zoned,
    /// First and last day, if it has no times.
    pub(crate) days: Option<(Date, Date)>,
    /// Which of an event that recurs: its RECURRENCE-ID.
    pub(crate) occurrence: Option<String>,
    /// The RRULE, of an event that recurs.
    pub(crate) recurrence: Option<String>,
    pub(crate) title: String,
    pub(crate) location: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) is_tentative: bool,
    pub(crate) is_cancelled: bool,
    /// Whoever has it is free all the same.
    pub(crate) is_transparent: bool,
}

/// The occurrences of an object that are in the window, and what is missing of them.
pub(crate) fn read(object: &Object, calendar: &str, window: &Window) -> (Vec<Occurrence>, Option<String>) {
    let unread = || (Vec::new(), Some(format!("{} is not understood and left out.", object.id)));
    let Ok(mut parsed) = ICalendar::parse(&object.text) else { return unread() };
    let rule = events(&parsed).find_map(|component| text(component, &ICalendarProperty::Rrule));
    let is_bounded = bound(&mut parsed, window);
    let expanded = parsed.expand_dates(Tz::Floating, REPETITIONS_MAX);
    let is_recurring = events(&parsed).any(ICalendarComponent::is_recurrent_or_override);
    let is_cut = !is_bounded || expanded.events.len() >= REPETITIONS_MAX;
    let reader = Reader { object, calendar, window, is_recurring, rule };
    let mut found = Vec::new();
    for event in &expanded.events {
        let component = parsed.components.get(usize::try_from(event.comp_id).unwrap_or(usize::MAX));
        let Some(component) = component.filter(|component| is_event(component)) else { continue };
        found.extend(times(component, event, &window.zone).and_then(|times| reader.occurrence(component, times)));
    }
    // What begins in an hour that clocks skip or repeat is not expanded: its first time, by our own rule.
    for error in &expanded.errors {
        let component = parsed.components.get(usize::try_from(error.comp_id).unwrap_or(usize::MAX));
        let Some(component) = component.filter(|component| is_event(component)) else { continue };
        found.extend(first(component, &window.zone).and_then(|times| reader.occurrence(component, times)));
    }
    let note = is_cut.then(|| format!("{} recurs very often: only its first occurrences were looked at.", object.id));
    (found, note)
}

/// Whether the object has this occurrence.
pub(crate) fn has(object: &Object, name: &Stamp, text: &str) -> bool {
    let Some(window) = Window::around(name) else { return false };
    let Ok(parsed) = ICalendar::parse(&object.text) else { return false };
    let is_override = events(&parsed).any(|component| own(component).as_deref() == Some(text));
    is_override || read(object, "", &window).0.iter().any(|found| found.occurrence.as_deref() == Some(text))
}

/// The RECURRENCE-ID.
fn own(component: &ICalendarComponent) -> Option<String> {
    date_time(component, &ICalendarProperty::RecurrenceId).and_then(|(time, _)| basic(time))
}

/// What calcard makes of it.
type Expanded = CalendarEvent<chrono::DateTime<Tz>, TimeOrDelta<chrono::DateTime<Tz>, chrono::TimeDelta>>;

/// Makes rules cost no more than what they are asked for: they end with the window. What a rule that repeats more often than people
/// do would say is left out; then the answer is false. Anybody may send an event whose rule makes millions of times.
fn bound(calendar: &mut ICalendar, window: &Window) -> bool {
    let last = window.to.datetime().checked_add(2.days()).ok();
    let mut is_bounded = true;
    for event in calendar.components.iter_mut().filter(|component| is_event(component)) {
        let zone = date_time(event, &ICalendarProperty::Dtstart).and_then(|(_, tzid)| stamp::zone(tzid?));
        // An occurrence that was changed is another revision than its series; calcard would show it beside the one it replaces.
        event.entries.retain(|entry| entry.name != ICalendarProperty::Sequence);
        for entry in &mut event.entries {
            entry.values.retain_mut(|value| {
                let ICalendarValue::RecurrenceRule(rule) = value else { return true };
                let is_daily = !matches!(
                    rule.freq,
                    ICalendarFrequency::Hourly | ICalendarFrequency::Minutely | ICalendarFrequency::Secondly
                );
                let of_day = [&rule.byhour, &rule.byminute, &rule.bysecond].map(|list| list.len().max(1));
                if !is_daily || of_day.iter().product::<usize>() > TIMES_OF_DAY_MAX {
                    is_bounded = false;
                    return false;
                }
                rule.until = match &rule.until {
                    Some(until) => local(until, zone.as_ref()),
                    None if rule.count.is_none() => last.and_then(partial),
                    None => None,
                };
                true
            });
        }
    }
    is_bounded
}

fn partial(civil: DateTime) -> Option<PartialDateTime> {
    Some(PartialDateTime {
        year: u16::try_from(civil.year()).ok(),
        month: u8::try_from(civil.month()).ok(),
        day: u8::try_from(civil.day()).ok(),
        hour: u8::try_from(civil.hour()).ok(),
        minute: u8::try_from(civil.minute()).ok(),
        second: u8::try_from(civil.second()).ok(),
        ..PartialDateTime::default()
    })
}

/// An UNTIL as the clocks of the event's zone show it: calcard repeats by them, and compares without regard to zones. One that is a day is
/// its end.
fn local(until: &PartialDateTime, zone: Option<&TimeZone>) -> Option<PartialDateTime> {
    let stamp = Stamp::parse(None, &basic(until)?)?;
    partial(match (&stamp, zone) {
        (Stamp::Date(date), _) => date.to_datetime(Time::constant(23, 59, 59, 0)),
        (Stamp::Utc(_), Some(zone)) => stamp.begin(&TimeZone::UTC).ok()?.with_time_zone(zone.clone()).datetime(),
        _ => stamp.civil(),
    })
}

/// When one occurrence is, and its RECURRENCE-ID if its component has none.
struct Times {
    start: Zoned,
    end: Zoned,
    days: Option<(Date, Date)>,
    original: String,
}

struct Reader<'a> {
    object: &'a Object,
    calendar: &'a str,
    window: &'a Window,
    is_recurring: bool,
    rule: Option<String>,
}

impl Reader<'_> {
    fn occurrence(&self, component: &ICalendarComponent, times: Times) -> Option<Occurrence> {
        let Times { start, end, days, original } = times;
        let window = self.window;
        let is_inside = start < window.to && (end > window.from || start >= window.from);
        if !is_inside {
            return None;
        }
        let shown = |property| text(component, &property).map(|text| shorten(&text)).filter(|text| !text.is_empty());
        let status = component.status();
        Some(Occurrence {
            id: self.object.id.clone(),
            etag: self.object.etag.clone(),
            calendar: self.calendar.to_owned(),
            start,
            end,
            days,
            occurrence: self.is_recurring.then(|| own(component).unwrap_or(original)),
            recurrence: self.rule.clone(),
            title: shown(ICalendarProperty::Summary).unwrap_or_default(),
            location: shown(ICalendarProperty::Location),
            description: shown(ICalendarProperty::Description),
            is_tentative: status == Some(&ICalendarStatus::Tentative),
            is_cancelled: status == Some(&ICalendarStatus::Cancelled),
            is_transparent: component.transparency() == Some(&ICalendarTransparency::Transparent),
        })
    }
}

/// Zones recur too.
fn events(calendar: &ICalendar) -> impl Iterator<Item = &ICalendarComponent> {
    calendar.components.iter().filter(|component| is_event(component))
}

fn is_event(component: &ICalendarComponent) -> bool {
    component.component_type == ICalendarComponentType::VEvent
}

fn text(component: &ICalendarComponent, property: &ICalendarProperty) -> Option<String> {
    component.property(property)?.values.first()?.clone().into_text().map(std::borrow::Cow::into_owned)
}

fn shorten(text: &str) -> String {
    let mut short: String = text.trim().chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short
}

/// When an expanded occurrence is.
fn times(component: &ICalendarComponent, event: &Expanded, zone: &TimeZone) -> Option<Times> {
    let (begin, tzid) = date_time(component, &ICalendarProperty::Dtstart)
        .or_else(|| date_time(component, &ICalendarProperty::RecurrenceId))?;
    let civil_start = civil(&event.start)?;
    if !begin.has_time() {
        let first = civil_start.date();
        let days = match &event.end {
            TimeOrDelta::Time(end) => civil(end)?.date().since(first).ok()?.get_days(),
            TimeOrDelta::Delta(delta) => i32::try_from(delta.num_days()).ok()?,
        };
        return all_day(first, days, zone);
    }
    let start = point(&event.start, tzid, zone)?;
    let end = match &event.end {
        TimeOrDelta::Time(end) => {
            let tzid = date_time(component, &ICalendarProperty::Dtend).map_or(tzid, |(_, own)| own);
            point(end, tzid, zone)?
        }
        TimeOrDelta::Delta(delta) => start.checked_add(SignedDuration::from_secs(delta.num_seconds())).ok()?,
    };
    let suffix = if begin.tz_hour.is_some() { "Z" } else { "" };
    let original = format!("{}{suffix}", civil_start.strftime("%Y%m%dT%H%M%S"));
    Some(Times { end: end.max(start.clone()), start, days: None, original })
}

/// The first time of what could not be expanded.
fn first(component: &ICalendarComponent, zone: &TimeZone) -> Option<Times> {
    let read = |property| {
        let (partial, tzid) = date_time(component, property)?;
        let stamp = Stamp::parse(tzid, &basic(partial)?)?;
        Some((stamp.begin(zone).ok()?.with_time_zone(zone.clone()), stamp))
    };
    let (start, stamp) = read(&ICalendarProperty::Dtstart)?;
    if let Stamp::Date(date) = stamp {
        return all_day(date, 1, zone);
    }
    let end = read(&ICalendarProperty::Dtend).map_or(start.clone(), |(end, _)| end.max(start.clone()));
    Some(Times { start, end, days: None, original: stamp.value() })
}

fn all_day(first: Date, days: i32, zone: &TimeZone) -> Option<Times> {
    // An end that is not after the start is a mistake that some programs make: one day is meant.
    let days = days.max(1);
    let after = first.checked_add(days.days()).ok()?;
    let begin = |date: Date| date.to_zoned(zone.clone()).ok();
    let original = first.strftime("%Y%m%d").to_string();
    Some(Times { start: begin(first)?, end: begin(after)?, days: Some((first, after.yesterday().ok()?)), original })
}

fn date_time<'a>(
    component: &'a ICalendarComponent,
    property: &ICalendarProperty,
) -> Option<(&'a PartialDateTime, Option<&'a str>)> {
    let entry = component.property(property)?;
    match entry.values.first()? {
        ICalendarValue::PartialDateTime(time) => Some((time, entry.tz_id())),
        _ => None,
    }
}

/// What the clocks show.
fn civil(time: &chrono::DateTime<Tz>) -> Option<DateTime> {
    let seconds = time.naive_local().and_utc().timestamp();
    Some(TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?))
}

/// The point in time, in the person's zone. A time without a zone is meant where the person is.
fn point(time: &chrono::DateTime<Tz>, tzid: Option<&str>, zone: &TimeZone) -> Option<Zoned> {
    if !time.timezone().is_floating() {
        return Some(Timestamp::from_second(time.timestamp()).ok()?.to_zoned(zone.clone()));
    }
    let meant = tzid.and_then(stamp::zone).unwrap_or_else(|| zone.clone());
    Some(Moment::Civil(civil(time)?).in_zone(&meant).ok()?.with_time_zone(zone.clone()))
}

/// A date or time as iCalendar writes it (RFC 5545 sections 3.3.4 and 3.3.5).
fn basic(time: &PartialDateTime) -> Option<String> {
    let date = format!("{:04}{:02}{:02}", time.year?, time.month?, time.day?);
    let (Some(hour), Some(minute)) = (time.hour, time.minute) else { return Some(date) };
    let suffix = if time.tz_hour.is_some() { "Z" } else { "" };
    Some(format!("{date}T{hour:02}{minute:02}{:02}{suffix}", time.second.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn listed(lines: &str) -> (Vec<String>, Option<String>) {
        let text = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:1\nDTSTART;TZID=Europe/Berlin:20000103T023000\nDTEND;TZID=Europe/Berlin:20000103T024500\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n"
        );
        let object = Object { id: "/e.ics".into(), etag: None, text };
        let window = Window::new("2026-03-28", "2026-03-30", "Europe/Berlin").unwrap();
        let (found, note) = read(&object, "/", &window);
        (found.iter().map(|occurrence| occurrence.start.datetime().to_string()).collect(), note)
    }

    #[test]
    fn an_hour_that_the_clocks_skip_is_an_hour_later() {
        let expected = ["2026-03-28T02:30:00", "2026-03-29T03:30:00", "2026-03-30T02:30:00"];
        assert_eq!(listed("RRULE:FREQ=DAILY"), (expected.map(str::to_owned).to_vec(), None));
        let two = listed("RRULE:FREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20260328T023000");
        assert_eq!(two.0, expected.get(1..).unwrap());
    }

    #[test]
    fn a_rule_ends_at_the_last_moment_it_names() {
        for (until, last) in [
            // 02:30 in summer is 00:30 in UTC.
            ("20260330T003000Z", "2026-03-30T02:30:00"),
            ("20260330T002959Z", "2026-03-29T03:30:00"),
            ("20260330", "2026-03-30T02:30:00"),
            ("20260328T023000", "2026-03-28T02:30:00"),
        ] {
            let (found, _) = listed(&format!("RRULE:FREQ=DAILY;UNTIL={until}"));
            assert_eq!(found.last().map(String::as_str), Some(last), "{until}");
        }
    }

    #[test]
    fn a_changed_occurrence_replaces_its_own_whatever_its_revision() {
        for sequence in ["SEQUENCE:1\n", ""] {
            let (found, _) = listed(&format!(
                "RRULE:FREQ=DAILY\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\n{sequence}RECURRENCE-ID;TZID=Europe/Berlin:20260330T023000\n\
                 DTSTART;TZID=Europe/Berlin:20260330T120000\nDTEND;TZID=Europe/Berlin:20260330T130000"
            ));
            assert_eq!(found, ["2026-03-28T02:30:00", "2026-03-29T03:30:00", "2026-03-30T12:00:00"]);
        }
    }

    #[test]
    fn rules_that_repeat_without_measure_cost_nothing() {
        let begun = Instant::now();
        let all = |count: u32| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
        let every = format!("RRULE:FREQ=YEARLY;BYHOUR={};BYMINUTE={};BYSECOND={}", all(24), all(60), all(60));
        for rule in [
            "RRULE:FREQ=SECONDLY",
            "RRULE:FREQ=SECONDLY;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
            &every,
            "RRULE:FREQ=DAILY;COUNT=4000000000",
            "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "RRULE:FREQ=DAILY;INTERVAL=0",
            "RRULE:FREQ=MONTHLY;BYDAY=5MO;BYSETPOS=-366;UNTIL=99991231T235959Z",
        ] {
            let (found, _) = listed(rule);
            assert!(found.len() <= 3, "{rule}: {found:?}");
        }
        assert!(listed(&every).1.unwrap().contains("very often"));
        // Some hundred times what it takes.
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_is_broken_is_left_out() {
        for text in [
            "",
            "BEGIN:VCALENDAR",
            "no",
            &"BEGIN:VEVENT\n".repeat(50_000),
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:soon\nEND:VEVENT\nEND:VCALENDAR",
        ] {
            let object = Object { id: "/e.ics".into(), etag: None, text: text.to_owned() };
            let window = Window::new("2026-03-28", "2026-03-30", "UTC").unwrap();
            assert!(read(&object, "/", &window).0.is_empty());
        }
    }
}
