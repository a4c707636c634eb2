//! Assistants, over HTTP requests: whose they are, with whom they are shared, and what a conversation takes from them.

use domain::User;
use futures::executor::block_on;
use http::{Method, StatusCode};
use identity::Purpose;
use router_test::{Answer, request, send};
use serde_json::{Value, json};
use storage::groups::GroupSaved;

use super::{
    tests::{Test, code},
    *,
};

/// Ada, who asks; and others.
struct People {
    test: Test,
    ben: (User, String),
}

impl People {
    fn new() -> Self {
        // The first account is an administrator's.
        let mut test = Test::new();
        let (ada, token) = test.fixture.person_with("ada.member@example.org", "member");
        (test.user_id, test.token) = (ada.id, token);
        let ben = test.fixture.person_with("ben@example.org", "member");
        Self { test, ben }
    }

    fn ada(&self, method: Method, path: &str, body: Value) -> Answer {
        self.test.send(method, path, Some(body))
    }

    fn ben(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        send(self.test.router(), request(method, path, Some(&self.ben.1), body))
    }

    fn make(&self, body: Value) -> Answer {
        let made = self.ada(Method::POST, "/api/assistants", body);
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        made
    }

    /// A group with these members. Their tokens are void then, so Ada and Ben get new ones.
    fn group(&mut self, name: &str, members: &[Id]) -> String {
        let store = self.test.fixture.app.store();
        let GroupSaved::Saved(group) = block_on(store.create_group(name, &[])).unwrap() else { panic!() };
        for member in members {
            assert!(block_on(store.add_group_member(group.id, *member)).unwrap());
        }
        (self.test.token, self.ben.1) = (self.token(self.test.user_id), self.token(self.ben.0.id));
        group.id.to_string()
    }

    fn token(&self, user_id: Id) -> String {
        let user = block_on(self.test.fixture.app.store().user(user_id)).unwrap().unwrap();
        self.test.fixture.token(&user, Purpose::Session)
    }

    fn recorded(&self) -> Vec<(String, Option<String>)> {
        let records = block_on(self.test.fixture.app.store().audit_records(None, None, 50)).unwrap();
        let own = records.into_iter().filter(|record| record.action.starts_with("assistant."));
        own.map(|record| (record.action, record.detail)).collect()
    }
}

fn path(made: &Answer) -> String {
    format!("/api/assistants/{}", made.json["id"].as_str().unwrap())
}

#[test]
fn an_assistant_is_made_read_changed_and_deleted_by_its_owner_and_is_nobody_elses() {
    let people = People::new();
    let settings = json!({"instructions": "Translate into English.", "temperature": 0.2});
    let made =
        people.make(json!({"name": " Translator ", "description": "Into English", "model": "m", "settings": settings}));
    assert_eq!(
        (&made.json["name"], &made.json["own"], &made.json["groups"]),
        (&json!("Translator"), &json!(true), &json!([]))
    );
    let read = people.test.send(Method::GET, &path(&made), None);
    assert_eq!(read.json, made.json);
    let changed = people.ada(Method::PATCH, &path(&made), json!({"settings": {"temperature": null}, "model": null}));
    assert_eq!((&changed.json["settings"]["temperature"], &changed.json["model"]), (&Value::Null, &Value::Null));
    assert_eq!(changed.json["settings"]["instructions"], "Translate into English.", "what is not said stays");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let theirs = people.ben(method.clone(), &path(&made), (method == Method::PATCH).then_some(&json!({})));
        assert_eq!(code(&theirs), (404, "not_found"), "{method}");
    }
    assert_eq!(people.ben(Method::GET, "/api/assistants", None).json["items"], json!([]));
    let again = people.ada(Method::POST, "/api/assistants", json!({"name": "translator"}));
    assert_eq!(code(&again), (409, "name_taken"));
    for (field, body) in [
        ("name", json!({"description": "no name"})),
        ("name", json!({"name": "x".repeat(61)})),
        ("description", json!({"name": "n", "description": "x".repeat(501)})),
        ("model", json!({"name": "n", "model": "nobody has this"})),
        ("settings.temperature", json!({"name": "n", "settings": {"temperature": 9}})),
        ("groups", json!({"name": "n", "groups": ["no id"]})),
    ] {
        let refused = people.ada(Method::POST, "/api/assistants", body);
        assert_eq!(
            (code(&refused), &refused.json["field"]),
            ((422, "invalid_field"), &json!(field)),
            "{}",
            refused.text
        );
    }
    assert_eq!(people.test.send(Method::DELETE, &path(&made), None).status, StatusCode::NO_CONTENT);
    assert_eq!(code(&people.test.send(Method::GET, &path(&made), None)), (404, "not_found"));
    let recorded = people.recorded().into_iter().map(|(action, _)| action).collect::<Vec<_>>();
    assert_eq!(recorded, ["assistant.delete", "assistant.create"]);
}

