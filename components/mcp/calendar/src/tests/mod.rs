//! The tools against a real CalDAV server. Everything but the way out is the code of the component.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agreement;
mod corpus;
mod cyrus;
mod hostile;
mod reading;
mod scripted;
mod server;
mod writing;

use std::time::Duration;

use scripted_server::{Native, Scripted, answer};
use tool_provider::{Context, Failure};

use crate::{
    change_event, create_event,
    create_event::{CreateEvent, Created},
    list_events,
    list_events::{Event, ListEvents},
};
use server::{PEOPLE, Radicale};

const BERLIN: &str = "Europe/Berlin";

/// The context of a call, of a person who entered this address.
fn call_at(id: &str, person: usize, address: &str) -> Context {
    let (name, password) = PEOPLE[person];
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Context {
        id: id.into(),
        preferences: Vec::new(),
        deadline: Duration::from_secs(60),
        secrets: vec![secret("url", address), secret("username", name), secret("password", password)],
    }
}

/// A server with ada's calendar "Work", and her tools.
struct World {
    transport: Native,
    radicale: Radicale,
}

impl World {
    async fn start_or_skip() -> Option<Self> {
        let radicale = Radicale::start_or_skip()?;
        let world = Self { transport: Native::default(), radicale };
        world.make_calendar("ada", "work", "Work").await;
        Some(world)
    }

    async fn raw(&self, person: usize, method: &str, path: &str, body: String) -> reqwest::Response {
        let (name, password) = PEOPLE[person];
        let url = format!("{}{path}", self.radicale.url);
        let request = self.transport.client().request(method.parse().unwrap(), url).basic_auth(name, Some(password));
        request.body(body).send().await.unwrap()
    }

    async fn make_calendar(&self, person: &str, folder: &str, name: &str) {
        let body = format!(
            r#"<c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:set><d:prop><d:displayname>{name}</d:displayname></d:prop></d:set></c:mkcalendar>"#
        );
        let index = PEOPLE.iter().position(|(known, _)| *known == person).unwrap();
        let made = self.raw(index, "MKCALENDAR", &format!("/{person}/{folder}/"), body).await;
        assert!(made.status().is_success(), "{made:?}");
    }

    /// Stores an event of another program.
    async fn store(&self, name: &str, lines: &str) -> String {
        let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{lines}\nEND:VCALENDAR\n").replace('\n', "\r\n");
        let id = format!("/ada/work/{name}.ics");
        let stored = self.raw(0, "PUT", &id, text).await;
        assert!(stored.status().is_success(), "{}", stored.text().await.unwrap());
        id
    }

    async fn text(&self, id: &str) -> String {
        self.raw(0, "GET", id, String::new()).await.text().await.unwrap()
    }

    fn call_at(&self, id: &str, person: usize, address: &str) -> Context {
        call_at(id, person, address)
    }

    fn call(&self, id: &str) -> Context {
        call_at(id, 0, &self.radicale.url)
    }

    async fn create(&self, arguments: CreateEvent) -> Created {
        create_event::run(&arguments, &self.call("create"), &self.transport).await.unwrap()
    }

    async fn change(&self, arguments: change_event::ChangeEvent) -> Result<Created, Failure> {
        change_event::run(&arguments, &self.call("change"), &self.transport).await
    }

    async fn list(&self, from: &str, to: &str) -> Vec<Event> {
        let arguments = ListEvents { from: from.into(), to: to.into(), time_zone: Some(BERLIN.into()), calendar: None };
        let listed = list_events::run(&arguments, &self.call("list"), &self.transport).await.unwrap();
        assert!(listed.notes.is_empty(), "{:?}", listed.notes);
        listed.events
    }

    async fn starts(&self, from: &str, to: &str) -> Vec<String> {
        self.list(from, to).await.into_iter().map(|event| event.start).collect()
    }
}

/// Every Monday at nine, beginning three weeks before the clocks change.
fn weekly() -> CreateEvent {
    CreateEvent {
        title: "Stand-up, with Ünï".into(),
        start: "2026-03-09T09:00".into(),
        duration_minutes: Some(30),
        time_zone: Some(BERLIN.into()),
        recurrence: Some("FREQ=WEEKLY;COUNT=6".into()),
        ..CreateEvent::default()
    }
}

fn words<T>(result: Result<T, Failure>) -> String {
    match result {
        Ok(_) => panic!("it worked"),
        Err(Failure::InvalidArguments(words) | Failure::NotConfigured(words) | Failure::UpstreamFailed(words)) => words,
        Err(Failure::TimedOut) => panic!("it took too long"),
    }
}
