//! The routes, natively, over a real index.

use domain::{Id, User};
use futures::executor::block_on;
use http::{Method, StatusCode};
use router_test::{Answer, Fixture, request, send};
use serde_json::Value;
use storage::messages::{Appended, IncomingMessage};

use super::*;

pub(super) fn with<D: Database>(app: App<D>, has_index: bool) -> Search<D> {
    Search { app, config: Config { has_index }, soon: |_| {} }
}

pub(super) fn routes<D: Database + 'static>(app: App<D>) -> Router {
    router(with(app, true))
}

struct Test {
    fixture: Fixture,
    ada: User,
    token: String,
}

impl Default for Test {
    fn default() -> Self {
        let fixture = Fixture::default();
        let (ada, token) = fixture.person("ada@example.org");
        Self { fixture, ada, token }
    }
}

impl Test {
    fn conversation(&self, title: &str) -> Id {
        block_on(self.fixture.app.store().create_conversation(self.ada.id, title, None)).unwrap().id
    }

    /// Says something, and returns the message.
    fn say(&self, conversation_id: Id, content: &str) -> Id {
        let incoming = IncomingMessage { content, title: "", default_model: "m", ..IncomingMessage::default() };
        let sent = block_on(self.fixture.app.store().append_message(self.ada.id, conversation_id, &incoming));
        let Appended::Stored(message, run, _) = sent.unwrap() else { panic!("not stored") };
        block_on(self.fixture.app.store().request_cancel(self.ada.id, run.id, false)).unwrap();
        message.id
    }

    fn ask(&self, query: &str) -> Answer {
        let path = format!("/api/search?{query}");
        send(routes(self.fixture.new_instance()), request(Method::GET, &path, Some(&self.token), None))
    }

    fn found(&self, typed: &str) -> Vec<Value> {
        let answer = self.ask(&format!("q={}", typed.replace(' ', "%20").replace('"', "%22")));
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json["items"].as_array().unwrap().clone()
    }
}

/// A snippet with its marks as brackets.
fn marked(result: &Value) -> String {
    let piece = |piece: &Value| {
        let text = piece["text"].as_str().unwrap();
        if piece["match"] == true { format!("[{text}]") } else { text.to_owned() }
    };
    result["snippet"].as_array().unwrap().iter().map(piece).collect()
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |_| router_test::permissions::compare_routes("search", routes).await);
}

#[test]
fn only_the_component_that_does_what_nobody_waits_for_wakes_this_one() {
    router_test::paused(async |_| {
        router_test::inside::walk("search", &[(platform::search::PATH, "auth")], routes).await;
    });
}

#[test]
fn what_was_just_said_is_found_with_the_words_marked() {
    let test = Test::default();
    let conversation = test.conversation("A trip to the mountains");
    let message = test.say(conversation, "Where are the cabins that we rented last summer?");
    let found = test.found("cabin");
    assert_eq!(found.len(), 1);
    assert_eq!(marked(&found[0]), "Where are the [cabins] that we rented last summer?");
    let text = |field: &str| found[0][field].as_str().unwrap().to_owned();
    assert_eq!((text("kind"), text("id"), text("role")), ("message".into(), message.to_string(), "user".into()));
    assert_eq!((text("conversation_id"), text("title")), (conversation.to_string(), "A trip to the mountains".into()));
    assert_eq!(found[0]["position"], 1);
    let title = test.found("mountain");
    assert_eq!((marked(&title[0]).as_str(), &title[0]["kind"]), ("A trip to the [mountains]", &"conversation".into()));
    assert_eq!((&title[0]["role"], &title[0]["position"]), (&Value::Null, &Value::Null));
}

#[test]
fn mistyped_words_and_beginnings_are_found() {
    let test = Test::default();
    test.say(test.conversation(""), "The reimbursement of the Wohnungsmiete");
    for typed in ["reimbursment", "riembursement", "reimb", "reimbursing", "Wohnungsmieten"] {
        assert_eq!(test.found(typed).len(), 1, "{typed}");
    }
    for typed in ["reimb ", "invoice", "the"] {
        assert_eq!(test.found(typed).len(), 0, "{typed}");
    }
}

#[test]
fn phrases_and_filters_leave_the_others_out() {
    let test = Test::default();
    let (trips, other) = (test.conversation("Trips"), test.conversation("Other"));
    test.say(trips, "the red cabin");
    test.say(other, "a cabin that is red");
    assert_eq!(test.found("red cabin").len(), 2);
    assert_eq!(test.found("\"red cabin\"").len(), 1);
    assert_eq!(test.found("cabin in:trips").len(), 1);
    assert_eq!(test.found(&format!("cabin in:{other}")).len(), 1);
    for typed in ["cabin in:files", "cabin before:2020", "cabin from:assistant", "in:trips"] {
        assert_eq!(test.found(typed).len(), 0, "{typed}");
    }
    assert_eq!(test.found("cabin from:me after:2020 in:messages").len(), 2);
}

#[test]
fn pages_follow_each_other_to_the_last() {
    let test = Test::default();
    for number in 0..5 {
        test.say(test.conversation(""), &format!("cabin number {number}"));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = test.ask(&format!("q=cabin&limit=2{cursor}")).json;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        assert!(seen.len() < 6);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    for wrong in ["q=", "q=%20", "limit=2", &format!("q={}", "x".repeat(600)), "q=x&cursor=y", "q=x&limit=0"] {
        assert_eq!(test.ask(wrong).status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[test]
fn whoever_searches_again_and_again_waits_and_nobody_else_does() {
    let test = Test::default();
    // Some more than a minute's: one is given back each second.
    let refused = (0..300).map(|_| test.ask("q=x")).find(|answer| answer.status != StatusCode::OK).unwrap();
    assert_eq!((refused.status, &refused.json["code"]), (StatusCode::TOO_MANY_REQUESTS, &"rate_limited".into()));
    let (_, token) = test.fixture.person("eve@example.org");
    let router = routes(test.fixture.new_instance());
    assert_eq!(send(router, request(Method::GET, "/api/search?q=x", Some(&token), None)).status, StatusCode::OK);
}

#[test]
fn somebody_elses_texts_and_temporary_chats_are_not_found() {
    let test = Test::default();
    test.say(test.conversation("cabin"), "cabin");
    let temporary = block_on(test.fixture.app.store().begin_temporary_conversation(test.ada.id, None));
    test.say(temporary.unwrap().unwrap().id, "secret cabin");
    assert_eq!(test.found("cabin").len(), 2);
    let (_, token) = test.fixture.person("eve@example.org");
    let router = routes(test.fixture.new_instance());
    let answer = send(router, request(Method::GET, "/api/search?q=cabin", Some(&token), None));
    assert_eq!((answer.status, answer.json["items"].as_array().unwrap().len()), (StatusCode::OK, 0));
}

#[test]
fn an_index_that_is_turned_off_says_so_and_is_emptied() {
    let test = Test::default();
    test.say(test.conversation("cabin"), "cabin");
    assert_eq!(test.found("cabin").len(), 2);
    let off = || with(test.fixture.new_instance(), false);
    let answer = send(router(off()), request(Method::GET, "/api/search?q=cabin", Some(&test.token), None));
    assert_eq!((answer.status, answer.json["code"].as_str()), (StatusCode::FORBIDDEN, Some("search_off")));
    while block_on(indexing::step(&off(), None)).unwrap() {}
    let index = block_on(test.fixture.app.store().search_index(test.ada.id)).unwrap();
    assert!(index.keys.is_empty());
    // As soon as it is turned on again, everything is found.
    assert_eq!(test.found("cabin").len(), 2);
}
