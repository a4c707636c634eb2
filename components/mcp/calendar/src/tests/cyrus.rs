//! The same tools with another server, Cyrus, so that they do not depend on Radicale's habits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use native_cyrus::Cyrus;

use super::*;
use crate::{
    change_event::ChangeEvent, delete_event, delete_event::DeleteEvent, free_busy, free_busy::FreeBusy, list_calendars,
};

pub(super) fn call(cyrus: &Cyrus, address: &str) -> Context {
    let (name, password) = native_cyrus::PEOPLE[0];
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let secrets =
        vec![secret("url", &format!("{}{address}", cyrus.url)), secret("username", name), secret("password", password)];
    Context { id: "call".into(), preferences: Vec::new(), deadline: Duration::from_secs(60), secrets }
}

async fn list(transport: &Native, call: &Context) -> Vec<Event> {
    let arguments = ListEvents {
        from: "2026-03-16".into(),
        to: "2026-04-05".into(),
        time_zone: Some(BERLIN.into()),
        calendar: None,
    };
    let listed = list_events::run(&arguments, call, transport).await.unwrap();
    assert!(listed.notes.is_empty(), "{:?}", listed.notes);
    listed.events
}

#[tokio::test]
async fn events_are_made_changed_and_deleted_at_another_server_too() {
    let Some(cyrus) = Cyrus::start_or_skip() else { return };
    let transport = Native::default();
    for address in ["", "/", "/.well-known/caldav", "/dav/", "/dav/calendars/user/ada/", "/nowhere/"] {
        let calendars = list_calendars::run(&call(&cyrus, address), &transport).await.unwrap();
        assert!(calendars.len() == 1 && calendars[0].writable, "{address}: {calendars:?}");
    }
    let mut wrong = call(&cyrus, "");
    wrong.secrets[2].1 = "a guess".into();
    assert!(words(list_calendars::run(&wrong, &transport).await).contains("enter them again"));

    let call = call(&cyrus, "");
    let made = create_event::run(&weekly(), &call, &transport).await.unwrap();
    let again = create_event::run(&weekly(), &call, &transport).await.unwrap();
    assert_eq!((&made.id, &made.etag), (&again.id, &again.etag));
    let events = list(&transport, &call).await;
    let starts: Vec<_> = events.iter().map(|event| event.start.as_str()).collect();
    assert_eq!(starts, ["2026-03-16T09:00:00+01:00", "2026-03-23T09:00:00+01:00", "2026-03-30T09:00:00+02:00"]);
    assert_eq!(events[0].title, "Stand-up, with Ünï");

    let change = ChangeEvent {
        id: made.id.clone(),
        etag: made.etag.clone(),
        occurrence: events[1].occurrence.clone(),
        start: Some("2026-03-23T11:00".into()),
        ..ChangeEvent::default()
    };
    let changed = change_event::run(&change, &call, &transport).await.unwrap();
    assert_ne!(changed.etag, made.etag);
    assert!(words(change_event::run(&change, &call, &transport).await).contains("read it again"));
    let moved = list(&transport, &call).await;
    assert_eq!((moved.len(), moved[1].start.as_str()), (3, "2026-03-23T11:00:00+01:00"));

    let one = DeleteEvent {
        id: made.id.clone(),
        etag: changed.etag,
        occurrence: events[2].occurrence.clone(),
        ..DeleteEvent::default()
    };
    delete_event::run(&one, &call, &transport).await.unwrap();
    let week =
        FreeBusy { from: "2026-03-16".into(), to: "2026-04-05".into(), time_zone: Some(BERLIN.into()), calendar: None };
    let busy = free_busy::run(&week, &call, &transport).await.unwrap().busy;
    assert_eq!(
        busy.iter().map(|busy| busy.start.as_str()).collect::<Vec<_>>(),
        ["2026-03-16T09:00:00+01:00", "2026-03-23T11:00:00+01:00"]
    );
    let all = DeleteEvent { id: made.id.clone(), whole_series: true, ..DeleteEvent::default() };
    delete_event::run(&all, &call, &transport).await.unwrap();
    assert!(list(&transport, &call).await.is_empty());
    assert!(words(delete_event::run(&all, &call, &transport).await).contains("no such"));
}

#[tokio::test]
async fn calendars_of_others_are_not_read_at_another_server_either() {
    let Some(cyrus) = Cyrus::start_or_skip() else { return };
    let transport = Native::default();
    let mut bobs = call(&cyrus, "");
    (bobs.secrets[1].1, bobs.secrets[2].1) = ("bob".into(), "another".into());
    let made = create_event::run(&weekly(), &bobs, &transport).await.unwrap();
    let arguments = ListEvents {
        from: "2026-03-16".into(),
        to: "2026-04-05".into(),
        time_zone: Some(BERLIN.into()),
        calendar: Some(made.calendar.clone()),
    };
    assert_eq!(list_events::run(&arguments, &bobs, &transport).await.unwrap().events.len(), 3);
    let adas = call(&cyrus, "");
    assert!(list_events::run(&arguments, &adas, &transport).await.is_err());
    let delete = DeleteEvent { id: made.id, whole_series: true, ..DeleteEvent::default() };
    assert!(delete_event::run(&delete, &adas, &transport).await.is_err());
    assert_eq!(list_events::run(&arguments, &bobs, &transport).await.unwrap().events.len(), 3);
}
