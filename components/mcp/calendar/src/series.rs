//! An event with its repetitions, exceptions and changes (RFC 5545 section 3.8.5), and the occurrences that result. This module must not write.

use std::collections::BTreeMap;

use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::{
    document::{Document, Event, Value},
    extent::{self, Extent, Length, Times},
    repeat::{self, Budget},
    rule::{Fault, Rule},
    stamp::Stamp,
};

/// A time without a zone may be half a day off, and a time that the clocks skip moves by an hour.
const MARGIN: SignedDuration = SignedDuration::from_hours(48);

/// The most changes of "this and all following" in one series; nobody makes more.
const RANGES_MAX: usize = 100;

/// The most rules of one event. There should be one (RFC 5545 section 3.8.5.3); old programs write a few.
const RULES_MAX: usize = 8;

/// What could not be evaluated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    Times,
    Zone,
    Rule(Fault),
    Cut,
}

/// Everything in an object about one event.
pub(crate) struct Series<'a> {
    here: &'a TimeZone,
    /// The event itself and its index. An invitation to one occurrence of a series has none.
    pub(crate) master: Option<(usize, &'a Event)>,
    extent: Option<Extent>,
    /// Occurrences that were changed, by the time in the series that they replace.
    pub(crate) changed: Vec<Changed<'a>>,
    names: Named<usize>,
    /// The indices of the changes, by their original times.
    places: BTreeMap<String, usize>,
    /// Whether there is a change that is not understood.
    has_unknown_change: bool,
}

/// An occurrence of a series that was changed (RECURRENCE-ID).
pub(crate) struct Changed<'a> {
    /// Indices in the object. If the occurrence was changed several times, the valid change comes last.
    pub(crate) indices: Vec<usize>,
    pub(crate) event: &'a Event,
    /// The original time, in the form of the series' start.
    pub(crate) original: Stamp,
    /// Whether the change is also for all following occurrences.
    pub(crate) is_range: bool,
}

/// One occurrence.
pub(crate) struct Instance<'a> {
    /// The time in the series, before any change.
    pub(crate) original: Stamp,
    /// The event with its contents.
    pub(crate) event: &'a Event,
    pub(crate) times: Times,
}

/// Values for times of a series: by point in time, or by date.
struct Named<V> {
    points: BTreeMap<Timestamp, V>,
    days: BTreeMap<Date, V>,
}

