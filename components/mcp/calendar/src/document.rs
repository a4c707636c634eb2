//! An iCalendar object as lines, to change some of them and leave all others byte for byte as they were. Must not understand more
//! than which line belongs to which event.

use calcard::icalendar::{ICalendar, ICalendarEntry, ICalendarProperty};
use tool_provider::Failure;

use crate::{stamp::Stamp, times};

/// A property, or the beginning or end of a component: with its folds and its line ending.
#[derive(Clone, Debug)]
struct Line {
    raw: String,
    name: String,
}

/// The lines of a VEVENT, `BEGIN` and `END` among them.
#[derive(Clone, Debug)]
pub(crate) struct Event(Vec<Line>);

#[derive(Debug)]
enum Block {
    Event(Event),
    Other(Line),
}

/// The object.
#[derive(Debug)]
pub(crate) struct Document(Vec<Block>);

impl Line {
    fn new(raw: String) -> Self {
        let name = raw.split([':', ';', '\r', '\n']).next().unwrap_or_default().trim().to_ascii_uppercase();
        Self { raw, name }
    }

    /// Without folds (RFC 5545 section 3.1).
    fn unfolded(&self) -> String {
        let mut line = String::with_capacity(self.raw.len());
        for (index, part) in self.raw.lines().enumerate() {
            let part = part.trim_end_matches('\r');
            line.push_str(if index == 0 { part } else { part.get(1..).unwrap_or_default() });
        }
        line
    }

    /// Parameters and value: the value begins at the first colon that is not in quotes.
    fn split(&self) -> (String, String) {
        let line = self.unfolded();
        let mut is_quoted = false;
        let colon = line.find(|character| {
            is_quoted ^= character == '"';
            character == ':' && !is_quoted
        });
        let (head, value) = colon.and_then(|colon| line.split_at_checked(colon)).unwrap_or((&line, ""));
        let parameters = head.split_once(';').map_or("", |(_, parameters)| parameters);
        (parameters.to_owned(), value.strip_prefix(':').unwrap_or(value).to_owned())
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.split().1.trim().eq_ignore_ascii_case(value)
    }
}

