//! An iCalendar object as lines. Some lines can be changed; all others stay byte for byte as they were. This module knows only which line belongs to
//! which event.

use std::{ops::RangeInclusive, rc::Rc};

use calcard::icalendar::{ICalendar, ICalendarEntry, ICalendarProperty};
use tool_provider::Failure;

use crate::{
    extent::Times,
    line::{self, Line},
    stamp::Stamp,
    zones::{Zone, Zones},
};

/// The values of one property of an event, such as the exceptions of a series: one a day for 27 years.
const VALUES_MAX: usize = 10_000;

/// The lines of a VEVENT including `BEGIN` and `END`, and the zones that they may name.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    lines: Vec<Line>,
    zones: Rc<Zones>,
}

#[derive(Debug)]
enum Block {
    Event(Event),
    Other(Line),
}

#[derive(Debug)]
pub(crate) struct Document(Vec<Block>);

/// One value of a property with several values.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    zone: Option<Zone>,
    kind: Option<String>,
}

impl Document {
    /// Parses an object; fails if it contains no event. Its zone definitions are evaluated for these years.
    pub(crate) fn parse(text: &str, years: RangeInclusive<i16>) -> Result<Self, Failure> {
        let lines = line::lines(text.trim_start_matches('\u{feff}'));
        let zones = Rc::new(Zones::read(lines.iter(), years));
        let (mut blocks, mut event) = (Vec::new(), None::<Event>);
        for line in lines {
            if event.is_none() && line.is("BEGIN", "VEVENT") {
                event = Some(Event { lines: vec![line], zones: Rc::clone(&zones) });
                continue;
            }
            let is_end = line.is("END", "VEVENT");
            match event.as_mut() {
                None => blocks.push(Block::Other(line)),
                Some(open) => {
                    open.lines.push(line);
                    if is_end {
                        blocks.extend(event.take().map(Block::Event));
                    }
                }
            }
        }
        let document = Self(blocks);
        if event.is_some() || document.events().next().is_none() {
            return Err(Failure::InvalidArguments("That is not an event, or it cannot be read here.".into()));
        }
        Ok(document)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for block in &self.0 {
            match block {
                Block::Other(line) => text.push_str(line.raw()),
                Block::Event(event) => event.lines.iter().for_each(|line| text.push_str(line.raw())),
            }
        }
        text
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter_map(|block| match block {
            Block::Event(event) => Some(event),
            Block::Other(_) => None,
        })
    }

    /// The event at an index.
    pub(crate) fn event_mut(&mut self, index: usize) -> Option<&mut Event> {
        let mut events = self.0.iter_mut().filter_map(|block| match block {
            Block::Event(event) => Some(event),
            Block::Other(_) => None,
        });
        events.nth(index)
    }

    /// Adds an event after the last one.
    pub(crate) fn add(&mut self, event: Event) {
        let last = self.0.iter().rposition(|block| matches!(block, Block::Event(_)));
        self.0.insert(last.map_or(self.0.len(), |last| last + 1), Block::Event(event));
    }

    /// Removes the events at these indices.
    pub(crate) fn remove(&mut self, indices: &[usize]) {
        let mut index = 0;
        self.0.retain(|block| match block {
            Block::Event(_) => {
                index += 1;
                !indices.contains(&(index - 1))
            }
            Block::Other(_) => true,
        });
    }

    /// Adds definitions of zones that are used but not defined (RFC 5545 section 3.6.5).
    pub(crate) fn define_zones(&mut self) {
        let Ok(mut calendar) = ICalendar::parse(self.text()) else { return };
        let known = calendar.timezones().count();
        if calendar.add_missing_timezones() == 0 {
            return;
        }
        // Only the zones that calcard has added are taken from its output. They come after the existing ones.
        let written = calendar.to_string();
        let (mut zones, mut seen, mut is_inside) = (Vec::new(), 0, false);
        for line in written.split_inclusive('\n') {
            if line.trim_end() == "BEGIN:VTIMEZONE" {
                seen += 1;
                is_inside = true;
            }
            if is_inside && seen > known {
                zones.push(Block::Other(Line::new(line.to_owned())));
            }
            is_inside &= line.trim_end() != "END:VTIMEZONE";
        }
        let first = self.0.iter().position(|block| matches!(block, Block::Event(_))).unwrap_or(self.0.len());
        self.0.splice(first..first, zones);
    }
}

