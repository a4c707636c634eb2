//! Limits over HTTP, and what was used.

use domain::{RunState, Usage, prices::Prices};
use futures::executor::block_on;
use http::{Method, StatusCode};
use models::Pricing;
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};
use storage::{
    messages::{Appended, IncomingMessage},
    runs::{Batch, Ending, Lease},
};

use super::*;

const PRICES: &str = r#"{"currency": "EUR", "models": {"m": {"input": 1, "output": 2}}}"#;

fn ask(fixture: &Fixture, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let settings = vec![("signup", "open".to_owned()), ("person_requests_per_minute", "30".to_owned())];
    let config = Config { settings, pricing: Pricing::new(Prices::parse(PRICES).unwrap()), ..Config::default() };
    let router = router(fixture.new_instance(), config);
    send(router, request(method, &format!("/api/admin{path}"), Some(token), body.as_ref()))
}

#[test]
fn limits_are_set_listed_removed_and_recorded() {
    let fixture = Fixture::default();
    let (admin, token) = fixture.person("admin@example.org");
    let set = |subject: &str, limits: Value| {
        ask(&fixture, &token, Method::PUT, "/limits", Some(json!({"subject": subject, "limits": limits})))
    };
    let user = format!("user:{}", admin.id);
    let made = set(&user, json!({"tokens_per_day": 1_000, "cost_per_month": 5_000_000}));
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert_eq!(made.json["name"], "admin@example.org");
    assert_eq!(made.json["limits"]["tokens_per_day"], json!({"amount": 1_000, "taken": 0}));
    assert_eq!(set("role:member", json!({"person_requests_per_minute": 0})).status, StatusCode::OK);
    let list = ask(&fixture, &token, Method::GET, "/limits", None).json;
    let subjects: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["subject"].clone()).collect();
    assert_eq!(subjects, [json!("role:member"), json!(user)]);
    assert_eq!((&list["currency"], &list["defaults"]), (&json!("EUR"), &json!({"person_requests_per_minute": "30"})));
    let record = block_on(fixture.app.store().audit_records(Some(admin.id), None, 1)).unwrap().remove(0);
    assert_eq!((record.action.as_str(), record.subject.as_str()), ("limits.set", "role:member"));
    assert_eq!(record.detail.as_deref(), Some("none -> person_requests_per_minute=0"));
    assert_eq!(set(&user, json!({"tokens_per_day": null})).json["limits"], json!({}));
    let record = block_on(fixture.app.store().audit_records(Some(admin.id), None, 1)).unwrap().remove(0);
    assert_eq!(record.detail.as_deref(), Some("cost_per_month=5000000 tokens_per_day=1000 -> none"));
}

#[test]
fn a_budget_of_money_without_prices_is_warned_of() {
    let fixture = Fixture::default();
    let (_, token) = fixture.person("admin@example.org");
    let body = json!({"subject": "installation", "limits": {"cost_per_day": 1}});
    assert_eq!(ask(&fixture, &token, Method::PUT, "/limits", Some(body)).status, StatusCode::OK);
    let warning = |prices: &str| {
        let config = Config { pricing: Pricing::new(Prices::read(prices)), ..Config::default() };
        let request = request(Method::GET, "/api/admin/limits", Some(&token), None);
        send(router(fixture.new_instance(), config), request).json["warning"].clone()
    };
    assert!(warning("{").as_str().unwrap().contains("cannot be read"));
    assert!(warning("").as_str().unwrap().contains("table of known models"));
    assert_eq!(warning(PRICES), Value::Null);
}

#[test]
fn a_limit_that_makes_no_sense_is_refused_with_its_field() {
    let fixture = Fixture::default();
    let (_, token) = fixture.person("admin@example.org");
    for (subject, limits, field) in [
        ("nobody", json!({}), "subject"),
        ("installation:x", json!({}), "subject"),
        ("role:none", json!({}), "subject"),
        ("user:01a22aa8-e201-7298-b178-19a01588514f", json!({}), "subject"),
        ("role:member", json!({"tokens_per_day": 1}), "limits"),
        ("installation", json!({"person_requests_per_minute": 1}), "limits"),
        ("installation", json!({"words_per_day": 1}), "limits"),
        ("installation", json!({"tokens_per_day": 2_000_000_000_000_000_u64}), "limits"),
    ] {
        let body = json!({"subject": subject, "limits": limits});
        let refused = ask(&fixture, &token, Method::PUT, "/limits", Some(body));
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!(field)), "{subject} {limits}");
    }
}

#[test]
fn usage_says_what_it_cost_and_what_has_no_price() {
    let fixture = Fixture::default();
    let (admin, token) = fixture.person("admin@example.org");
    let store = fixture.app.store();
    for model in ["m", "other"] {
        block_on(async {
            let conversation = store.create_conversation(admin.id, "", None).await.unwrap().id;
            let incoming = IncomingMessage { content: "x", default_model: model, ..IncomingMessage::default() };
            let sent = store.append_message(admin.id, conversation, &incoming).await.unwrap();
            let Appended::Stored(_, run, _) = sent else { panic!("{sent:?}") };
            let lease = Lease { run_id: run.id, owner: domain::Id::new() };
            store.claim(lease, 60_000, "").await.unwrap().unwrap();
            let usage = Some(Usage { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 });
            let (state, batch) = (RunState::Complete, Batch::default());
            let ending = Ending { state, failure: None, usage, message: None, batch };
            assert!(store.finish_run(lease, &ending).await.unwrap());
        });
    }
    let usage = ask(&fixture, &token, Method::GET, "/usage", None).json;
    let person = &usage["items"][0];
    assert_eq!(
        (&person["runs"], &person["prompt_tokens"], &person["completion_tokens"]),
        (&json!(2), &json!(200), &json!(100))
    );
    assert_eq!(
        (&person["cost"], &person["unpriced_tokens"], &usage["currency"]),
        (&json!(200), &json!(150), &json!("EUR"))
    );
}
