//! The corpus: events of calendars, with what a person must see; and changes, with what must be stored. There is one file for each case in `corpus/`,
//! whose README explains the format. For a new failure, add a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use scripted_server::Scripted;
use tool_provider::{Context, Failure};
use upstream::Http;

use super::{
    call_at,
    scripted::{CALENDAR, Calendars, Etags},
    words,
};
use crate::{
    change_event, create_event, delete_event, free_busy,
    list_events::{self, Event, ListEvents},
};

/// A part of a case: its name and contents.
type Section = (String, Vec<u8>);

struct Case {
    settings: BTreeMap<String, String>,
    sections: Vec<Section>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let mut sections: Vec<Section> = vec![(String::new(), Vec::new())];
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_prefix(b"--- ") {
                Some(name) => sections.push((String::from_utf8(name.trim_ascii().to_vec()).unwrap(), Vec::new())),
                None => sections.last_mut().unwrap().1.extend(line),
            }
        }
        let settings = String::from_utf8(sections.remove(0).1).unwrap();
        let settings = settings.lines().filter_map(|line| line.split_once(": "));
        Self { settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), sections }
    }

    fn setting(&self, name: &str, usual: &str) -> String {
        self.settings.get(name).map_or_else(|| usual.to_owned(), Clone::clone)
    }

    fn calendars(&self) -> Calendars {
        let etags = match self.setting("etags", "strong").as_str() {
            "weak" => Etags::Weak,
            "weakened" => Etags::Weakened,
            "bare" => Etags::Bare,
            "none" => Etags::None,
            _ => Etags::Strong,
        };
        let mut answers = BTreeMap::new();
        let mut objects = BTreeMap::new();
        let is_raw = self.setting("lines", "") == "as they are";
        for (name, text) in &self.sections {
            if name == "object" {
                objects.insert(format!("{CALENDAR}{}.ics", objects.len() + 1), (1, object(text, is_raw)));
            } else if ["REPORT", "GET", "PROPFIND", "PUT", "DELETE"].iter().any(|method| name.starts_with(method)) {
                answers.insert(name.clone(), text.clone());
            }
        }
        Calendars { etags, answers, objects: RefCell::new(objects) }
    }

    fn window(&self) -> ListEvents {
        ListEvents {
            from: self.setting("from", "2026-03-23"),
            to: self.setting("to", "2026-03-31"),
            time_zone: Some(self.setting("zone", "Europe/Berlin")),
            calendar: None,
        }
    }
}

/// Adds the missing enclosing lines: lines are put into an event, and an event into a calendar.
fn object(text: &[u8], is_raw: bool) -> Vec<u8> {
    let has = |part: &[u8]| text.to_ascii_uppercase().windows(part.len()).any(|found| found == part);
    if is_raw {
        return text.to_vec();
    }
    let mut whole = Vec::new();
    if !has(b"BEGIN:VCALENDAR") {
        whole.extend(b"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n");
    }
    if !has(b"BEGIN:VEVENT") {
        whole.extend(b"BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n");
    }
    whole.extend(text);
    if !has(b"BEGIN:VEVENT") {
        whole.extend(b"END:VEVENT\n");
    }
    if !has(b"BEGIN:VCALENDAR") {
        whole.extend(b"END:VCALENDAR\n");
    }
    let mut lines = Vec::new();
    for byte in whole {
        if byte == b'\n' {
            lines.push(b'\r');
        }
        lines.push(byte);
    }
    lines
}

/// An event as a line: `start end occurrence title (more)`.
fn shown(event: &Event) -> String {
    let mut line =
        format!("{} {} {} {}", event.start, event.end, event.occurrence.as_deref().unwrap_or("-"), event.title);
    if event.status != "confirmed" {
        line.push_str(&format!(" ({})", event.status));
    } else if event.free {
        line.push_str(" (free)");
    }
    if let Some(description) = &event.description {
        line.push_str(&format!(" [{description}]"));
    }
    line.trim_end().replace('\n', "\\n")
}

fn context() -> Context {
    call_at("call", 0, "https://cal.example.com/")
}

/// There is one note for each wanted part, in this order, and no other note.
fn compare_notes(notes: &[String], wanted: &[&str]) -> Result<(), String> {
    let is_right = notes.len() == wanted.len() && notes.iter().zip(wanted).all(|(note, part)| note.contains(part));
    if is_right { Ok(()) } else { Err(format!("notes {notes:#?}, not {wanted:?}")) }
}

fn lines(text: &[u8]) -> Vec<&str> {
    std::str::from_utf8(text).unwrap().lines().filter(|line| !line.is_empty()).collect()
}

