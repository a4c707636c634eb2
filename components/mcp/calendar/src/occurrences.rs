//! The occurrences of iCalendar objects in a window, for people to read. This module must not write iCalendar.

use std::ops::RangeInclusive;

use jiff::{Zoned, civil::Date};

use crate::{
    dav::Object,
    document::{Document, Event},
    line,
    repeat::Budget,
    rule::Fault,
    series::{Doubt, Instance, Series},
    window::{EVENTS_MAX, Window},
};

/// Longer texts are cut: whole agendas are not for lists.
const SHOWN_CHARS_MAX: usize = 1_000;

/// The longest title in a note.
const TITLE_CHARS_MAX: usize = 60;

/// Components that are not events.
const OTHERS: [&str; 4] = ["VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"];

/// One occurrence of an event.
#[derive(Clone, Debug)]
pub(crate) struct Occurrence {
    pub(crate) id: String,
    pub(crate) etag: Option<String>,
    pub(crate) calendar: String,
    pub(crate) start: Zoned,
    /// The first moment after the occurrence.
    pub(crate) end: Zoned,
    /// The first and last day of an all-day occurrence.
    pub(crate) days: Option<(Date, Date)>,
    /// The RECURRENCE-ID, if the event recurs.
    pub(crate) occurrence: Option<String>,
    /// The RRULE, if the event recurs.
    pub(crate) recurrence: Option<String>,
    pub(crate) title: String,
    pub(crate) location: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) is_tentative: bool,
    pub(crate) is_cancelled: bool,
    /// Whether the person is free during the occurrence.
    pub(crate) is_transparent: bool,
}

/// The occurrences of an object in the window, and notes about missing ones.
pub(crate) fn read(
    object: &Object,
    calendar: &str,
    window: &Window,
    budget: &Budget,
) -> (Vec<Occurrence>, Vec<String>) {
    let Ok(document) = Document::parse(&object.text, years(window)) else {
        // Some servers also return tasks when only events were requested.
        let is_other = OTHERS.iter().any(|other| line::lines(&object.text).iter().any(|line| line.is("BEGIN", other)));
        let note = || format!("{} is not understood and left out.", object.id);
        return (Vec::new(), if is_other { Vec::new() } else { vec![note()] });
    };
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for series in Series::all(&document, &window.zone) {
        let (instances, doubts) = series.instances(&window.from, &window.to, budget);
        let master = series.master.map(|(_, event)| event);
        let is_recurring = series.is_recurring();
        let rule = master.and_then(|event| event.value("RRULE"));
        let mut of_window: Vec<_> = instances.into_iter().filter(|instance| is_inside(instance, window)).collect();
        of_window.sort_by(|one, other| one.times.start.cmp(&other.times.start));
        // One more than the limit shows that there are more.
        found.extend(of_window.into_iter().take(EVENTS_MAX + 1).map(|instance| {
            let original = is_recurring.then(|| instance.original.value());
            Occurrence { occurrence: original, recurrence: rule.clone(), ..occurrence(instance, object, calendar) }
        }));
        let title =
            master.or(series.changed.first().map(|changed| changed.event)).and_then(|event| event.text("SUMMARY"));
        for doubt in doubts {
            let note = note(doubt, title.as_deref(), &object.id);
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    (found, notes)
}

fn years(window: &Window) -> RangeInclusive<i16> {
    window.from.year().saturating_sub(1)..=window.to.year().saturating_add(1).min(9_999)
}

fn is_inside(instance: &Instance<'_>, window: &Window) -> bool {
    let times = &instance.times;
    times.start < window.to && (times.end > window.from || times.start >= window.from)
}

fn occurrence(instance: Instance<'_>, object: &Object, calendar: &str) -> Occurrence {
    let Instance { event, times, .. } = instance;
    let shown = |name| text(event, name).filter(|text| !text.is_empty());
    let is = |name, value: &str| event.value(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    Occurrence {
        id: object.id.clone(),
        etag: object.etag.clone(),
        calendar: calendar.to_owned(),
        start: times.start,
        end: times.end,
        days: times.days,
        occurrence: None,
        recurrence: None,
        title: shown("SUMMARY").unwrap_or_default(),
        location: shown("LOCATION"),
        description: shown("DESCRIPTION"),
        is_tentative: is("STATUS", "TENTATIVE"),
        is_cancelled: is("STATUS", "CANCELLED"),
        is_transparent: is("TRANSP", "TRANSPARENT")
            || (!event.has("TRANSP") && is("X-MICROSOFT-CDO-BUSYSTATUS", "FREE")),
    }
}

fn text(event: &Event, name: &str) -> Option<String> {
    event.text(name).map(|text| shorten(&text, SHOWN_CHARS_MAX))
}

fn shorten(text: &str, chars: usize) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(chars).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn note(doubt: Doubt, title: Option<&str>, id: &str) -> String {
    let what = match title.map(|title| shorten(title, TITLE_CHARS_MAX)).filter(|title| !title.is_empty()) {
        Some(title) => format!("\"{title}\" ({id})"),
        None => id.to_owned(),
    };
    match doubt {
        Doubt::Times => format!("{what} has times that are not understood. They are left out."),
        Doubt::Zone => {
            format!("{what} names a time zone that is not known. Its times are read as times of the person's own zone.")
        }
        Doubt::Rule(Fault::Unknown) => {
            format!("{what} recurs by a rule that is not understood. Only its explicitly listed times are shown.")
        }
        Doubt::Rule(Fault::Dense) => {
            format!("{what} recurs very often, more than once an hour. Only its explicitly listed times are shown.")
        }
        Doubt::Cut => format!("{what} recurs very often. Some of its times are not listed."),
    }
}