impl<'a> Series<'a> {
    /// The events of an object, grouped by UID.
    pub(crate) fn all(document: &'a Document, here: &'a TimeZone) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut places: BTreeMap<Option<String>, usize> = BTreeMap::new();
        let events = || document.events().enumerate();
        for (index, event) in events().filter(|(_, event)| !event.has("RECURRENCE-ID")) {
            places.entry(event.value("UID")).or_insert(all.len());
            all.push(Self::new(Some((index, event)), here));
        }
        for (index, event) in events().filter(|(_, event)| event.has("RECURRENCE-ID")) {
            let place = *places.entry(event.value("UID")).or_insert_with(|| {
                all.push(Self::new(None, here));
                all.len() - 1
            });
            if let Some(series) = all.get_mut(place) {
                series.change(index, event);
            }
        }
        all
    }

    fn new(master: Option<(usize, &'a Event)>, here: &'a TimeZone) -> Self {
        let extent = master.and_then(|(_, event)| Extent::of(event, here));
        Self {
            here,
            master,
            extent,
            changed: Vec::new(),
            names: Named::default(),
            places: BTreeMap::new(),
            has_unknown_change: false,
        }
    }

    /// Adds a change. If an occurrence was changed several times, the newest change counts.
    fn change(&mut self, index: usize, event: &'a Event) {
        let Some(written) = event.stamp("RECURRENCE-ID") else {
            self.has_unknown_change = true;
            return;
        };
        let original = self.original(&written);
        let range = event.parameter("RECURRENCE-ID", "RANGE");
        let is_range = range.is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"));
        let changed = Changed { indices: vec![index], event, original, is_range };
        let place = *self.places.entry(changed.original.line("")).or_insert(self.changed.len());
        let known = self.changed.get_mut(place);
        let revision = |event: &Event| {
            let sequence = event.value("SEQUENCE").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            (sequence, event.value("DTSTAMP"))
        };
        match known {
            Some(known) if revision(known.event) > revision(event) => known.indices.insert(0, index),
            Some(known) => {
                let mut indices = std::mem::take(&mut known.indices);
                indices.push(index);
                *known = Changed { indices, ..changed };
            }
            None => {
                self.names.add(
                    &written,
                    self.extent.as_ref().map(|extent| &extent.start),
                    self.here,
                    self.changed.len(),
                );
                self.changed.push(changed);
            }
        }
    }

    /// A time of the series in the form of its start. In a series of times, a date means the time of the start on that date. In a series of dates, a
    /// time means its date.
    fn original(&self, written: &Stamp) -> Stamp {
        let Some(start) = self.extent.as_ref().map(|extent| &extent.start) else { return written.clone() };
        match (start, written) {
            (Stamp::Date(_), _) => Stamp::Date(day_of(written, self.here)),
            (_, Stamp::Date(date)) => start.with(date.to_datetime(start.civil().time())),
            (_, Stamp::Floating(civil)) => start.with(*civil),
            _ => {
                let zone = start.zone().unwrap_or_else(|| self.here.clone());
                let civil = written.begin(self.here).map(|begin| begin.with_time_zone(zone).datetime());
                civil.map_or_else(|_| written.clone(), |civil| start.with(civil))
            }
        }
    }

    /// Whether the event has several occurrences, or is one of several.
    pub(crate) fn is_recurring(&self) -> bool {
        let repeats = |(_, event): (usize, &Event)| event.has("RRULE") || event.has("RDATE");
        !self.changed.is_empty() || self.master.is_some_and(repeats)
    }

    /// The change of an occurrence, if there is one.
    pub(crate) fn changed_at(&self, original: &Stamp) -> Option<&Changed<'a>> {
        self.names.find(original, self.here).and_then(|index| self.changed.get(*index))
    }

    /// The occurrence with this name: its original time and its times.
    pub(crate) fn find(&self, name: &str) -> Option<(Stamp, Times)> {
        let changed = self.changed.iter().find(|changed| changed.original.value() == name);
        let written = match changed {
            Some(changed) => changed.original.clone(),
            None => Stamp::parse(None, name)?,
        };
        let meant = written.begin(self.here).ok()?;
        let (instances, _) = self.instances(&meant, &meant, &Budget::default());
        let found = instances.into_iter().find(|instance| instance.original.value() == name)?;
        Some((found.original, found.times))
    }

    /// All occurrences that may overlap a stretch of time, and what could not be evaluated. Some may be outside.
    pub(crate) fn instances(&self, from: &Zoned, to: &Zoned, budget: &Budget) -> (Vec<Instance<'a>>, Vec<Doubt>) {
        let mut doubts = Vec::new();
        doubts.extend(self.has_unknown_change.then_some(Doubt::Times));
        let mut instances = Vec::new();
        if let (Some((_, event)), Some(extent)) = (self.master, &self.extent) {
            let ranges = self.ranges();
            for (original, length) in self.originals(event, extent, (from, to), &ranges, budget, &mut doubts) {
                let is_changed = self.names.find(&original, self.here).is_some();
                if !is_changed {
                    instances.extend(self.instance(original, length.as_ref(), event, extent, &ranges));
                }
            }
        } else if self.master.is_some() {
            doubts.push(Doubt::Times);
        }
        for changed in &self.changed {
            let own = Extent::of(changed.event, self.here);
            let times = match (&own, &self.extent) {
                (Some(own), _) => own.at(&own.start, self.here),
                // A change without DTSTART keeps its time in the series.
                (None, Some(extent)) if !changed.event.has("DTSTART") => extent.at(&changed.original, self.here),
                (None, _) => None,
            };
            match times {
                Some(times) => {
                    instances.push(Instance { original: changed.original.clone(), event: changed.event, times });
                }
                None => doubts.push(Doubt::Times),
            }
        }
        let starts = self.extent.iter().map(|extent| extent.start.clone());
        let starts = starts.chain(self.changed.iter().filter_map(|changed| changed.event.stamp("DTSTART")));
        if starts.into_iter().any(|start| matches!(&start, Stamp::Zoned(zone, _) if zone.rules.is_none())) {
            doubts.push(Doubt::Zone);
        }
        (instances, doubts)
    }

    /// The changes of "this and all following", sorted: from which time on, by how much, and the change.
    fn ranges(&self) -> Vec<(DateTime, SignedDuration, &Changed<'a>)> {
        let range = |changed: &'_ &Changed<'a>| changed.is_range;
        let shift = |changed: &Changed<'a>| {
            let start = changed.event.stamp("DTSTART")?;
            Some(changed.original.civil().duration_until(start.civil()))
        };
        let mut ranges: Vec<_> = self
            .changed
            .iter()
            .filter(range)
            .take(RANGES_MAX)
            .map(|changed| (changed.original.civil(), shift(changed).unwrap_or_default(), changed))
            .collect();
        ranges.sort_by_key(|(from, _, _)| *from);
        ranges
    }

    /// An occurrence that was not changed itself, but possibly with all following ones.
    fn instance(
        &self,
        original: Stamp,
        length: Option<&Length>,
        event: &'a Event,
        extent: &Extent,
        ranges: &[(DateTime, SignedDuration, &Changed<'a>)],
    ) -> Option<Instance<'a>> {
        let range = ranges.iter().rev().find(|(from, _, _)| *from <= original.civil());
        let Some((_, shift, changed)) = range else {
            let times = length.unwrap_or(&extent.length).at(&original, self.here)?;
            return Some(Instance { original, event, times });
        };
        let own = Extent::of(changed.event, self.here);
        let form = own.as_ref().map_or(&original, |own| &own.start);
        let start = form.with(original.civil().checked_add(*shift).ok()?);
        let times = own.as_ref().unwrap_or(extent).at(&start, self.here)?;
        Some(Instance { original, event: changed.event, times })
    }

    /// The times that rules and dates produce, without exceptions, each with its own length if it has one.
    fn originals(
        &self,
        event: &Event,
        extent: &Extent,
        (from, to): (&Zoned, &Zoned),
        ranges: &[(DateTime, SignedDuration, &Changed<'a>)],
        budget: &Budget,
        doubts: &mut Vec<Doubt>,
    ) -> Vec<(Stamp, Option<Length>)> {
        let start = &extent.start;
        let zone = start.zone().unwrap_or_else(|| self.here.clone());
        let reach = extent.at(start, self.here).map(|times| times.end.duration_since(&times.start)).unwrap_or_default();
        let shift = ranges.iter().map(|(_, shift, changed)| {
            let length = Extent::of(changed.event, self.here).and_then(|own| own.at(&own.start, self.here));
            shift.abs() + length.map(|times| times.end.duration_since(&times.start)).unwrap_or_default()
        });
        let margin = MARGIN + reach + shift.max().unwrap_or_default();
        let first = from.with_time_zone(zone.clone()).datetime().checked_sub(margin).unwrap_or(DateTime::MIN);
        let last = to.with_time_zone(zone.clone()).datetime().checked_add(margin).unwrap_or(DateTime::MAX);

        let named = |name: &str, doubts: &mut Vec<Doubt>| {
            let mut times = Vec::new();
            let texts = event.rules(name);
            doubts.extend((texts.len() > RULES_MAX).then_some(Doubt::Cut));
            for text in texts.iter().take(RULES_MAX) {
                match Rule::parse(text).and_then(|rule| self.of_days(rule)) {
                    Ok(rule) => {
                        let until = rule.until.as_ref().and_then(|until| until_of(until, start, &zone, self.here));
                        let last = until.map_or(last, |until| until.min(last));
                        let found = repeat::times(&rule, start.civil(), first, last, budget);
                        times.extend(found.times);
                        doubts.extend(found.is_cut.then_some(Doubt::Cut));
                    }
                    Err(fault) => doubts.push(Doubt::Rule(fault)),
                }
            }
            times
        };
        let repeated = named("RRULE", doubts);
        let mut originals: Vec<_> =
            [start.civil()].into_iter().chain(repeated).map(|civil| (start.with(civil), None)).collect();
        for value in event.values("RDATE") {
            match self.date(&value) {
                Some(date) => originals.push(date),
                None => doubts.push(Doubt::Times),
            }
        }
        let mut excluded = Named::default();
        for value in event.values("EXDATE") {
            match value.stamp(&value.text) {
                Some(stamp) => excluded.add(&stamp, Some(start), self.here, ()),
                None => doubts.push(Doubt::Times),
            }
        }
        for civil in named("EXRULE", doubts) {
            excluded.add(&start.with(civil), Some(start), self.here, ());
        }
        let mut seen = Named::default();
        originals.retain(|(original, _)| {
            let is_new = seen.find(original, self.here).is_none() && excluded.find(original, self.here).is_none();
            seen.add(original, Some(start), self.here, ());
            is_new
        });
        originals
    }

    /// The rule, without times of the day if this is a series of dates.
    fn of_days(&self, mut rule: Rule) -> Result<Rule, Fault> {
        if self.extent.as_ref().is_some_and(|extent| extent.start.is_date()) {
            if rule.frequency == crate::rule::Frequency::Hourly {
                return Err(Fault::Unknown);
            }
            (rule.hours, rule.minutes, rule.seconds) = (Vec::new(), Vec::new(), Vec::new());
        }
        Ok(rule)
    }

    /// A value of an RDATE: a time, a date, or a period with its own length.
    fn date(&self, value: &Value) -> Option<(Stamp, Option<Length>)> {
        let (begin, end) =
            value.text.split_once('/').map_or((value.text.as_str(), None), |(begin, end)| (begin, Some(end)));
        let begin = value.stamp(begin)?;
        let length = match end {
            None => None,
            Some(end) => Some(match extent::duration(end) {
                Some(span) => Length::Nominal(span),
                None => Length::until(&begin, &value.stamp(end)?, self.here)?,
            }),
        };
        Some((self.original(&begin), length))
    }
}

/// The last time of a rule, as the event's clocks show it. A date includes its whole day.
pub(crate) fn until_of(until: &Stamp, start: &Stamp, zone: &TimeZone, here: &TimeZone) -> Option<DateTime> {
    Some(match (until, start) {
        (Stamp::Date(date), _) => date.to_datetime(Time::constant(23, 59, 59, 0)),
        (_, Stamp::Date(_)) => until.civil(),
        (Stamp::Utc(_), _) => until.begin(here).ok()?.with_time_zone(zone.clone()).datetime(),
        _ => until.civil(),
    })
}

/// The date that is meant in a series of dates: midnight in any zone means the written date; another time means its date here.
fn day_of(written: &Stamp, here: &TimeZone) -> Date {
    let civil = written.civil();
    let shown = written.begin(here).map(|begin| begin.with_time_zone(here.clone()).datetime());
    match (written, shown) {
        (Stamp::Utc(_) | Stamp::Zoned(..), Ok(shown)) if civil.time() != Time::midnight() => shown.date(),
        _ => civil.date(),
    }
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { points: BTreeMap::new(), days: BTreeMap::new() }
    }
}

impl<V> Named<V> {
    /// Adds a value for a written time. `start` is the start of the series.
    fn add(&mut self, written: &Stamp, start: Option<&Stamp>, here: &TimeZone, value: V) {
        match (start, written) {
            (_, Stamp::Date(date)) => drop(self.days.insert(*date, value)),
            (Some(Stamp::Date(_)), _) => drop(self.days.insert(day_of(written, here), value)),
            // A time without a zone is in the series' zone.
            (Some(start), Stamp::Floating(civil)) => self.point(&start.with(*civil), here, value),
            _ => self.point(written, here, value),
        }
    }

    fn point(&mut self, stamp: &Stamp, here: &TimeZone, value: V) {
        if let Ok(begin) = stamp.begin(here) {
            self.points.insert(begin.timestamp(), value);
        }
    }

    fn find(&self, original: &Stamp, here: &TimeZone) -> Option<&V> {
        if !self.days.is_empty()
            && let Some(value) = self.days.get(&original.civil().date())
        {
            return Some(value);
        }
        let point = || Some(original.begin(here).ok()?.timestamp());
        self.points.get(&(!self.points.is_empty()).then(point)??)
    }
}
