//! Reading calendars and events, and the messages when there are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::{free_busy, list_calendars};

async fn names(world: &World, address: &str) -> Vec<String> {
    let listed = list_calendars::run(&world.call_at("list", 0, address), &world.transport).await.unwrap();
    assert!(listed.iter().all(|calendar| calendar.writable));
    listed.into_iter().map(|calendar| format!("{} {}", calendar.id, calendar.name)).collect()
}

#[tokio::test]
async fn calendars_are_found_from_wherever_one_begins() {
    let Some(world) = World::start_or_skip().await else { return };
    world.make_calendar("ada", "home", "Home &amp; garden").await;
    for address in ["", "/", "/.well-known/caldav", "/ada/", "/ada", "/nowhere/"] {
        let address = format!("{}{address}", world.radicale.url);
        let mut found = names(&world, &address).await;
        found.sort();
        assert_eq!(found, ["/ada/home/ Home & garden", "/ada/work/ Work"], "{address}");
    }
    assert_eq!(names(&world, &format!("{}/ada/work/", world.radicale.url)).await, ["/ada/work/ Work"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said() {
    let Some(world) = World::start_or_skip().await else { return };
    let mut wrong = world.call("list");
    wrong.secrets[2].1 = "a guess".into();
    assert!(words(list_calendars::run(&wrong, &world.transport).await).contains("enter them again"));
    wrong.secrets.pop();
    assert!(words(list_calendars::run(&wrong, &world.transport).await).contains("password"));
    for address in ["", "ftp://127.0.0.1/", "https://me@127.0.0.1/"] {
        let call = world.call_at("list", 0, address);
        assert!(words(list_calendars::run(&call, &world.transport).await).contains("looks like"), "{address}");
    }
}

#[tokio::test]
async fn no_address_leads_into_this_installation() {
    let nowhere = Scripted::new(|asked| panic!("{} was asked", asked.uri));
    for address in ["https://ops.spin.internal/ready", "OPS.Spin.Internal.", "http://self.alt:3000/"] {
        let said = words(list_calendars::run(&call_at("list", 0, address), &nowhere).await);
        assert!(said.contains("part of this installation"), "{address}: {said}");
    }
}

#[tokio::test]
async fn what_is_no_caldav_server_is_said_and_no_other_gets_the_password() {
    for (answer, said) in [
        (answer(200, &[], "hi"), "no CalDAV server"),
        (answer(301, &[("location", "http://localhost:1/")], ""), "redirects to http://localhost:1"),
        (answer(302, &[("location", "//ops.spin.internal/")], ""), "redirects to https://ops.spin.internal"),
    ] {
        let server = Scripted::new(|_| Ok(answer.clone()));
        let words = words(list_calendars::run(&call_at("list", 0, "https://cal.example/"), &server).await);
        assert!(words.contains(said), "{words}");
        assert!(server.asked().iter().all(|asked| asked.uri.host() == Some("cal.example")), "{words}");
    }
}

#[tokio::test]
async fn a_weekly_event_keeps_its_hour_when_the_clocks_change() {
    let Some(world) = World::start_or_skip().await else { return };
    world.create(weekly()).await;
    let expected = [
        "2026-03-16T09:00:00+01:00",
        "2026-03-23T09:00:00+01:00",
        "2026-03-30T09:00:00+02:00",
        "2026-04-06T09:00:00+02:00",
    ];
    assert_eq!(world.starts("2026-03-16", "2026-04-12").await, expected);
    let event = &world.list("2026-03-30", "2026-03-30").await[0];
    assert_eq!((event.title.as_str(), event.end.as_str()), ("Stand-up, with Ünï", "2026-03-30T09:30:00+02:00"));
    assert_eq!(event.occurrence.as_deref(), Some("20260330T090000"));
    assert_eq!(event.recurrence.as_deref(), Some("FREQ=WEEKLY;COUNT=6"));
    // In this zone, the clocks changed at another time.
    let elsewhere = ListEvents {
        from: "2026-03-16".into(),
        to: "2026-04-05".into(),
        time_zone: Some("America/New_York".into()),
        calendar: Some("/ada/work/".into()),
    };
    let listed = list_events::run(&elsewhere, &world.call("list"), &world.transport).await.unwrap();
    let starts: Vec<_> = listed.events.into_iter().map(|event| event.start).collect();
    assert_eq!(starts, ["2026-03-16T04:00:00-04:00", "2026-03-23T04:00:00-04:00", "2026-03-30T03:00:00-04:00"]);
}

#[tokio::test]
async fn events_of_other_programs_are_understood() {
    let Some(world) = World::start_or_skip().await else { return };
    world
        .store(
            "windows",
            "BEGIN:VTIMEZONE\nTZID:W. Europe Standard Time\nBEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
             RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\n\
             RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n\
             BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=W. Europe Standard Time:20260601T100000\nDURATION:PT1H30M\nSUMMARY:Win\\ndows\nTRANSP:TRANSPARENT\nEND:VEVENT",
        )
        .await;
    world
        .store(
            "fold",
            "BEGIN:VEVENT\nUID:2\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin:20261025T023000\nDTEND;TZID=Europe/Berlin:20261025T040000\nSUMMARY:Twice\nEND:VEVENT",
        )
        .await;
    world
        .store(
            "days",
            "BEGIN:VEVENT\nUID:3\nDTSTAMP:20260101T000000Z\nDTSTART;VALUE=DATE:20260602\nDTEND;VALUE=DATE:20260604\nSUMMARY:Fair\nSTATUS:TENTATIVE\nEND:VEVENT",
        )
        .await;
    world
        .store(
            "floating",
            "BEGIN:VEVENT\nUID:4\nDTSTAMP:20260101T000000Z\nDTSTART:20260605T080000\nDTEND:20260605T090000\nSUMMARY:Breakfast\nEND:VEVENT",
        )
        .await;
    let june = world.list("2026-06-01", "2026-06-30").await;
    let shown: Vec<_> = june.iter().map(|event| format!("{} {} {}", event.title, event.start, event.end)).collect();
    assert_eq!(
        shown,
        [
            "Win\ndows 2026-06-01T10:00:00+02:00 2026-06-01T11:30:00+02:00",
            "Fair 2026-06-02 2026-06-03",
            "Breakfast 2026-06-05T08:00:00+02:00 2026-06-05T09:00:00+02:00"
        ]
    );
    assert!(june.iter().all(|event| event.occurrence.is_none() && event.recurrence.is_none()));
    assert!(june[0].free && june[1].all_day && june[1].status == "tentative");
    let fold = &world.list("2026-10-25", "2026-10-25").await[0];
    assert_eq!((fold.start.as_str(), fold.end.as_str()), ("2026-10-25T02:30:00+02:00", "2026-10-25T04:00:00+01:00"));
    let arguments = free_busy::FreeBusy {
        from: "2026-06-01".into(),
        to: "2026-06-03".into(),
        time_zone: Some(BERLIN.into()),
        calendar: None,
    };
    let times = free_busy::run(&arguments, &world.call("busy"), &world.transport).await.unwrap();
    assert_eq!(times.busy.len(), 1);
    assert_eq!((times.free.len(), times.free[0].end.as_str()), (1, "2026-06-02T00:00:00+02:00"));
}

#[tokio::test]
async fn calendars_of_others_are_not_read() {
    let Some(world) = World::start_or_skip().await else { return };
    world.make_calendar("bob", "private", "Private").await;
    let mut arguments = ListEvents {
        from: "2026-06-01".into(),
        to: "2026-06-03".into(),
        time_zone: Some(BERLIN.into()),
        calendar: Some("/bob/private/".into()),
    };
    let listed = list_events::run(&arguments, &world.call("list"), &world.transport).await;
    assert!(words(listed).contains("belongs to somebody else"));
    for (calendar, said) in [
        ("/ada/nowhere/", "no such calendar"),
        ("http://localhost:1/", "begin with `/`"),
        ("//localhost:1/", "begin with `/`"),
        ("ada/work", "begin with `/`"),
    ] {
        arguments.calendar = Some(calendar.into());
        let listed = list_events::run(&arguments, &world.call("list"), &world.transport).await;
        let words = words(listed);
        assert!(words.contains(said), "{calendar}: {words}");
    }
}
