//! The zone of a TZID: a known zone, or one that the object defines (VTIMEZONE, RFC 5545 section 3.6.5). It is never guessed: any other zone stays
//! unknown, and the reader reports that.

use std::{cell::OnceCell, ops::RangeInclusive, str::FromStr as _};

use jiff::{
    SignedDuration,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::{
    line::Line,
    repeat::{self, Budget},
    rule::Rule,
    stamp::Stamp,
};

/// The most zones of one object, and changes of offset in one zone. A calendar program does not write more.
const DEFINITIONS_MAX: usize = 10;
const OBSERVANCES_MAX: usize = 100;

/// The most rules of one such change. Each is evaluated for a few years.
const RULES_MAX: usize = 4;

/// The most offsets of one zone: in a zone's file, an index is one byte.
const OFFSETS_MAX: usize = 200;

/// For changes of events: all years of typical calendars.
pub(crate) const ALL_YEARS: RangeInclusive<i16> = 1970..=2100;

/// A zone, by its name in the object.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Zone {
    pub(crate) name: String,
    /// The zone's rules; `None` if the zone is unknown.
    pub(crate) rules: Option<TimeZone>,
}

/// The zones that an object defines.
#[derive(Debug)]
pub(crate) struct Zones {
    definitions: Vec<Definition>,
    years: RangeInclusive<i16>,
}

#[derive(Debug, Default)]
struct Definition {
    name: String,
    observances: Vec<Observance>,
    zone: OnceCell<Option<TimeZone>>,
}

/// A STANDARD or DAYLIGHT part: an offset, and since when it is valid, in seconds east.
#[derive(Debug, Default)]
struct Observance {
    start: Option<DateTime>,
    from: Option<i32>,
    to: Option<i32>,
    rules: Vec<Rule>,
    dates: Vec<DateTime>,
}

impl Zones {
    /// Reads the definitions. Changes of offset are computed for these years.
    pub(crate) fn read<'a>(lines: impl Iterator<Item = &'a Line>, years: RangeInclusive<i16>) -> Self {
        let mut definitions: Vec<Definition> = Vec::new();
        let mut is_inside = false;
        for line in lines {
            if line.is("BEGIN", "VTIMEZONE") {
                is_inside = definitions.len() < DEFINITIONS_MAX;
                definitions.extend(is_inside.then(Definition::default));
            } else if line.is("END", "VTIMEZONE") {
                is_inside = false;
            } else if let Some(definition) = definitions.last_mut().filter(|_| is_inside) {
                definition.take(line);
            }
        }
        Self { definitions, years }
    }

    /// The zone of a TZID. Names of places are IANA's zones, because programs often write incomplete definitions for them. For other names, the
    /// object's definition comes first: `EST` and `GMT` are IANA names too, but mean more in an object that defines them.
    pub(crate) fn zone(&self, tzid: &str) -> Zone {
        let rules = if tzid.contains('/') {
            registered(tzid).or_else(|| self.defined(tzid))
        } else {
            self.defined(tzid).or_else(|| registered(tzid))
        };
        Zone { name: tzid.to_owned(), rules: rules.or_else(|| usual(tzid)).or_else(|| fixed(tzid)) }
    }

    fn defined(&self, tzid: &str) -> Option<TimeZone> {
        let definition = self.definitions.iter().find(|definition| definition.name == tzid);
        let definition = definition
            .or_else(|| self.definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(tzid)))?;
        definition.zone.get_or_init(|| definition.build(&self.years)).clone()
    }
}

/// A zone by its IANA name, also after the name of a registry: `/freeassociation.sourceforge.net/Europe/Berlin`.
fn registered(tzid: &str) -> Option<TimeZone> {
    let known =
        |name: &str| TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some_and(|name| name != "Etc/Unknown"));
    if let Some(zone) = known(tzid) {
        return Some(zone);
    }
    let mut rest = tzid.strip_prefix('/')?;
    loop {
        if let Some(zone) = known(rest) {
            return Some(zone);
        }
        rest = rest.split_once('/')?.1;
    }
}

/// A zone by a name of Windows or another program.
fn usual(tzid: &str) -> Option<TimeZone> {
    let name = calcard::common::timezone::Tz::from_str(tzid).ok()?.name()?.into_owned();
    TimeZone::get(&name).ok()
}

impl Definition {
    fn take(&mut self, line: &Line) {
        let value = line.value();
        if line.is("BEGIN", "STANDARD") || line.is("BEGIN", "DAYLIGHT") {
            if self.observances.len() < OBSERVANCES_MAX {
                self.observances.push(Observance::default());
            }
            return;
        }
        let local = |text: &str| Stamp::parse(None, text).map(|stamp| stamp.civil());
        match (line.name(), self.observances.last_mut()) {
            ("TZID", _) => self.name = line.text().trim().to_owned(),
            ("DTSTART", Some(observance)) => observance.start = local(&value),
            ("TZOFFSETFROM", Some(observance)) => observance.from = offset(&value),
            ("TZOFFSETTO", Some(observance)) => observance.to = offset(&value),
            ("RRULE", Some(observance)) if observance.rules.len() < RULES_MAX => {
                observance.rules.extend(Rule::parse(&value));
            }
            ("RDATE", Some(observance)) => observance.dates.extend(value.split(',').filter_map(local)),
            _ => {}
        }
    }

