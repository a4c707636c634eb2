//! Hostile invitations: each must be cheap and must break nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use crate::{dav::Object, occurrences, repeat::Budget, window::Window};

/// About a hundred times what each of these tests takes without optimisation. An endless loop takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn read(text: &str, budget: &Budget) -> (usize, Vec<String>) {
    let object = Object { id: "/e.ics".into(), etag: None, text: text.to_owned() };
    let window = Window::new("2026-03-28", "2026-03-30", time_zone::named("Europe/Berlin").unwrap()).unwrap();
    let (found, notes) = occurrences::read(&object, "/", &window, budget);
    (found.len(), notes)
}

fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n")
}

fn all(count: u32) -> String {
    (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

#[test]
fn rules_without_measure_cost_little() {
    let begun = Instant::now();
    let every = format!("FREQ=YEARLY;BYHOUR={};BYMINUTE={};BYSECOND={}", all(24), all(60), all(60));
    for rule in [
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;BYHOUR=0;BYMINUTE=0;BYSECOND=0",
        &every,
        "FREQ=HOURLY;BYMINUTE=0,1",
        "FREQ=DAILY;COUNT=4000000000",
        "FREQ=HOURLY;COUNT=4000000000",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=4294967295",
        "FREQ=HOURLY;INTERVAL=4294967295;COUNT=4294967295",
        "FREQ=MONTHLY;BYDAY=5MO;BYSETPOS=-366;UNTIL=99991231T235959Z",
        "FREQ=MONTHLY;INTERVAL=99999999999999999999",
    ] {
        for start in ["00010101T023000", "20000103T023000", "99991231T235900"] {
            let text = event(&format!("DTSTART;TZID=Europe/Berlin:{start}\nDURATION:P9999W\nRRULE:{rule}"));
            read(&text, &Budget::new(5_000));
        }
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn many_rules_that_are_counted_share_one_budget() {
    let begun = Instant::now();
    let text = event("DTSTART:00010101T023000Z\nRRULE:FREQ=DAILY;BYDAY=MO;COUNT=4000000000");
    let budget = Budget::new(5_000);
    let notes: Vec<_> = (0..10).map(|_| read(&text, &budget).1).collect();
    assert!(notes[9][0].contains("very often"), "{:?}", notes[9]);
    // Events that need no counting are still read completely.
    assert_eq!(read(&event("DTSTART:20260328T023000Z"), &budget), (1, Vec::new()));
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn lists_without_measure_cost_little() {
    let begun = Instant::now();
    let dates = |name: &str| {
        let day = |number: u32| {
            format!("{name};TZID=Europe/Berlin:2026{:02}{:02}T100000\n", number % 12 + 1, number % 28 + 1)
        };
        (0..10_000).map(day).collect::<String>()
    };
    let zones = "BEGIN:VTIMEZONE\nTZID:A\nBEGIN:STANDARD\nDTSTART:00010101T000000\nTZOFFSETFROM:+0000\nTZOFFSETTO:+0100\nRRULE:FREQ=DAILY\nEND:STANDARD\nEND:VTIMEZONE\n";
    let changed = "END:VEVENT\nBEGIN:VEVENT\nUID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260328T100000Z\nDTSTART;TZID=A:20260329T100000\n";
    for lines in [
        format!("DTSTART;TZID=Europe/Berlin:20260101T100000\n{}{}", dates("RDATE"), dates("EXDATE")),
        format!("DTSTART:20260101T100000Z\nRRULE:FREQ=DAILY\n{}", changed.repeat(1_000)),
        format!("DTSTART:20260101T100000Z\n{}", "RRULE:FREQ=DAILY;COUNT=4000000000\n".repeat(1_000)),
        format!("DTSTART;TZID=\"{}\":20260328T100000", "/a".repeat(10_000)),
    ] {
        read(
            &event(&lines).replace("BEGIN:VCALENDAR\n", &format!("BEGIN:VCALENDAR\n{}", zones.repeat(30))),
            &Budget::default(),
        );
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn what_is_broken_is_left_out() {
    for text in [
        "",
        "BEGIN:VCALENDAR",
        "no",
        &"BEGIN:VEVENT\n".repeat(50_000),
        &event("DTSTART:soon"),
        &event("DTSTART;TZID=\":20260328T100000Z"),
        &event("DTSTART:20260328T250000Z"),
        &event("RECURRENCE-ID:soon\nDTSTART:20260328T100000Z"),
    ] {
        let (found, notes) = read(text, &Budget::default());
        assert!(found == 0 && !notes.is_empty() || text.contains("RECURRENCE-ID"), "{text}: {found} {notes:?}");
    }
}

#[test]
fn any_part_of_an_event_can_be_anything() {
    let whole = event(
        "DTSTART;TZID=Europe/Berlin:20260323T100000\nDTEND;VALUE=DATE:20260324\nDURATION:-P1W\nRRULE:FREQ=DAILY;COUNT=4;BYDAY=MO\n\
         RDATE;VALUE=PERIOD:20260327T120000Z/PT30M\nEXDATE;VALUE=DATE:20260325\nSUMMARY;ENCODING=QUOTED-PRINTABLE:=C3=\n=A9\n é\nEND:VEVENT\n\
         BEGIN:VEVENT\nUID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260324T090000Z\nDTSTART:20260324T090000",
    );
    let characters: Vec<char> = whole.chars().collect();
    for place in 0..characters.len() {
        for other in ['9', '\n', ':', '-', 'é'] {
            let mut text = characters.clone();
            text[place] = other;
            read(&text.into_iter().collect::<String>(), &Budget::default());
        }
        read(&characters[..place].iter().collect::<String>(), &Budget::default());
    }
}