#[test]
fn members_of_a_group_use_what_is_shared_with_it_and_do_not_change_it() {
    let mut people = People::new();
    let (ada, ben) = (people.test.user_id, people.ben.0.id);
    let (team, other) = (people.group("team", &[ada, ben]), people.group("other", &[ben]));
    let mine = people.test.send(Method::GET, "/api/groups", None).json;
    assert_eq!(mine["items"], json!([{"id": team, "name": "team"}]));
    let refused = people.ada(Method::POST, "/api/assistants", json!({"name": "n", "groups": [other]}));
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("groups")));
    let made = people.make(json!({"name": "Translator", "groups": [team], "settings": {"instructions": "Translate."}}));
    assert_eq!(made.json["groups"], json!([{"id": team, "name": "team"}]));
    let theirs = people.ben(Method::GET, &path(&made), None).json;
    assert_eq!(
        (&theirs["own"], &theirs["groups"]),
        (&json!(false), &Value::Null),
        "with whom else is no matter of theirs"
    );
    assert_eq!(theirs["settings"]["instructions"], "Translate.");
    for (method, body) in [(Method::PATCH, Some(json!({"name": "Mine"}))), (Method::DELETE, None)] {
        let refused = people.ben(method, &path(&made), body.as_ref());
        assert_eq!((code(&refused), &refused.json["permission"]), ((403, "forbidden"), &json!("assistants:manage")));
    }
    let unshared = people.ada(Method::PATCH, &path(&made), json!({"groups": []}));
    assert_eq!(unshared.json["groups"], json!([]));
    assert_eq!(code(&people.ben(Method::GET, &path(&made), None)), (404, "not_found"));
    let shared = |detail: &str| ("assistant.share".to_owned(), Some(detail.to_owned()));
    assert_eq!(people.recorded(), [shared("nobody"), shared(&team), ("assistant.create".to_owned(), None)]);
}

#[test]
fn whoever_left_a_group_changes_nothing_for_its_members_any_more() {
    let mut people = People::new();
    let (ada, ben) = (people.test.user_id, people.ben.0.id);
    let team = people.group("team", &[ada, ben]);
    let made = people.make(json!({"name": "Translator", "groups": [team]}));
    let store = people.test.fixture.app.store();
    block_on(store.remove_group_member(team.parse().unwrap(), ada)).unwrap();
    people.test.token = people.token(ada);
    let change = json!({"settings": {"instructions": "Tell me everything."}});
    let refused = people.ada(Method::PATCH, &path(&made), change.clone());
    assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("groups")));
    let mut alone = change;
    alone["groups"] = json!([]);
    assert_eq!(people.ada(Method::PATCH, &path(&made), alone).status, StatusCode::OK, "for themselves");
}

#[test]
fn who_may_not_share_keeps_assistants_for_themselves() {
    let mut people = People::new();
    let (user, _) = people.test.fixture.person_with("program@example.org", "service");
    let team = people.group("team", &[user.id]);
    let token = people.token(user.id);
    let ask =
        |method, path: &str, body: &Value| send(people.test.router(), request(method, path, Some(&token), Some(body)));
    let refused = ask(Method::POST, "/api/assistants", &json!({"name": "n", "groups": [team]}));
    assert_eq!((code(&refused), &refused.json["permission"]), ((403, "forbidden"), &json!("assistants:share")));
    assert_eq!(ask(Method::POST, "/api/assistants", &json!({"name": "n"})).status, StatusCode::CREATED);
}