    fn build(&self, years: &RangeInclusive<i16>) -> Option<TimeZone> {
        let mut first: Option<(DateTime, i32)> = None;
        let mut changes: Vec<(i64, i32)> = Vec::new();
        for observance in &self.observances {
            let (start, from, to) = (observance.start?, observance.from?, observance.to?);
            if first.is_none_or(|(earliest, _)| start < earliest) {
                first = Some((start, from));
            }
            let point = |civil: DateTime| Some((seconds(civil)? - i64::from(from), to));
            changes.extend(observance.onsets(start, from, years)?.into_iter().filter_map(point));
        }
        changes.sort_unstable();
        changes.dedup_by_key(|(point, _)| *point);
        file(&self.name, first?.1, &changes)
    }
}

impl Observance {
    /// The times at which this offset begins, as clocks show them before the change. `None` if there are more than a zone has.
    fn onsets(&self, start: DateTime, from: i32, years: &RangeInclusive<i16>) -> Option<Vec<DateTime>> {
        let mut onsets = vec![start];
        onsets.extend(&self.dates);
        for rule in &self.rules {
            // UNTIL is a point in time. The last change before it stays valid, however long ago.
            let until = rule.until.as_ref().and_then(|until| match until {
                Stamp::Utc(civil) => civil.checked_add(SignedDuration::from_secs(from.into())).ok(),
                Stamp::Date(date) => date.tomorrow().ok().map(Date::into),
                other => Some(other.civil()),
            });
            let last_year = until.map_or(*years.end(), |until| until.year().min(*years.end()));
            let first_year = last_year.min(*years.start()).saturating_sub(1).max(1);
            let (Ok(begin), Ok(end)) = (Date::new(first_year, 1, 1), Date::new(last_year, 12, 31)) else { continue };
            let end = end.to_datetime(jiff::civil::Time::MAX);
            let end = until.map_or(end, |until| until.min(end));
            let found = repeat::times(rule, start, begin.into(), end, &Budget::new(0));
            if found.is_cut {
                return None;
            }
            onsets.extend(found.times);
        }
        Some(onsets)
    }
}

/// Parses an offset: `+0100`, `-033012`, and variants such as `+01:00` or `+1`.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => (1, text),
    };
    let mut digits = digits.replace(':', "");
    if matches!(digits.len(), 1 | 2) {
        digits = format!("{digits:0>2}00");
    }
    let is_known = matches!(digits.len(), 4 | 6) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: i32 = digits.parse().ok().filter(|_| is_known)?;
    let (hours, minutes, seconds) = if digits.len() == 4 {
        (number / 100, number % 100, 0)
    } else {
        (number / 10_000, number / 100 % 100, number % 100)
    };
    let is_possible = hours <= 23 && minutes <= 59 && seconds <= 59;
    is_possible.then_some(sign * (hours * 3_600 + minutes * 60 + seconds))
}

fn seconds(civil: DateTime) -> Option<i64> {
    Some(TimeZone::UTC.to_timestamp(civil).ok()?.as_second())
}

/// A zone whose name is an offset: `UTC+02:00`, `GMT-5`, `+05:30`; and names of UTC.
fn fixed(tzid: &str) -> Option<TimeZone> {
    let name = tzid.trim().to_ascii_uppercase();
    if matches!(name.as_str(), "Z" | "TZONE://MICROSOFT/UTC") {
        return Some(TimeZone::UTC);
    }
    let written = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).unwrap_or(&name).trim();
    let seconds = offset(written).filter(|_| written.starts_with(['+', '-']))?;
    Some(TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?))
}

/// A zone as a file of the time zone database (TZif, RFC 9636), because `jiff` accepts custom rules only in this form. `changes` are sorted points in
/// time, each with the offset from then on.
fn file(name: &str, first: i32, changes: &[(i64, i32)]) -> Option<TimeZone> {
    let mut offsets = vec![first];
    for (_, offset) in changes {
        if !offsets.contains(offset) {
            offsets.push(*offset);
        }
    }
    if offsets.len() > OFFSETS_MAX {
        return None;
    }
    let abbreviation = b"LMT\0";
    let header = |times: usize, types: usize| {
        let mut header = b"TZif2".to_vec();
        header.resize(20, 0);
        for count in [0, 0, 0, times, types, abbreviation.len()] {
            header.extend(u32::try_from(count).unwrap_or_default().to_be_bytes());
        }
        header
    };
    let kind = |offset: &i32| {
        let mut kind = offset.to_be_bytes().to_vec();
        kind.extend([0, 0]);
        kind
    };
    // The first part is for readers of 32-bit times. It is skipped.
    let mut bytes = header(0, 1);
    bytes.extend(kind(&first));
    bytes.extend(abbreviation);
    bytes.extend(header(changes.len(), offsets.len()));
    bytes.extend(changes.iter().flat_map(|(point, _)| point.to_be_bytes()));
    let place = |offset: &i32| offsets.iter().position(|known| known == offset);
    bytes.extend(changes.iter().filter_map(|(_, offset)| u8::try_from(place(offset)?).ok()));
    bytes.extend(offsets.iter().flat_map(kind));
    bytes.extend(abbreviation);
    bytes.extend(b"\n\n");
    TimeZone::tzif(name, &bytes).ok()
}
