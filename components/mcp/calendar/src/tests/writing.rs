//! Creating, changing and deleting events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use upstream::Unanswered;

use super::{
    scripted::{Calendars, Etags},
    *,
};
use crate::{change_event::ChangeEvent, delete_event, delete_event::DeleteEvent};

const FOREIGN: &str = "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin:20260601T100000\nDTEND;TZID=Europe/Berlin:20260601T110000\nSUMMARY:Old\nX-ODD;X-A=\"b\":one\nATTENDEE;CN=Bob:mailto:bob@example.com\nBEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Ring\nTRIGGER:-PT10M\nEND:VALARM\nEND:VEVENT";

async fn delete(world: &World, arguments: DeleteEvent) -> Result<String, Failure> {
    delete_event::run(&arguments, &world.call("delete"), &world.transport).await
}

#[tokio::test]
async fn a_call_that_is_repeated_makes_one_event() {
    let Some(world) = World::start_or_skip().await else { return };
    let first = world.create(weekly()).await;
    let second = world.create(weekly()).await;
    assert_eq!((&first.id, &first.etag, first.etag.is_some()), (&second.id, &second.etag, true));
    assert_eq!(world.starts("2026-03-09", "2026-03-09").await.len(), 1);
    // A second call with the same arguments makes a second event.
    let other = create_event::run(&weekly(), &world.call("other"), &world.transport).await.unwrap();
    assert_ne!(first.id, other.id);
    assert_eq!(world.starts("2026-03-09", "2026-03-09").await.len(), 2);
}

#[tokio::test]
async fn with_several_calendars_one_must_be_named() {
    let Some(world) = World::start_or_skip().await else { return };
    world.make_calendar("ada", "home", "Home").await;
    let made = create_event::run(&weekly(), &world.call("create"), &world.transport).await;
    assert!(words(made).contains("/ada/home/ (Home)"));
    let created = world.create(CreateEvent { calendar: Some("/ada/home".into()), ..weekly() }).await;
    assert_eq!(created.calendar, "/ada/home/");
    let bobs = CreateEvent { calendar: Some("/bob/".into()), ..weekly() };
    let made = create_event::run(&bobs, &world.call("create"), &world.transport).await;
    assert!(words(made).contains("belongs to somebody else"));
}

#[tokio::test]
async fn a_change_leaves_everything_else_as_it_was() {
    let Some(world) = World::start_or_skip().await else { return };
    let id = world.store("foreign", FOREIGN).await;
    let before = world.text(&id).await;
    let etag = world.list("2026-06-01", "2026-06-01").await[0].etag.clone();
    let changed =
        world.change(ChangeEvent { id: id.clone(), etag, location: Some("Room 1, left".into()), ..Default::default() });
    let changed = changed.await.unwrap();
    let after = world.text(&id).await;
    assert!(after.contains("LOCATION:Room 1\\, left\r\n"), "{after}");
    for line in before.split_inclusive('\n').filter(|line| !line.starts_with("DTSTAMP")) {
        assert!(after.contains(line), "{line} is gone: {after}");
    }
    let moved = ChangeEvent {
        id: id.clone(),
        etag: changed.etag.clone(),
        start: Some("2026-06-02T15:00".into()),
        ..Default::default()
    };
    world.change(moved).await.unwrap();
    let event = &world.list("2026-06-01", "2026-06-30").await[0];
    assert_eq!(
        (event.start.as_str(), event.end.as_str(), event.location.as_deref()),
        ("2026-06-02T15:00:00+02:00", "2026-06-02T16:00:00+02:00", Some("Room 1, left"))
    );
    // The version that was read before is outdated.
    let late =
        ChangeEvent { id: id.clone(), etag: changed.etag.clone(), title: Some("Late".into()), ..Default::default() };
    assert!(words(world.change(late).await).contains("read it again"));
    let late = DeleteEvent { id, etag: changed.etag, ..Default::default() };
    assert!(words(delete(&world, late).await).contains("read it again"));
}

#[tokio::test]
async fn a_change_in_between_is_seen_by_the_server() {
    let Some(world) = World::start_or_skip().await else { return };
    let id = world.store("foreign", FOREIGN).await;
    let server = crate::dav::Server::new(&world.call("put"), &world.transport).unwrap();
    let stale = crate::objects::Precondition::Unchanged(Some("\"stale\""));
    assert!(words(server.put(&id, stale, world.text(&id).await).await).contains("read it again"));
    assert!(words(server.delete(&id, Some("\"stale\"")).await).contains("read it again"));
}