impl Event {
    /// The lines of the event itself, without those of its alarms.
    fn own(&self) -> impl Iterator<Item = (usize, &Line)> {
        let mut depth = 0_usize;
        self.lines.iter().enumerate().filter(move |(_, line)| {
            match line.name() {
                "BEGIN" => depth += 1,
                "END" => depth = depth.saturating_sub(1),
                _ => return depth == 1,
            }
            false
        })
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Line> {
        self.own().map(|(_, line)| line).filter(move |line| line.name() == name)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.named(name).next().map(Line::value)
    }

    /// The text of a property.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.named(name).next().map(Line::text)
    }

    pub(crate) fn parameter(&self, name: &str, parameter: &str) -> Option<String> {
        self.named(name).next().and_then(|line| line.parameter(parameter))
    }

    /// The date or time of a property.
    pub(crate) fn stamp(&self, name: &str) -> Option<Stamp> {
        let line = self.named(name).next()?;
        let value = Value { text: line.value(), zone: self.zone_of(line), kind: line.parameter("VALUE") };
        value.stamp(&value.text)
    }

    /// The values of all properties with this name.
    pub(crate) fn values(&self, name: &str) -> Vec<Value> {
        let mut values = Vec::new();
        for line in self.named(name) {
            let (zone, kind) = (self.zone_of(line), line.parameter("VALUE"));
            let value = |text: &str| Value { text: text.trim().to_owned(), zone: zone.clone(), kind: kind.clone() };
            values.extend(line.value().split(',').filter(|text| !text.trim().is_empty()).map(value));
        }
        values.truncate(VALUES_MAX);
        values
    }

    /// The unparsed values of all properties with this name.
    pub(crate) fn rules(&self, name: &str) -> Vec<String> {
        self.named(name).map(Line::value).collect()
    }

    fn zone_of(&self, line: &Line) -> Option<Zone> {
        line.parameter("TZID").map(|tzid| self.zones.zone(&tzid))
    }

    /// Replaces a property in its place, or adds it. `line` is without its line end.
    pub(crate) fn set(&mut self, name: &str, line: &str) {
        let line = Line::new(format!("{line}\r\n"));
        let mut found: Vec<_> = self.own().filter(|(_, line)| line.name() == name).map(|(index, _)| index).collect();
        let others = found.split_off(found.len().min(1));
        others.into_iter().rev().for_each(|index| drop(self.lines.remove(index)));
        match found.first().and_then(|index| self.lines.get_mut(*index)) {
            Some(old) => *old = line,
            None => self.push(line),
        }
    }

    /// A separate event for one occurrence of this event. It is as long as in the series.
    pub(crate) fn one(&self, original: &Stamp, times: &Times) -> Self {
        let mut event = self.clone();
        let has_length = ["DTEND", "DURATION"].iter().any(|name| event.has(name));
        event.remove(&["RRULE", "RDATE", "EXDATE", "EXRULE", "DTEND", "DURATION"]);
        event.set("DTSTART", &original.line("DTSTART"));
        if let (true, Some((_, last))) = (has_length, times.days) {
            let after = last.tomorrow().unwrap_or(last);
            event.set("DTEND", &Stamp::Date(after).line("DTEND"));
        } else if times.days.is_none() && times.start < times.end {
            event.set("DTEND", &original.at(&times.end).line("DTEND"));
        }
        event.set("RECURRENCE-ID", &original.line("RECURRENCE-ID"));
        event
    }

    /// Adds a property before the first alarm or the end.
    pub(crate) fn add(&mut self, line: &str) {
        self.push(Line::new(format!("{line}\r\n")));
    }

    fn push(&mut self, line: Line) {
        let inner = self.lines.iter().skip(1).position(|line| matches!(line.name(), "BEGIN" | "END"));
        self.lines.insert(inner.map_or(self.lines.len(), |inner| inner + 1), line);
    }

