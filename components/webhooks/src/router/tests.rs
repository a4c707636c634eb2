//! The routes, natively, and what is sent to a receiver that answers from a script.

use std::cell::RefCell;

use bytes::Bytes;
use domain::{Id, User};
use futures::executor::block_on;
use http::{Method, Request, StatusCode};
use native_sqlite::SqliteFile;
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use storage::accounts::AccountChange;

use super::*;
use crate::outside::{Exchange, Unanswered};

thread_local! {
    /// What the receiver answers, one after the other; then 200.
    static ANSWERS: RefCell<Vec<Result<u16, Unanswered>>> = const { RefCell::new(Vec::new()) };
    /// What it got.
    static GOT: RefCell<Vec<Request<Bytes>>> = const { RefCell::new(Vec::new()) };
    /// How often somebody was to send what is due.
    static WOKEN: RefCell<usize> = const { RefCell::new(0) };
}

fn receiver(request: Request<Bytes>) -> Exchange {
    GOT.with_borrow_mut(|got| got.push(request));
    let answer = ANSWERS.with_borrow_mut(|answers| if answers.is_empty() { Ok(200) } else { answers.remove(0) });
    Box::pin(async move { answer.map(|status| StatusCode::from_u16(status).unwrap()) })
}

fn note<D>(_: Webhooks<D>) {
    WOKEN.with_borrow_mut(|woken| *woken += 1);
}

pub(super) fn webhooks<D: Database>(app: App<D>) -> Webhooks<D> {
    let config = Config { webhook_host: "https://*:443".to_owned() };
    Webhooks { app, config, send: receiver, soon: note }
}

struct Test {
    fixture: Fixture,
    administrator: String,
    person: User,
    token: String,
}

impl Default for Test {
    fn default() -> Self {
        let fixture = Fixture::default();
        let (_, administrator) = fixture.person("admin@example.org");
        let (person, token) = fixture.person("ada@example.org");
        Self { fixture, administrator, person, token }
    }
}

impl Test {
    fn ask(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Answer {
        send(router(webhooks(self.fixture.new_instance())), request(method, path, Some(token), body))
    }

    /// A webhook: its id and its secret.
    fn added(&self, path: &str, token: &str, events: &[&str]) -> (String, String) {
        let body = json!({ "url": "https://hooks.example/in?key=1", "events": events });
        let answer = self.ask(Method::POST, path, token, Some(&body));
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let text = |field: &str| answer.json[field].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    fn own(&self) -> Value {
        self.ask(Method::GET, "/api/webhooks", &self.token, None).json["items"].clone()
    }

    fn sender(&self) -> Webhooks<SqliteFile> {
        webhooks(self.fixture.new_instance())
    }

    /// Sends what is due by now.
    fn send_due(&self) {
        while block_on(sending::send_next(&self.sender())).unwrap() {}
    }

    fn test(&self, id: &str) {
        let answer = self.ask(Method::POST, &format!("/api/webhooks/{id}/test"), &self.token, None);
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    }
}

fn got() -> Vec<Request<Bytes>> {
    GOT.with_borrow_mut(std::mem::take)
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| {
        router_test::permissions::compare_routes("webhooks", |app| router(webhooks(app))).await;
    });
}

#[test]
fn nobody_learns_from_a_refusal_whether_there_is_something() {
    router_test::paused(async |_| router_test::others::compare_others(|app| router(webhooks(app))).await);
}

#[test]
fn only_components_that_have_webhooks_sent_wake_this_one() {
    router_test::paused(async |_| {
        let callers = [(platform::webhooks::PATH, "auth"), (platform::webhooks::PATH, "stream")];
        router_test::inside::walk("webhooks", &callers, |app| router(webhooks(app))).await;
    });
}

#[test]
fn a_webhook_is_added_listed_without_its_address_and_removed() {
    let test = Test::default();
    let (id, secret) = test.added("/api/webhooks", &test.token, &["approval.needed", "run.ended", "run.ended"]);
    assert!(secret.starts_with("whsec_"));
    let listed = test.ask(Method::GET, "/api/webhooks", &test.token, None);
    assert_eq!(listed.json["items"][0]["server"], "https://hooks.example:443");
    assert_eq!(listed.json["items"][0]["events"], json!(["run.ended", "approval.needed"]));
    assert_eq!(listed.json["events"], json!(["run.ended", "approval.needed"]));
    assert_eq!(listed.json["allowed_host"], "https://*:443");
    assert!(!listed.text.contains("key=1") && !listed.text.contains("whsec_"), "{}", listed.text);
    assert_eq!(test.ask(Method::GET, "/api/admin/webhooks", &test.administrator, None).json["items"], json!([]));
    let path = format!("/api/webhooks/{id}");
    assert_eq!(test.ask(Method::DELETE, &path, &test.token, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.ask(Method::DELETE, &path, &test.token, None).status, StatusCode::NOT_FOUND);
    assert_eq!(test.own(), json!([]));
    let record = block_on(test.fixture.app.store().audit_records(Some(test.person.id), None, 10)).unwrap();
    let actions: Vec<&str> = record.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, ["webhook.remove", "webhook.add"]);
}

#[test]
fn what_cannot_be_a_webhook_is_refused_with_words() {
    let test = Test::default();
    for (url, events, field) in [
        ("https://127.0.0.1/", vec!["run.ended"], "url"),
        ("http://hooks.example/", vec!["run.ended"], "url"),
        ("https://hooks.example/", vec![], "events"),
        ("https://hooks.example/", vec!["audit.recorded"], "events"),
        ("https://hooks.example/", vec!["run.ended", "x"], "events"),
    ] {
        let body = json!({ "url": url, "events": events });
        let answer = test.ask(Method::POST, "/api/webhooks", &test.token, Some(&body));
        assert_eq!((answer.status.as_u16(), answer.json["field"].as_str()), (422, Some(field)), "{}", answer.text);
    }
    for _ in 0..storage::webhooks::MAX_WEBHOOKS {
        test.added("/api/webhooks", &test.token, &["run.ended"]);
    }
    let body = json!({ "url": "https://hooks.example/", "events": ["run.ended"] });
    let answer = test.ask(Method::POST, "/api/webhooks", &test.token, Some(&body));
    assert_eq!((answer.status.as_u16(), answer.json["code"].as_str()), (409, Some("too_many_webhooks")));
}

#[test]
fn a_key_reads_webhooks_and_adds_none() {
    let test = Test::default();
    let (_, key) = test.fixture.api_key(&test.person, "webhooks:use");
    assert_eq!(test.ask(Method::GET, "/api/webhooks", &key, None).status, StatusCode::OK);
    let body = json!({ "url": "https://hooks.example/", "events": ["run.ended"] });
    assert_eq!(test.ask(Method::POST, "/api/webhooks", &key, Some(&body)).status, StatusCode::FORBIDDEN);
}

#[test]
fn a_message_is_sent_signed_and_once() {
    let test = Test::default();
    let (id, secret) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    test.test(&id);
    assert_eq!(WOKEN.with_borrow(|woken| *woken), 1);
    assert_eq!(test.own()[0]["waiting"], 1);
    test.send_due();
    let sent = got();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].uri(), "https://hooks.example/in?key=1");
    assert_eq!(body(&sent[0])["type"], "webhook.test");
    Webhook::new(&secret).unwrap().verify(sent[0].body(), sent[0].headers()).unwrap();
    let listed = test.own();
    assert_eq!((&listed[0]["waiting"], &listed[0]["answer"]), (&json!(0), &json!("http_200")));
    assert!(listed[0]["delivered_at"].is_string());
}

