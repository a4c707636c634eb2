//! The tools against a real CalDAV server: everything but the way out is what runs in the component.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod agreement;
mod corpus;
mod cyrus;
mod hostile;
mod reading;
mod scripted;
mod server;
mod writing;

use std::{cell::RefCell, time::Duration};

use http::{Request, Response};
use tool_provider::{Context, Failure};

use crate::{
    change_event, create_event,
    create_event::{CreateEvent, Created},
    list_events,
    list_events::{Event, ListEvents},
    transport::Transport,
};
use server::{PEOPLE, Radicale};

const BERLIN: &str = "Europe/Berlin";

/// The machine's HTTP. Redirects are answers, as in the component.
struct Native {
    client: reqwest::Client,
    /// What was sent: method and path.
    sent: RefCell<Vec<String>>,
}

impl Transport for Native {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Failure> {
        self.sent.borrow_mut().push(format!("{} {}", request.method(), request.uri().path()));
        // The component's client would send it in chunks, which Radicale takes for an empty one.
        assert!(request.body().is_empty() || request.headers().contains_key("content-length"));
        let failed = |error: reqwest::Error| Failure::UpstreamFailed(error.to_string());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response = self.client.execute(request).await.map_err(failed)?;
        let mut answer = Response::builder().status(response.status());
        *answer.headers_mut().unwrap() = response.headers().clone();
        Ok(answer.body(response.bytes().await.map_err(failed)?.to_vec()).unwrap())
    }
}

fn native() -> Native {
    // A connection for each request, as in the component.
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().pool_max_idle_per_host(0);
    Native { client: client.build().unwrap(), sent: RefCell::default() }
}

/// A call with a name, of a person who entered this address.
fn call_at(id: &str, person: usize, address: &str) -> Context {
    let (name, password) = PEOPLE[person];
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Context {
        id: id.into(),
        locale: "en".into(),
        deadline: Duration::from_secs(60),
        secrets: vec![secret("url", address), secret("username", name), secret("password", password)],
    }
}

/// A server with a calendar "Work" of ada's, and her tools.
struct World {
    transport: Native,
    radicale: Radicale,
}

impl World {
    async fn start_or_skip() -> Option<Self> {
        let radicale = Radicale::start_or_skip()?;
        let world = Self { transport: native(), radicale };
        world.make_calendar("ada", "work", "Work").await;
        Some(world)
    }

    async fn raw(&self, person: usize, method: &str, path: &str, body: String) -> reqwest::Response {
        let (name, password) = PEOPLE[person];
        let url = format!("{}{path}", self.radicale.url);
        let request = self.transport.client.request(method.parse().unwrap(), url).basic_auth(name, Some(password));
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

    /// Stores an event that another program wrote.
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
        let arguments = ListEvents { from: from.into(), to: to.into(), time_zone: BERLIN.into(), calendar: None };
        let listed = list_events::run(&arguments, &self.call("list"), &self.transport).await.unwrap();
        assert!(listed.notes.is_empty(), "{:?}", listed.notes);
        listed.events
    }

    async fn starts(&self, from: &str, to: &str) -> Vec<String> {
        self.list(from, to).await.into_iter().map(|event| event.start).collect()
    }
}

/// On Mondays at nine, from three weeks before the clocks change on.
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