    pub(crate) fn remove(&mut self, names: &[&str]) {
        let indices: Vec<_> =
            self.own().filter(|(_, line)| names.contains(&line.name())).map(|(index, _)| index).collect();
        for index in indices.into_iter().rev() {
            self.lines.remove(index);
        }
    }

    /// Sets the text of a property. An empty text removes the property.
    pub(crate) fn set_text(&mut self, property: ICalendarProperty, text: &str) {
        let name = property.as_str().to_owned();
        if text.is_empty() { self.remove(&[&name]) } else { self.set(&name, &text_line(property, text)) }
    }
}

impl Value {
    /// Parses a text as a value of this property. A value of type DATE is a date, even if it is written with a time.
    pub(crate) fn stamp(&self, text: &str) -> Option<Stamp> {
        let stamp = Stamp::parse(self.zone.clone(), text)?;
        let is_day = self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("DATE"));
        Some(if is_day { Stamp::Date(stamp.civil().date()) } else { stamp })
    }
}

/// The line of a text property, escaped and folded, without its line end.
pub(crate) fn text_line(property: ICalendarProperty, text: &str) -> String {
    let text: String = text.replace("\r\n", "\n").chars().filter(|char| *char == '\n' || !char.is_control()).collect();
    let mut line = String::new();
    // Writing to a String does not fail.
    let _ = ICalendarEntry::new(property).with_value(text).write_to(&mut line);
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zones::ALL_YEARS;

    const TEXT: &str = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:a\r\nBEGIN:VEVENT\r\nSUMMARY;LANGUAGE=\"x:y\":Long\r\n  er\r\nX-ODD;A=\"b:c\":1\r\n 2\r\nDTSTART;TZID=\"Europe/Berlin\":20260309T090000\r\nBEGIN:VALARM\r\nSUMMARY:Ring\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let mut document = Document::parse(TEXT, ALL_YEARS).unwrap();
        assert_eq!(document.text(), TEXT);
        let event = document.event_mut(0).unwrap();
        assert_eq!(event.value("SUMMARY").as_deref(), Some("Long er"));
        event.set_text(ICalendarProperty::Summary, "One; two, \\ three\nfour");
        event.set_text(ICalendarProperty::Location, "Room");
        let expected = TEXT
            .replace("SUMMARY;LANGUAGE=\"x:y\":Long\r\n  er", "SUMMARY:One\\; two\\, \\\\ three\\nfour")
            .replace("BEGIN:VALARM", "LOCATION:Room\r\nBEGIN:VALARM");
        assert_eq!(document.text(), expected);
        document.event_mut(0).unwrap().set_text(ICalendarProperty::Location, "");
        assert!(!document.text().contains("LOCATION") && document.text().contains("SUMMARY:Ring"));
    }

    #[test]
    fn long_and_foreign_texts_are_folded_between_characters() {
        let mut document = Document::parse(TEXT, ALL_YEARS).unwrap();
        let title = "Ünïcödé ☃ 🕐 ".repeat(40);
        document.event_mut(0).unwrap().set_text(ICalendarProperty::Summary, title.trim());
        let text = document.text();
        assert!(text.lines().all(|line| line.len() <= 76), "{text}");
        let read = Document::parse(&text, ALL_YEARS).unwrap().events().next().unwrap().value("SUMMARY");
        assert_eq!(read.as_deref(), Some(title.trim()));
    }

    #[test]
    fn a_text_cannot_bring_lines_of_its_own() {
        let line = text_line(ICalendarProperty::Summary, "a\r\nATTENDEE:mailto:x@example.com\u{0}\rEND:VEVENT");
        assert_eq!(line, "SUMMARY:a\\nATTENDEE:mailto:x@example.comEND:VEVENT");
    }

    #[test]
    fn a_zone_that_is_named_gets_defined_once() {
        let mut document = Document::parse(TEXT, ALL_YEARS).unwrap();
        document.define_zones();
        document.define_zones();
        let text = document.text();
        assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), 1, "{text}");
        assert!(text.contains("TZOFFSETTO:+0200") && text.contains("X-ODD;A=\"b:c\":1\r\n 2\r\n"), "{text}");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in ["", "BEGIN:VEVENT\r\n", "BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"] {
            assert!(Document::parse(text, ALL_YEARS).is_err());
        }
    }
}