#[test]
fn a_receiver_that_fails_is_left_in_peace_and_gets_the_same_message_later() {
    let test = Test::default();
    let (id, _) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    for (answer, shown) in [
        (Ok(500), "http_500"),
        (Ok(302), "http_302"),
        (Err(Unanswered::Slow), "timeout"),
        (Err(Unanswered::Unreachable), "unreachable"),
        (Err(Unanswered::Denied), "address_not_allowed"),
    ] {
        ANSWERS.with_borrow_mut(|answers| answers.push(answer));
        // A test frees a paused webhook; the message of before is still there.
        test.test(&id);
        test.send_due();
        assert_eq!(test.own()[0]["answer"], shown);
        assert_eq!(test.own()[0]["waiting"], 1);
    }
    assert_eq!(test.own()[0]["failures"], 5);
    let ids: Vec<_> = got().iter().map(|sent| sent.headers()["webhook-id"].clone()).collect();
    assert!(ids.len() == 5 && ids.iter().all(|id| *id == ids[0]), "one message, again and again: {ids:?}");
    test.test(&id);
    test.send_due();
    assert_eq!((&test.own()[0]["waiting"], &test.own()[0]["failures"]), (&json!(0), &json!(0)));
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more_until_somebody_tries_it() {
    let test = Test::default();
    let (id, _) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    ANSWERS.with_borrow_mut(|answers| answers.push(Ok(410)));
    test.test(&id);
    test.send_due();
    assert!(test.own()[0]["stopped_at"].is_string());
    assert_eq!(test.own()[0]["waiting"], 0);
    test.test(&id);
    test.send_due();
    assert!(test.own()[0]["stopped_at"].is_null());
    assert_eq!(got().len(), 2);
}

#[test]
fn who_lost_the_permission_is_told_nothing_more() {
    let test = Test::default();
    let (id, _) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    test.test(&id);
    let _ = test.fixture.change(&test.person, AccountChange { role: Some("service"), is_suspended: None });
    test.send_due();
    assert_eq!(got().len(), 0);
    let store = test.fixture.app.store();
    let listed = block_on(store.webhooks(storage::webhooks::WebhookOwner::Person(test.person.id))).unwrap();
    assert_eq!((listed[0].waiting, listed[0].answer.as_deref()), (0, Some("not_allowed")));
}

#[test]
fn an_address_that_is_no_longer_allowed_gets_nothing() {
    let test = Test::default();
    let (id, _) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    test.test(&id);
    let narrow = Webhooks { config: Config { webhook_host: "https://other.example:443".to_owned() }, ..test.sender() };
    assert!(block_on(sending::send_next(&narrow)).unwrap());
    assert_eq!((got().len(), &test.own()[0]["answer"]), (0, &json!("address_not_allowed")));
}

#[test]
fn an_address_is_not_called_again_and_again() {
    let test = Test::default();
    let (id, _) = test.added("/api/webhooks", &test.token, &["run.ended"]);
    let path = format!("/api/webhooks/{id}/test");
    for _ in 0..10 {
        test.test(&id);
    }
    assert_eq!(test.ask(Method::POST, &path, &test.token, None).status, StatusCode::TOO_MANY_REQUESTS);
    test.send_due();
    assert_eq!(got().len(), 1, "one waits at a time");
}

#[test]
fn an_unknown_webhook_is_not_found() {
    let test = Test::default();
    let path = format!("/api/webhooks/{}/test", Id::new());
    assert_eq!(test.ask(Method::POST, &path, &test.token, None).status, StatusCode::NOT_FOUND);
}
