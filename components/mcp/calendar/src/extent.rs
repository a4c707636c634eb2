//! The start and length of an event, at its own start or at another (RFC 5545 sections 3.6.1 and 3.8.5.3). This module must not write.

use jiff::{SignedDuration, Span, ToSpan as _, Zoned, civil::Date, tz::TimeZone};

use crate::{document::Event, stamp::Stamp};

/// The time from the start to the first moment after the event.
#[derive(Clone, Debug)]
pub(crate) enum Length {
    /// Whole days.
    Days(i64),
    /// Elapsed time, from a DTEND.
    Exact(SignedDuration),
    /// Calendar days and then elapsed time, from a DURATION.
    Nominal(Span),
}

/// The times of one occurrence.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    pub(crate) start: Zoned,
    /// The first moment after the occurrence.
    pub(crate) end: Zoned,
    /// The first and last day of an all-day occurrence.
    pub(crate) days: Option<(Date, Date)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) start: Stamp,
    pub(crate) length: Length,
}

impl Extent {
    /// The extent of an event. `here` is the zone for times without one.
    pub(crate) fn of(event: &Event, here: &TimeZone) -> Option<Self> {
        let start = event.stamp("DTSTART")?;
        let end = event.stamp("DTEND");
        let duration = event.value("DURATION").and_then(|text| duration(&text));
        let length = match (&start, end, duration) {
            (Stamp::Date(first), Some(end), _) => Length::Days(days_to(*first, &end)),
            (Stamp::Date(_), None, Some(duration)) => Length::Days(whole_days(duration)),
            (Stamp::Date(_), None, None) => Length::Days(1),
            (_, Some(end), _) => {
                // A date, or a time without a zone, is in the start's zone.
                let own = start.zone().unwrap_or_else(|| here.clone());
                let is_bare = matches!(end, Stamp::Date(_) | Stamp::Floating(_));
                let end = end.begin(if is_bare { &own } else { here }).ok()?;
                Length::Exact(end.timestamp().duration_since(start.begin(here).ok()?.timestamp()))
            }
            (_, None, Some(duration)) => Length::Nominal(duration),
            (_, None, None) => Length::Exact(SignedDuration::ZERO),
        };
        Some(Self { start, length })
    }

    /// The times at another start, in the person's zone.
    pub(crate) fn at(&self, start: &Stamp, here: &TimeZone) -> Option<Times> {
        self.length.at(start, here)
    }
}

impl Length {
    /// The length of a period in an RDATE.
    pub(crate) fn until(start: &Stamp, end: &Stamp, here: &TimeZone) -> Option<Self> {
        Some(Self::Exact(end.begin(here).ok()?.timestamp().duration_since(start.begin(here).ok()?.timestamp())))
    }

    /// The times at a start. An end before the start, which some programs write, means no length; for dates, one day.
    pub(crate) fn at(&self, start: &Stamp, here: &TimeZone) -> Option<Times> {
        if let Stamp::Date(first) = start {
            let days = match self {
                Self::Days(days) => *days,
                Self::Exact(length) => whole_days(Span::try_from(*length).ok()?),
                Self::Nominal(span) => whole_days(*span),
            };
            let after = first.checked_add(days.max(1).days()).ok()?;
            let begin = |date: Date| date.to_zoned(here.clone()).ok();
            return Some(Times {
                start: begin(*first)?,
                end: begin(after)?,
                days: Some((*first, after.yesterday().ok()?)),
            });
        }
        let begin = start.begin(here).ok()?;
        let end = match self {
            Self::Days(days) => begin.checked_add(days.days()),
            Self::Exact(length) => begin.checked_add(*length),
            Self::Nominal(span) => begin.checked_add(*span),
        };
        let end = end.unwrap_or_else(|_| begin.clone()).max(begin.clone());
        let shown = |zoned: Zoned| zoned.with_time_zone(here.clone());
        Some(Times { start: shown(begin), end: shown(end), days: None })
    }
}

/// Parses a duration: `PT1H30M`, `P2W`, `-P1D` (RFC 5545 section 3.3.6).
pub(crate) fn duration(text: &str) -> Option<Span> {
    let text = text.trim();
    let is_known = text.trim_start_matches(['+', '-']).starts_with(['P', 'p']);
    let span: Span = text.trim_start_matches('+').parse().ok().filter(|_| is_known)?;
    // Years and months are not allowed.
    (span.get_years() == 0 && span.get_months() == 0).then_some(span)
}

fn days_to(first: Date, end: &Stamp) -> i64 {
    let civil = end.civil();
    // An end within a day includes this day.
    let is_within = civil.time() != jiff::civil::Time::midnight();
    i64::from(first.until(civil.date()).map_or(0, |span| span.get_days())) + i64::from(is_within)
}

/// The days of a span, rounded up.
fn whole_days(span: Span) -> i64 {
    let hours = i64::from(span.get_hours());
    let rest = hours * 3_600 + span.get_minutes() * 60 + span.get_seconds();
    i64::from(span.get_weeks()) * 7
        + i64::from(span.get_days())
        + rest.div_euclid(86_400)
        + i64::from(rest.rem_euclid(86_400) > 0)
}