#[tokio::test]
async fn one_of_many_times_is_changed_or_deleted_by_itself() {
    let Some(world) = World::start_or_skip().await else { return };
    let id = world.create(weekly()).await.id;
    let one = |occurrence: &str| ChangeEvent {
        id: id.clone(),
        occurrence: Some(occurrence.into()),
        start: Some("2026-03-31T14:00".into()),
        ..Default::default()
    };
    assert!(words(world.change(ChangeEvent { occurrence: None, ..one("") }).await).contains("repeats"));
    assert!(words(world.change(one("20260331T090000")).await).contains("no such occurrence"));
    world.change(one("20260330T090000")).await.unwrap();
    let again = ChangeEvent { start: None, title: Some("Moved".into()), ..one("20260330T090000") };
    world.change(again).await.unwrap();
    let of =
        |occurrence: &str| DeleteEvent { id: id.clone(), occurrence: Some(occurrence.into()), ..Default::default() };
    assert!(words(delete(&world, DeleteEvent { id: id.clone(), ..Default::default() }).await).contains("repeats"));
    delete(&world, of("20260406T090000")).await.unwrap();
    let events = world.list("2026-03-23", "2026-04-30").await;
    let shown: Vec<_> = events.iter().map(|event| format!("{} {}", event.start, event.title)).collect();
    let title = "Stand-up, with Ünï";
    assert_eq!(
        shown,
        [
            format!("2026-03-23T09:00:00+01:00 {title}"),
            "2026-03-31T14:00:00+02:00 Moved".into(),
            format!("2026-04-13T09:00:00+02:00 {title}")
        ]
    );
    assert_eq!(events[1].end, "2026-03-31T14:30:00+02:00");
    delete(&world, of("20260330T090000")).await.unwrap();
    assert_eq!(world.starts("2026-03-24", "2026-04-30").await, ["2026-04-13T09:00:00+02:00"]);
    let series = ChangeEvent { whole_series: true, ..one("20260413T090000") };
    assert!(words(world.change(series).await).contains("would be lost"));
    delete(&world, DeleteEvent { id: id.clone(), whole_series: true, ..Default::default() }).await.unwrap();
    assert!(world.starts("2026-03-01", "2026-04-30").await.is_empty());
}

#[tokio::test]
async fn a_whole_series_moves_together() {
    let Some(world) = World::start_or_skip().await else { return };
    let id = world.create(weekly()).await.id;
    let series = |start: &str| ChangeEvent {
        id: id.clone(),
        whole_series: true,
        occurrence: Some("20260330T090000".into()),
        start: Some(start.into()),
        ..Default::default()
    };
    world.change(series("2026-03-30T10:15")).await.unwrap();
    let expected = ["2026-03-23T10:15:00+01:00", "2026-03-30T10:15:00+02:00"];
    assert_eq!(world.starts("2026-03-23", "2026-04-05").await, expected);
    let another = ChangeEvent { occurrence: Some("20260330T101500".into()), ..series("2026-03-31T10:15") };
    assert!(words(world.change(another).await).contains("recurrence"));
    let end = ChangeEvent { id: id.clone(), whole_series: true, recurrence: Some(String::new()), ..Default::default() };
    world.change(end).await.unwrap();
    assert_eq!(world.starts("2026-03-01", "2026-05-01").await, ["2026-03-09T10:15:00+01:00"]);
}

#[tokio::test]
async fn a_calendar_is_never_deleted_or_replaced() {
    let Some(world) = World::start_or_skip().await else { return };
    world.create(weekly()).await;
    for id in ["/ada/work/", "/ada/work", "/ada/", "/ada/work/../work/"] {
        let said = words(delete(&world, DeleteEvent { id: id.into(), whole_series: true, ..Default::default() }).await);
        assert!(said.contains("not of an event"), "{id}: {said}");
        let said =
            words(world.change(ChangeEvent { id: id.into(), title: Some("x".into()), ..Default::default() }).await);
        assert!(said.contains("not of an event"), "{id}: {said}");
    }
    assert!(
        words(delete(&world, DeleteEvent { id: "/ada/work/none.ics".into(), ..Default::default() }).await)
            .contains("no such")
    );
    assert_eq!(world.starts("2026-03-09", "2026-03-09").await.len(), 1);
    assert!(world.transport.lines().iter().all(|sent| !sent.starts_with("DELETE")));
}