impl Document {
    /// Reads an object; fails if no event is in it.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut lines: Vec<Line> = Vec::new();
        for physical in text.split_inclusive('\n') {
            match lines.last_mut() {
                Some(line) if physical.starts_with([' ', '\t']) => line.raw.push_str(physical),
                _ => lines.push(Line::new(physical.to_owned())),
            }
        }
        let (mut blocks, mut event) = (Vec::new(), None::<Event>);
        for line in lines {
            if event.is_none() && line.is("BEGIN", "VEVENT") {
                event = Some(Event(vec![line]));
                continue;
            }
            let is_end = line.is("END", "VEVENT");
            match event.as_mut() {
                None => blocks.push(Block::Other(line)),
                Some(lines) => {
                    lines.0.push(line);
                    if is_end {
                        blocks.extend(event.take().map(Block::Event));
                    }
                }
            }
        }
        let document = Self(blocks);
        if event.is_some() || document.events().next().is_none() {
            return Err(Failure::InvalidArguments("That is no event, or none that is understood.".into()));
        }
        Ok(document)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for block in &self.0 {
            match block {
                Block::Other(line) => text.push_str(&line.raw),
                Block::Event(event) => event.0.iter().for_each(|line| text.push_str(&line.raw)),
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

    pub(crate) fn is_recurring(&self) -> bool {
        self.events().any(|event| ["RRULE", "RDATE", "RECURRENCE-ID"].iter().any(|name| event.has(name)))
    }

    /// Whether an occurrence was changed or deleted by itself.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.events().any(|event| event.has("RECURRENCE-ID") || event.has("EXDATE"))
    }

    /// The event itself, or the occurrence that was changed by itself.
    pub(crate) fn event_mut(&mut self, occurrence: Option<&str>) -> Option<&mut Event> {
        let mut events = self.0.iter_mut().filter_map(|block| match block {
            Block::Event(event) => Some(event),
            Block::Other(_) => None,
        });
        events.find(|event| event.value("RECURRENCE-ID").as_deref() == occurrence)
    }

    /// Adds an event behind the last.
    pub(crate) fn add(&mut self, event: Event) {
        let last = self.0.iter().rposition(|block| matches!(block, Block::Event(_)));
        self.0.insert(last.map_or(self.0.len(), |last| last + 1), Block::Event(event));
    }

    /// Removes an occurrence that was changed by itself.
    pub(crate) fn remove(&mut self, occurrence: &str) {
        self.0.retain(|block| match block {
            Block::Event(event) => event.value("RECURRENCE-ID").as_deref() != Some(occurrence),
            Block::Other(_) => true,
        });
    }

    /// Adds the definition of zones that are named and not defined (RFC 5545 section 3.6.5).
    pub(crate) fn define_zones(&mut self) {
        let Ok(mut calendar) = ICalendar::parse(self.text()) else { return };
        let known = calendar.timezones().count();
        if calendar.add_missing_timezones() == 0 {
            return;
        }
        // Of what calcard writes, only the zones that it added: they come behind those that were there.
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
    /// Which lines are the event's own, and not of an alarm in it.
    fn own(&self) -> impl Iterator<Item = (usize, &Line)> {
        let mut depth = 0_usize;
        self.0.iter().enumerate().filter(move |(_, line)| {
            match line.name.as_str() {
                "BEGIN" => depth += 1,
                "END" => depth = depth.saturating_sub(1),
                _ => return depth == 1,
            }
            false
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.own().any(|(_, line)| line.name == name)
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.own().find(|(_, line)| line.name == name).map(|(_, line)| line.split().1.trim().to_owned())
    }

    /// A date or time.
    pub(crate) fn stamp(&self, name: &str) -> Option<Stamp> {
        let (parameters, value) = self.own().find(|(_, line)| line.name == name)?.1.split();
        let tzid = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("TZID").then(|| value.trim_matches('"').to_owned())
        });
        Stamp::parse(tzid.as_deref(), &value)
    }

    /// Replaces a property where it stands, or adds it; `line` is without its end.
    pub(crate) fn set(&mut self, name: &str, line: &str) {
        let line = Line::new(format!("{line}\r\n"));
        let found = self.own().find(|(_, line)| line.name == name).map(|(index, _)| index);
        match found.and_then(|index| self.0.get_mut(index)) {
            Some(old) => *old = line,
            None => self.push(line),
        }
    }

    /// One occurrence of this event, to be changed by itself.
    pub(crate) fn at(&self, original: &Stamp) -> Result<Self, Failure> {
        let mut event = self.clone();
        event.remove(&["RRULE", "RDATE", "EXDATE", "EXRULE"]);
        let start = self.stamp("DTSTART").ok_or_else(times::not_understood)?.with(original.civil());
        times::set(&mut event, &start, None)?;
        event.set("RECURRENCE-ID", &start.line("RECURRENCE-ID"));
        Ok(event)
    }

    /// Adds a property before the first alarm, or the end.
    pub(crate) fn add(&mut self, line: &str) {
        self.push(Line::new(format!("{line}\r\n")));
    }

    fn push(&mut self, line: Line) {
        let inner = self.0.iter().skip(1).position(|line| matches!(line.name.as_str(), "BEGIN" | "END"));
        self.0.insert(inner.map_or(self.0.len(), |inner| inner + 1), line);
    }

    pub(crate) fn remove(&mut self, names: &[&str]) {
        let indices: Vec<_> =
            self.own().filter(|(_, line)| names.contains(&line.name.as_str())).map(|(index, _)| index).collect();
        for index in indices.into_iter().rev() {
            self.0.remove(index);
        }
    }

    /// Sets a text; an empty one removes the property.
    pub(crate) fn set_text(&mut self, property: ICalendarProperty, text: &str) {
        let name = property.as_str().to_owned();
        if text.is_empty() { self.remove(&[&name]) } else { self.set(&name, &text_line(property, text)) }
    }
}

/// The line of a text, escaped and folded, without its end.
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

    const TEXT: &str = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:a\r\nBEGIN:VEVENT\r\nSUMMARY;LANGUAGE=\"x:y\":Long\r\n  er\r\nX-ODD;A=\"b:c\":1\r\n 2\r\nDTSTART;TZID=\"Europe/Berlin\":20260309T090000\r\nBEGIN:VALARM\r\nSUMMARY:Ring\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn what_is_not_changed_stays_byte_for_byte() {
        let mut document = Document::parse(TEXT).unwrap();
        assert_eq!(document.text(), TEXT);
        let event = document.event_mut(None).unwrap();
        assert_eq!(event.value("SUMMARY").as_deref(), Some("Long er"));
        event.set_text(ICalendarProperty::Summary, "One; two, \\ three\nfour");
        event.set_text(ICalendarProperty::Location, "Room");
        let expected = TEXT
            .replace("SUMMARY;LANGUAGE=\"x:y\":Long\r\n  er", "SUMMARY:One\\; two\\, \\\\ three\\nfour")
            .replace("BEGIN:VALARM", "LOCATION:Room\r\nBEGIN:VALARM");
        assert_eq!(document.text(), expected);
        document.event_mut(None).unwrap().set_text(ICalendarProperty::Location, "");
        assert!(!document.text().contains("LOCATION") && document.text().contains("SUMMARY:Ring"));
    }

    #[test]
    fn long_and_foreign_texts_are_folded_between_characters() {
        let mut document = Document::parse(TEXT).unwrap();
        let title = "Ünïcödé ☃ 🕐 ".repeat(40);
        document.event_mut(None).unwrap().set_text(ICalendarProperty::Summary, title.trim());
        let text = document.text();
        assert!(text.lines().all(|line| line.len() <= 76), "{text}");
        let read = Document::parse(&text).unwrap().events().next().unwrap().value("SUMMARY");
        assert_eq!(read.as_deref(), Some(title.trim()));
    }

    #[test]
    fn a_text_cannot_bring_lines_of_its_own() {
        let line = text_line(ICalendarProperty::Summary, "a\r\nATTENDEE:mailto:x@example.com\u{0}\rEND:VEVENT");
        assert_eq!(line, "SUMMARY:a\\nATTENDEE:mailto:x@example.comEND:VEVENT");
    }

    #[test]
    fn a_zone_that_is_named_gets_defined_once() {
        let mut document = Document::parse(TEXT).unwrap();
        document.define_zones();
        document.define_zones();
        let text = document.text();
        assert_eq!(text.matches("BEGIN:VTIMEZONE").count(), 1, "{text}");
        assert!(text.contains("TZOFFSETTO:+0200") && text.contains("X-ODD;A=\"b:c\":1\r\n 2\r\n"), "{text}");
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in ["", "BEGIN:VEVENT\r\n", "BEGIN:VCALENDAR\r\nBEGIN:VTODO\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"] {
            assert!(Document::parse(text).is_err());
        }
    }
}
