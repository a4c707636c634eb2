//! What somebody gets who sends too much, or whose budget is used up.

use domain::{Id, User};
use futures::executor::block_on;
use http::{Method, StatusCode};
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};
use storage::{
    groups::GroupSaved,
    limits::{LimitKind, LimitsSet, Subject},
};
use web::limits::Rates;

use super::*;

struct Test {
    fixture: Fixture,
    user: User,
    token: String,
    rates: Rates,
}

impl Test {
    fn new(rates: [&str; 3]) -> Self {
        let fixture = Fixture::default();
        let (user, token) = fixture.person("ada@example.org");
        Self { fixture, user, token, rates: Rates::parse(rates) }
    }

    fn send(&self, token: &str, path: &str, body: Option<Value>) -> Answer {
        let config = Config { rates: self.rates, ..tests::config("") };
        let router = router(self.fixture.new_instance(), Arc::new(config), |_, _, _| {});
        send(router, request(Method::POST, path, Some(token), body.as_ref()))
    }

    fn say(&self, token: &str) -> Answer {
        let made = self.send(token, "/api/conversations", Some(json!({})));
        assert_eq!(made.status, StatusCode::CREATED, "making a conversation is not counted");
        let path = format!("/api/conversations/{}/messages", made.json["id"].as_str().unwrap());
        self.send(token, &path, Some(json!({"content": "hello"})))
    }

    fn set(&self, subject: &str, limits: &[(LimitKind, u64)]) {
        let subject = Subject::parse(subject).unwrap();
        let set = block_on(self.fixture.app.store().set_limits(&subject, true, limits)).unwrap();
        assert!(matches!(set, LimitsSet::Set { .. }), "{set:?}");
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers[name].to_str().unwrap()
}

#[test]
fn who_sends_too_much_learns_what_is_left_and_when_to_go_on() {
    let test = Test::new(["100", "3", "0"]);
    let first = test.say(&test.token);
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(header(&first, "ratelimit-policy"), "\"installation\";q=100;w=60, \"person\";q=3;w=60");
    assert!(header(&first, "ratelimit").starts_with("\"installation\";r=99;"), "{:?}", first.headers);
    assert!(header(&first, "ratelimit").contains("\"person\";r=2;t=20"), "{:?}", first.headers);
    for _ in 0..2 {
        assert_eq!(test.say(&test.token).status, StatusCode::CREATED);
    }
    let refused = test.say(&test.token);
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (429, &json!("rate_limited")));
    assert_eq!(refused.json["limit"], "person");
    let wait_s: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait_s), "{wait_s}");
    assert!(header(&refused, "ratelimit").contains("\"person\";r=0;"), "{:?}", refused.headers);
    let (_, other) = test.fixture.person("eve@example.org");
    assert_eq!(test.say(&other).status, StatusCode::CREATED, "the limit is a person's");
}

#[test]
fn a_retry_counts_as_a_message() {
    let test = Test::new(["0", "2", "0"]);
    let sent = test.say(&test.token).json;
    let run = format!("/api/runs/{}", sent["run"]["id"].as_str().unwrap());
    assert_eq!(test.send(&test.token, &format!("{run}/cancel"), None).status, StatusCode::ACCEPTED);
    let retried = test.send(&test.token, &format!("{run}/retry"), None);
    assert_eq!(retried.status, StatusCode::CREATED);
    assert!(header(&retried, "ratelimit").contains("\"person\";r=0;"), "{:?}", retried.headers);
    let run = format!("/api/runs/{}", retried.json["run"]["id"].as_str().unwrap());
    assert_eq!(test.send(&test.token, &format!("{run}/cancel"), None).status, StatusCode::ACCEPTED);
    assert_eq!(test.send(&test.token, &format!("{run}/retry"), None).status, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn what_makes_no_work_takes_nothing_and_says_what_is_left() {
    let test = Test::new(["0", "2", "0"]);
    let sent = test.say(&test.token).json;
    let messages = format!("/api/conversations/{}/messages", sent["message"]["conversation_id"].as_str().unwrap());
    let retry = |run: &str| test.send(&test.token, &format!("/api/runs/{run}/retry"), None);
    let refused = test.send(&test.token, &messages, Some(json!({"content": "again"})));
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (409, &json!("run_active")));
    assert!(header(&refused, "ratelimit").starts_with("\"person\";r=1;"), "{:?}", refused.headers);
    assert_eq!(retry(sent["run"]["id"].as_str().unwrap()).json["code"], "not_retryable");
    assert_eq!(retry(&Id::new().to_string()).status, StatusCode::NOT_FOUND);
    assert!(header(&test.say(&test.token), "ratelimit").starts_with("\"person\";r=0;"));
    assert_eq!(test.say(&test.token).status, StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn a_role_and_a_key_have_limits_of_their_own() {
    let test = Test::new(["0", "1", "1"]);
    test.set("role:service", &[(LimitKind::PersonRequests, 0), (LimitKind::SessionRequests, 2)]);
    let (service, _) = test.fixture.person_with("program@example.org", "service");
    let token = test.fixture.token_of(&service, Id::new());
    assert_eq!(test.say(&token).status, StatusCode::CREATED);
    assert_eq!(test.say(&token).status, StatusCode::CREATED);
    assert_eq!(test.say(&token).json["limit"], "session", "the person has none, the session has two");
    let (key_id, key) = test.fixture.api_key(&service, "conversations:write tools:call:* models:use:*");
    test.set(&format!("key:{key_id}"), &[(LimitKind::SessionRequests, 1)]);
    assert_eq!(test.say(&key).status, StatusCode::CREATED);
    assert_eq!(test.say(&key).json["limit"], "key");
}

#[test]
fn a_budget_that_is_used_up_refuses_with_words_and_the_time_at_which_it_renews() {
    let test = Test::new(["0", "0", "0"]);
    test.set(&format!("user:{}", test.user.id), &[(LimitKind::TokensPerDay, 0)]);
    let refused = test.say(&test.token);
    assert_eq!((refused.status.as_u16(), &refused.json["code"]), (429, &json!("budget")));
    assert_eq!(refused.json["limit"], "user");
    assert!(refused.json["detail"].as_str().unwrap().contains("It renews at 00:00 UTC"), "{}", refused.json);
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() <= 86_400);
    let (_, other) = test.fixture.person("eve@example.org");
    assert_eq!(test.say(&other).status, StatusCode::CREATED, "it is another person's");
    let group = match block_on(test.fixture.app.store().create_group("g", &[])).unwrap() {
        GroupSaved::Saved(group) => group.id,
        other => panic!("{other:?}"),
    };
    test.set(&format!("group:{group}"), &[(LimitKind::TokensPerDay, 0)]);
    assert_eq!(test.say(&other).status, StatusCode::CREATED, "they are not in this group");
}

#[test]
fn everybody_sees_what_they_used_and_what_is_left() {
    let test = Test::new(["0", "0", "0"]);
    test.set(&format!("user:{}", test.user.id), &[(LimitKind::TokensPerDay, 100)]);
    test.say(&test.token);
    let config = Config { rates: test.rates, ..tests::config("") };
    let router = router(test.fixture.new_instance(), Arc::new(config), |_, _, _| {});
    let usage = send(router, request(Method::GET, "/api/usage", Some(&test.token), None)).json;
    assert_eq!((&usage["runs"], &usage["days"]), (&json!(1), &json!(30)));
    assert_eq!(usage["budgets"], json!([{"of": "user", "kind": "tokens_per_day", "amount": 100, "left": 100}]));
}