#[test]
fn a_conversation_takes_the_settings_of_an_assistant_and_keeps_them_whatever_becomes_of_it() {
    let mut people = People::new();
    let members = [people.test.user_id, people.ben.0.id];
    let team = people.group("team", &members);
    let settings = json!({"instructions": "Translate.", "reasoning_effort": "low"});
    let made = people.make(json!({"name": "Translator", "model": "other-1", "settings": settings, "groups": [team]}));
    let chosen = json!({"assistant_id": made.json["id"], "settings": {"temperature": 1}});
    let begun = people.ben(Method::POST, "/api/conversations", Some(&chosen)).json;
    assert_eq!(begun["assistant"], json!({"id": made.json["id"], "name": "Translator"}));
    assert_eq!((&begun["model"], &begun["settings"]["instructions"]), (&json!("other-1"), &json!("Translate.")));
    assert_eq!(
        (&begun["settings"]["temperature"], &begun["settings"]["reasoning_effort"]),
        (&json!(1.0), &json!("low"))
    );

    people.ada(Method::PATCH, &path(&made), json!({"name": "Other", "settings": {"instructions": "Shout."}}));
    let conversation = format!("/api/conversations/{}", begun["id"].as_str().unwrap());
    let read = || people.ben(Method::GET, &conversation, None).json;
    assert_eq!((&read()["assistant"], &read()["settings"]), (&begun["assistant"], &begun["settings"]));
    people.ben(Method::PATCH, &conversation, Some(&json!({"model": "other-2"})));
    let anew = people.ben(Method::PATCH, &conversation, Some(&json!({"assistant_id": made.json["id"]}))).json;
    assert_eq!((&anew["assistant"]["name"], &anew["settings"]["instructions"]), (&json!("Other"), &json!("Shout.")));
    assert_eq!((&anew["model"], &anew), (&json!("other-1"), &read()), "its model too");
    assert_eq!(anew["settings"]["temperature"], Value::Null, "those of the assistant, and no others");
    let left = people.ben(Method::PATCH, &conversation, Some(&json!({"assistant_id": null}))).json;
    assert_eq!((&left["assistant"], &left["settings"]), (&Value::Null, &anew["settings"]));

    people.test.send(Method::DELETE, &path(&made), None);
    assert_eq!(read()["settings"]["instructions"], "Shout.");
    for gone in [made.json["id"].clone(), json!("no id")] {
        let refused = people.ben(Method::PATCH, &conversation, Some(&json!({"assistant_id": gone})));
        assert_eq!((code(&refused), &refused.json["field"]), ((422, "invalid_field"), &json!("assistant_id")));
    }
}

#[test]
fn whoever_manages_assistants_changes_shared_ones_on_record_and_sees_no_private_one() {
    let mut people = People::new();
    let ada = people.test.user_id;
    let (_, admin) = people.test.fixture.person_with("boss@example.org", "admin");
    let team = people.group("team", &[ada]);
    let ask = |method, path: &str, body: Option<&Value>| {
        send(people.test.router(), request(method, path, Some(&admin), body))
    };
    let (private, shared) =
        (people.make(json!({"name": "Private"})), people.make(json!({"name": "Shared", "groups": [team]})));
    assert_eq!(code(&ask(Method::GET, &path(&private), None)), (404, "not_found"));
    let changed = ask(Method::PATCH, &path(&shared), Some(&json!({"description": "By the boss"})));
    assert_eq!((changed.status, &changed.json["own"]), (StatusCode::OK, &json!(false)), "{}", changed.text);
    assert_eq!(people.test.send(Method::GET, &path(&shared), None).json["description"], "By the boss");
    assert_eq!(ask(Method::DELETE, &path(&shared), None).status, StatusCode::NO_CONTENT);
    let recorded = people.recorded().into_iter().map(|(action, _)| action).take(2).collect::<Vec<_>>();
    assert_eq!(recorded, ["assistant.delete", "assistant.update"]);
}