async fn call(name: &str, arguments: &[u8], server: &impl Http) -> Result<(), Failure> {
    let context = context();
    match name {
        "create_event" => {
            let arguments = serde_json::from_slice(arguments).unwrap();
            create_event::run(&arguments, &context, server).await.map(drop)
        }
        "change_event" => {
            let arguments = serde_json::from_slice(arguments).unwrap();
            change_event::run(&arguments, &context, server).await.map(drop)
        }
        "delete_event" => {
            let arguments = serde_json::from_slice(arguments).unwrap();
            delete_event::run(&arguments, &context, server).await.map(drop)
        }
        other => panic!("there is no tool {other}"),
    }
}

/// Runs a case, one part after the other.
async fn follow(path: &Path) -> Result<(), String> {
    let case = Case::read(path);
    let calendars = case.calendars();
    let server = Scripted::new(|asked| Ok(calendars.answer(asked)));
    let mut called = Ok(());
    for (index, (name, text)) in case.sections.iter().enumerate() {
        let wanted = || lines(text);
        if let Some(tool) = name.strip_prefix("call ") {
            called.map_err(|failure: Failure| format!("refused: {failure:?}"))?;
            called = call(tool, text, &server).await;
        } else if name == "refused" {
            let said = words(std::mem::replace(&mut called, Ok(())));
            let missing: Vec<_> = wanted().into_iter().filter(|part| !said.contains(part)).collect();
            if !missing.is_empty() {
                return Err(format!("said {said:?}, without {missing:?}"));
            }
        } else if name == "stored" {
            let stored: Vec<u8> = calendars.objects.borrow().values().flat_map(|(_, text)| text.clone()).collect();
            let stored = String::from_utf8(stored).unwrap();
            for line in wanted() {
                let is_there = |part: &str| stored.split("\r\n").any(|found| found == part);
                let is_right = line.strip_prefix("! ").map_or_else(|| is_there(line), |line| !stored.contains(line));
                if !is_right {
                    return Err(format!("{line}: not so in\n{stored}"));
                }
            }
        } else if name == "shows" {
            let listed = list_events::run(&case.window(), &context(), &server).await;
            let listed = listed.map_err(|failure| format!("refused: {failure:?}"))?;
            let found: Vec<_> = listed.events.iter().map(shown).collect();
            if found != wanted() {
                return Err(format!("shows\n  {}\nnot\n  {}", found.join("\n  "), wanted().join("\n  ")));
            }
            let notes = case.sections.get(index + 1).filter(|(name, _)| name == "notes");
            compare_notes(&listed.notes, &notes.map_or_else(Vec::new, |(_, text)| lines(text)))?;
        } else if name == "fails" {
            let said = match list_events::run(&case.window(), &context(), &server).await {
                Ok(listed) => return Err(format!("it worked: {listed:?}")),
                failed => words(failed),
            };
            let missing: Vec<_> = wanted().into_iter().filter(|part| !said.contains(part)).collect();
            if !missing.is_empty() {
                return Err(format!("said {said:?}, without {missing:?}"));
            }
        } else if name == "busy" {
            let window = case.window();
            let window = free_busy::FreeBusy {
                from: window.from,
                to: window.to,
                time_zone: window.time_zone,
                calendar: window.calendar,
            };
            let busy = free_busy::run(&window, &context(), &server).await.unwrap().busy;
            let busy: Vec<_> = busy.iter().map(|one| format!("{} {}", one.start, one.end)).collect();
            if busy != wanted() {
                return Err(format!("busy {busy:#?}"));
            }
        } else if name == "asked" {
            let asked = server.lines();
            if let Some(missing) = wanted().into_iter().find(|line| !asked.iter().any(|asked| asked == line)) {
                return Err(format!("never asked {missing}: {asked:#?}"));
            }
        }
    }
    called.map_err(|failure| format!("refused: {failure:?}"))
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(folder);
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

async fn follow_all(folder: &str) {
    let mut wrong = Vec::new();
    let cases = cases(folder);
    assert!(!cases.is_empty());
    for path in cases {
        if let Err(words) = follow(&path).await {
            wrong.push(format!("{}: {words}", path.file_stem().unwrap().to_string_lossy()));
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong\n\n{}\n", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn what_calendars_hold_is_shown_as_it_is_meant() {
    follow_all("reading").await;
}

#[tokio::test]
async fn what_servers_answer_is_read_or_said() {
    follow_all("answers").await;
}

#[tokio::test]
async fn what_is_changed_is_stored_as_it_is_meant() {
    follow_all("writing").await;
}