/// A server in memory, with one event.
fn calendars(etags: Etags) -> Calendars {
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{FOREIGN}\nEND:VCALENDAR\n").replace('\n', "\r\n");
    let objects = RefCell::new(BTreeMap::from([(EVENT.to_owned(), (1, text.into_bytes()))]));
    Calendars { etags, answers: BTreeMap::new(), objects }
}

const EVENT: &str = "/cal/1.ics";

fn retitled() -> ChangeEvent {
    ChangeEvent { id: EVENT.into(), title: Some("New".into()), ..Default::default() }
}

#[tokio::test]
async fn of_a_change_whose_answer_is_lost_it_is_said_that_it_may_have_taken_effect() {
    let calendars = calendars(Etags::Strong);
    let call = call_at("call", 0, "https://cal.example");
    for (unanswered, is_known) in [
        (Unanswered::NotSent("cal.example cannot be reached".into()), true),
        (Unanswered::Broken("cal.example broke off its answer".into()), false),
        (Unanswered::Lost("the answer is longer than 10 bytes".into()), false),
        (Unanswered::TimedOut, false),
    ] {
        let server = Scripted::new(|asked| match asked.method.as_str() {
            "PUT" | "DELETE" => Err(unanswered.clone()),
            _ => Ok(calendars.answer(asked)),
        });
        let deleting = DeleteEvent { id: EVENT.into(), whole_series: true, ..Default::default() };
        for words in [
            words(create_event::run(&weekly(), &call, &server).await),
            words(change_event::run(&retitled(), &call, &server).await),
            words(delete_event::run(&deleting, &call, &server).await),
        ] {
            assert_eq!(words.ends_with("; whether it took effect is not known"), !is_known, "{words}");
        }
        // A call that only reads can be repeated without harm.
        let silent = Scripted::new(|_| Err(unanswered.clone()));
        let read = change_event::run(&retitled(), &call, &silent).await;
        assert!(!matches!(read, Err(Failure::UpstreamFailed(words)) if words.contains("took effect")));
    }
}

#[tokio::test]
async fn what_only_reads_is_asked_once_more_when_the_connection_breaks_and_a_change_never_is() {
    let calendars = calendars(Etags::Strong);
    let broken = Cell::new(0);
    let breaking = |asked: &scripted_server::Asked, how_often: u32| {
        broken.set(broken.get() + 1);
        let is_change = asked.method == "PUT";
        if is_change || broken.get() <= how_often {
            return Err(Unanswered::Broken("cal.example broke off its answer".into()));
        }
        broken.set(0);
        Ok(calendars.answer(asked))
    };
    let call = call_at("call", 0, "https://cal.example");
    let server = Scripted::new(|asked| breaking(asked, 1));
    let said = words(change_event::run(&retitled(), &call, &server).await);
    assert!(said.contains("broke off"), "{said}");
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("PUT ")).count(), 1, "{lines:?}");
    let reads: Vec<_> = lines.iter().filter(|line| !line.starts_with("PUT ")).collect();
    assert!(
        !reads.is_empty() && reads.chunks(2).all(|pair| pair.len() == 2 && pair.first() == pair.last()),
        "{lines:?}"
    );
    let gone = Scripted::new(|asked| breaking(asked, u32::MAX));
    assert!(change_event::run(&retitled(), &call, &gone).await.is_err());
    assert_eq!(gone.lines().len(), 2);
}

#[tokio::test]
async fn an_event_that_was_stored_is_not_said_to_have_failed_because_its_version_cannot_be_read() {
    let (calendars, stored) = (calendars(Etags::Strong), Cell::new(false));
    let server = Scripted::new(|asked| match asked.method.as_str() {
        "PROPFIND" if stored.get() => Err(Unanswered::TimedOut),
        method => {
            stored.set(stored.get() || method == "PUT");
            Ok(calendars.answer(asked))
        }
    });
    let changed = change_event::run(&retitled(), &call_at("call", 0, "https://cal.example"), &server).await.unwrap();
    assert_eq!((stored.get(), changed.etag), (true, None));
}
