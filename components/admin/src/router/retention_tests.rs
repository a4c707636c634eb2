//! How long conversations are kept, over HTTP.

use futures::executor::block_on;
use http::{Method, StatusCode};
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};

use super::*;

fn ask(fixture: &Fixture, token: &str, method: Method, body: Option<Value>) -> Answer {
    let router = router(fixture.new_instance(), Config::default());
    send(router, request(method, "/api/admin/retention", Some(token), body.as_ref()))
}

#[test]
fn rules_are_set_listed_removed_and_recorded() {
    let fixture = Fixture::default();
    let (admin, token) = fixture.person("admin@example.org");
    let set = |subject: &str, days: Value| {
        ask(&fixture, &token, Method::PUT, Some(json!({"subject": subject, "days": days})))
    };
    let rules = |answer: &Answer| -> Vec<(Value, Value)> {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let items = answer.json["items"].as_array().unwrap().iter();
        items.map(|item| (item["subject"].clone(), item["days"].clone())).collect()
    };
    assert_eq!(rules(&ask(&fixture, &token, Method::GET, None)), []);
    set("installation", json!(30));
    let both = [(json!("installation"), json!(30)), (json!("role:member"), json!(0))];
    assert_eq!(rules(&set("role:member", json!(0))), both);
    assert_eq!(rules(&ask(&fixture, &token, Method::GET, None)), both);
    assert_eq!(rules(&set("installation", json!(null))), both[1..]);
    let records = block_on(fixture.app.store().audit_records(Some(admin.id), None, 3)).unwrap();
    let told = |record: &storage::audit::AuditRecord| {
        (record.action.clone(), record.subject.clone(), record.detail.clone().unwrap_or_default())
    };
    let expected = [("installation", "none"), ("role:member", "days=0"), ("installation", "days=30")];
    let expected =
        expected.map(|(subject, detail)| ("retention.set".to_owned(), subject.to_owned(), detail.to_owned()));
    assert_eq!(records.iter().map(told).collect::<Vec<_>>(), expected);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_its_field() {
    let fixture = Fixture::default();
    let (_, token) = fixture.person("admin@example.org");
    for (subject, days, field) in
        [("role:none", 1, "subject"), ("user:x", 1, "subject"), ("", 1, "subject"), ("installation", 3_651, "days")]
    {
        let refused = ask(&fixture, &token, Method::PUT, Some(json!({"subject": subject, "days": days})));
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!(field)), "{subject}");
    }
}
