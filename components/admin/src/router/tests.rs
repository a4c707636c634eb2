//! Administration over HTTP requests.

use domain::{Id, User};
use futures::executor::block_on;
use http::{Method, StatusCode};
use identity::link_token::LinkToken;
use router_test::{Answer, Fixture, request, send};
use serde_json::{Value, json};
use storage::{
    accounts::AccountChange, identities::Identity, second_factors::NewSecondFactor, sessions::TokenHashes,
    users::Opening,
};

use super::*;

mod keys;

struct Test {
    fixture: Fixture,
    admin: User,
    token: String,
}

impl Test {
    /// With an administrator.
    fn new() -> Self {
        let fixture = Fixture::default();
        let (admin, token) = fixture.person("admin@example.org");
        Self { fixture, admin, token }
    }

    /// An instance that has answered nobody, so that whatever was changed before holds.
    fn send_as(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let settings = vec![("signup", "invite".to_owned())];
        let config = Config { settings, key_rotation_days: 90, erasure_grace_ms: 60_000, ..Config::default() };
        let router = router(self.fixture.new_instance(), config);
        send(router, request(method, &format!("/api/admin{path}"), Some(token), body.as_ref()))
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_as(&self.token, method, path, body)
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, None);
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        answer.json
    }

    /// What was recorded last: action and detail.
    fn recorded(&self) -> (String, Option<String>) {
        let records = block_on(self.fixture.app.store().audit_records(Some(self.admin.id), None, 1)).unwrap();
        let record = records.into_iter().next().unwrap();
        (record.action, record.detail)
    }

    fn records(&self) -> usize {
        block_on(self.fixture.app.store().audit_records(Some(self.admin.id), None, 100)).unwrap().len()
    }
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.json["code"].as_str().unwrap_or_default())
}

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list["items"].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap_or_default()).collect()
}

#[test]
fn accounts_are_listed_page_by_page_and_searched() {
    let test = Test::new();
    for email in ["b@example.org", "c@example.com"] {
        let _ = test.fixture.person(email);
    }
    let first = test.get("/users?limit=2");
    assert_eq!(texts(&first, "email"), ["c@example.com", "b@example.org"]);
    let next = first["next_cursor"].as_str().unwrap();
    let second = test.get(&format!("/users?limit=2&cursor={next}"));
    assert_eq!((texts(&second, "email"), &second["next_cursor"]), (vec!["admin@example.org"], &Value::Null));
    assert_eq!(texts(&test.get("/users?q=Example.COM"), "email"), ["c@example.com"]);
    for wrong in ["/users?limit=0", "/users?limit=201", "/users?cursor=x", &format!("/users?q={}", "x".repeat(255))] {
        assert_eq!(code(&test.send(Method::GET, wrong, None)).0, 422, "{wrong}");
    }
}

#[test]
fn an_account_gets_another_role_and_is_suspended_and_both_are_recorded() {
    let test = Test::new();
    let (user, _) = test.fixture.person("b@example.org");
    let path = format!("/users/{}", user.id);
    let patch = |body: Value| test.send(Method::PATCH, &path, Some(body));
    assert_eq!(patch(json!({"role": "service"})).json["role"], "service");
    assert_eq!(test.recorded(), ("user.role".into(), Some("service".into())));
    assert_eq!(patch(json!({"suspended": true})).json["suspended"], true);
    assert_eq!(test.recorded(), ("user.suspend".into(), None));
    assert_eq!(patch(json!({"suspended": false})).json["suspended"], false);
    assert_eq!(test.get(&path)["role"], "service");
    assert_eq!((code(&patch(json!({"role": "gone"}))).0, code(&patch(json!({"other": 1}))).0), (422, 400));
    assert_eq!(code(&test.send(Method::PATCH, &format!("/users/{}", Id::new()), Some(json!({})))).0, 404);
    let own = test.send(Method::PATCH, &format!("/users/{}", test.admin.id), Some(json!({"role": "member"})));
    assert_eq!(code(&own), (409, "own_account"));
}

#[test]
fn nobody_gives_or_takes_what_they_do_not_have() {
    let test = Test::new();
    let helpdesk = json!({"permissions": [
        "users:read", "users:manage", "invitations:manage", "groups:manage", "roles:manage", "conversations:read",
    ]});
    assert_eq!(test.send(Method::PUT, "/roles/helpdesk", Some(helpdesk)).status, StatusCode::OK);
    assert_eq!(
        test.send(Method::PUT, "/roles/reader", Some(json!({"permissions": ["conversations:read"]}))).status,
        200
    );
    let (_, token) = test.fixture.person_with("help@example.org", "helpdesk");
    let (member, _) = test.fixture.person("m@example.org");
    let (reader, _) = test.fixture.person_with("r@example.org", "reader");
    let admins = test.send(Method::POST, "/groups", Some(json!({"name": "admins", "roles": ["admin"]}))).json;
    let invited = test.send(Method::POST, "/invitations", Some(json!({"role": "admin"}))).json;
    let (admin, group) = (test.admin.id, admins["id"].as_str().unwrap());
    for (method, path, body) in [
        (Method::PATCH, format!("/users/{admin}"), json!({"role": "reader"})),
        (Method::PATCH, format!("/users/{admin}"), json!({"suspended": true})),
        (Method::PATCH, format!("/users/{}", member.id), json!({"suspended": true})),
        (Method::PATCH, format!("/users/{}", reader.id), json!({"role": "admin"})),
        (Method::POST, format!("/users/{admin}/reset-link"), json!({})),
        (Method::POST, "/invitations".into(), json!({"role": "member"})),
        (Method::DELETE, format!("/invitations/{}", invited["id"].as_str().unwrap()), json!({})),
        (Method::POST, "/groups".into(), json!({"name": "x", "roles": ["member"]})),
        (Method::PUT, format!("/groups/{group}"), json!({"name": "x", "roles": []})),
        (Method::DELETE, format!("/groups/{group}"), json!({})),
        (Method::PUT, format!("/groups/{group}/members/{}", reader.id), json!({})),
        (Method::PUT, "/roles/helpdesk".into(), json!({"permissions": ["*"]})),
        (Method::PUT, "/roles/new".into(), json!({"permissions": ["conversations:write"]})),
    ] {
        let answer = test.send_as(&token, method.clone(), &path, Some(body));
        assert_eq!(code(&answer), (403, "beyond_own_role"), "{method} {path}");
    }
    for (method, path, body) in [
        (Method::PATCH, format!("/users/{}", reader.id), json!({"suspended": true})),
        (Method::POST, format!("/users/{}/reset-link", reader.id), json!({})),
        (Method::POST, "/invitations".into(), json!({"role": "reader"})),
        (Method::POST, "/groups".into(), json!({"name": "x", "roles": ["reader"]})),
        (Method::PUT, "/roles/new".into(), json!({"permissions": ["users:read"]})),
    ] {
        let answer = test.send_as(&token, method.clone(), &path, Some(body));
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
    }
}

#[test]
fn nobody_takes_over_whom_a_provider_makes_more_than_they_are() {
    let test = Test::new();
    let helpdesk = json!({"permissions": ["users:manage"]});
    assert_eq!(test.send(Method::PUT, "/roles/helpdesk", Some(helpdesk)).status, StatusCode::OK);
    assert_eq!(test.send(Method::PUT, "/roles/nothing", Some(json!({"permissions": []}))).status, StatusCode::OK);
    let (_, token) = test.fixture.person_with("help@example.org", "helpdesk");
    let made = |subject, role: &str| {
        let identity = Identity { issuer: "https://id.example.org", subject, roles: &[role.to_owned()] };
        let email = format!("{subject}@example.org");
        let store = test.fixture.app.store();
        let user = block_on(store.create_user_with_identity(identity, &email, "", Opening::Open)).unwrap().unwrap();
        test.fixture.change(&user, AccountChange { role: Some("nothing"), is_suspended: None })
    };
    // No session of theirs is open, so the role does not count now.
    let (ada, bob) = (made("ada", "admin"), made("bob", "nothing"));
    assert!(ada.group_roles.is_empty());
    for (method, path, body) in [
        (Method::PATCH, "", Some(json!({"suspended": true}))),
        (Method::DELETE, "/second-factor", None),
        (Method::POST, "/reset-link", None),
    ] {
        let send =
            |user: &User| test.send_as(&token, method.clone(), &format!("/users/{}{path}", user.id), body.clone());
        assert_eq!(code(&send(&ada)), (403, "beyond_own_role"), "{method} {path}");
        assert!(send(&bob).status.is_success(), "{method} {path}");
    }
}

#[test]
fn an_invitation_is_shown_once_listed_without_its_secret_and_withdrawn() {
    let test = Test::new();
    let made = test.send(Method::POST, "/invitations", Some(json!({"role": "service", "expires_in_days": 1})));
    assert_eq!((made.status.as_u16(), &made.json["role"]), (201, &json!("service")));
    let secret = made.json["path"].as_str().unwrap().strip_prefix("/invitation#").unwrap();
    let hash = LinkToken::parse(secret).unwrap().hash();
    assert!(block_on(test.fixture.app.store().is_invited(&hash)).unwrap());
    let list = test.send(Method::GET, "/invitations", None);
    assert!(!list.text.contains(secret) && !list.text.contains(&hash), "{}", list.text);
    let path = format!("/invitations/{}", made.json["id"].as_str().unwrap());
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert!(!block_on(test.fixture.app.store().is_invited(&hash)).unwrap());
    assert_eq!(test.recorded().0, "invitation.revoke");
    assert_eq!(code(&test.send(Method::DELETE, &format!("/invitations/{}", Id::new()), None)).0, 404);
    assert_eq!(test.send(Method::POST, "/invitations", Some(json!({}))).json["role"], "member");
    for wrong in [json!({"role": "gone"}), json!({"expires_in_days": 0}), json!({"expires_in_days": 91})] {
        assert_eq!(code(&test.send(Method::POST, "/invitations", Some(wrong.clone()))).0, 422, "{wrong}");
    }
}

#[test]
fn a_link_for_a_new_password_is_made_and_only_its_hash_kept() {
    let test = Test::new();
    let (user, _) = test.fixture.person("b@example.org");
    let made = test.send(Method::POST, &format!("/users/{}/reset-link", user.id), None);
    assert_eq!(made.status, StatusCode::CREATED);
    let secret = made.json["path"].as_str().unwrap().strip_prefix("/password-reset#").unwrap();
    let hash = LinkToken::parse(secret).unwrap().hash();
    let found = block_on(test.fixture.app.store().password_reset(&hash)).unwrap();
    assert_eq!(found.as_deref(), Some("b@example.org"));
    assert_eq!(test.recorded().0, "user.reset_link");
    assert_eq!(code(&test.send(Method::POST, &format!("/users/{}/reset-link", Id::new()), None)).0, 404);
}

#[test]
fn a_second_factor_is_seen_and_taken_away_which_ends_sessions_and_is_recorded() {
    let test = Test::new();
    let (user, _) = test.fixture.person("b@example.org");
    let store = test.fixture.app.store();
    let new = NewSecondFactor { sealed: "s", step: 1, recovery_hashes: &[], only_first: true, kept_session: None };
    assert!(block_on(store.set_second_factor(&user, new)).unwrap());
    let user = block_on(store.user(user.id)).unwrap().unwrap();
    let token = TokenHashes { token: "t".into(), family: "f".into() };
    assert!(block_on(store.create_session(Id::new(), &user, &token, 60_000)).unwrap());
    let list = test.get("/users");
    assert_eq!((&list["items"][0]["second_factor"], &list["items"][1]["second_factor"]), (&json!(true), &json!(false)));
    let path = format!("/users/{}/second-factor", user.id);
    let own = format!("/users/{}/second-factor", test.admin.id);
    assert_eq!(code(&test.send(Method::DELETE, &own, None)), (409, "own_account"));
    let (_, helper) = test.fixture.person_with("helper@example.org", "helper");
    block_on(store.set_role("helper", "users:manage", 50)).unwrap();
    assert_eq!(code(&test.send_as(&helper, Method::DELETE, &path, None)), (403, "beyond_own_role"));
    for _ in 0..2 {
        assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
        assert_eq!((test.recorded().0.as_str(), test.records()), ("user.remove_second_factor", 1));
    }
    assert_eq!(test.get("/sessions")["items"], json!([]));
    assert_eq!(test.get("/users")["items"][1]["second_factor"], false);
    assert_eq!(
        code(&test.send(Method::DELETE, &format!("/users/{}/second-factor", Id::new()), None)),
        (404, "not_found")
    );
}

#[test]
fn a_group_is_made_changed_filled_and_deleted() {
    let test = Test::new();
    let (user, _) = test.fixture.person("b@example.org");
    let group = test.send(Method::POST, "/groups", Some(json!({"name": " Support ", "roles": ["service"]})));
    assert_eq!((group.status.as_u16(), &group.json["name"]), (201, &json!("Support")));
    let path = format!("/groups/{}", group.json["id"].as_str().unwrap());
    let member = format!("{path}/members/{}", user.id);
    assert_eq!(test.send(Method::PUT, &member, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.recorded(), ("group.join".into(), Some(user.id.to_string())));
    let recorded = test.records();
    assert_eq!(test.send(Method::PUT, &member, None).status, StatusCode::NO_CONTENT, "twice is once");
    assert_eq!(test.records(), recorded, "nothing has changed");
    assert_eq!(texts(&test.get(&format!("{path}/members")), "email"), ["b@example.org"]);
    assert_eq!(test.get(&format!("/users/{}", user.id))["group_roles"], json!(["service"]));
    let changed = test.send(Method::PUT, &path, Some(json!({"name": "Support", "roles": ["admin"]}))).json;
    assert_eq!((&changed["roles"], &changed["members"]), (&json!(["admin"]), &json!(1)));
    assert_eq!(
        code(&test.send(Method::POST, "/groups", Some(json!({"name": "Support", "roles": []})))),
        (409, "name_taken")
    );
    let recorded = test.records();
    for _ in 0..2 {
        assert_eq!(test.send(Method::DELETE, &member, None).status, StatusCode::NO_CONTENT);
        assert_eq!(test.records(), recorded + 1, "only what has changed is recorded");
    }
    assert_eq!(texts(&test.get(&format!("{path}/members")), "email"), Vec::<&str>::new());
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.get("/groups")["items"], json!([]));
    for (path, status) in [(path.clone(), 404), (format!("{path}/members/x"), 404), ("/groups/x".into(), 404)] {
        assert_eq!(test.send(Method::DELETE, &path, None).status.as_u16(), status, "{path}");
    }
    for wrong in [
        json!({"name": " ", "roles": []}),
        json!({"name": "x", "roles": ["gone"]}),
        json!({"name": "x".repeat(101), "roles": []}),
    ] {
        assert_eq!(code(&test.send(Method::POST, "/groups", Some(wrong.clone()))).0, 422, "{wrong}");
    }
}

#[test]
fn roles_of_the_installation_are_made_and_the_built_in_ones_stay() {
    let test = Test::new();
    let set = |name: &str, permissions: Value| {
        test.send(Method::PUT, &format!("/roles/{name}"), Some(json!({"permissions": permissions})))
    };
    assert_eq!(set("mailer", json!(["tools:call:mail:*"])).json["permissions"], json!(["tools:call:mail:*"]));
    let list = test.get("/roles");
    assert_eq!(texts(&list, "name"), ["admin", "member", "service", "mailer"]);
    assert_eq!(list["items"][0]["permissions"], json!(["*"]));
    assert!(
        list["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["name"] == "models:use" && row["has_pattern"] == true)
    );
    for (name, permissions, field) in [
        ("Mailer", json!([]), "name"),
        ("x", json!(["mail"]), "permissions"),
        ("y", json!(vec!["mail:x"; 200]), "permissions"),
    ] {
        let refused = set(name, permissions);
        assert_eq!(code(&refused), (422, "invalid_field"), "{name}");
        assert_eq!(refused.json["field"], field, "{name}");
    }
    for name in ["member", "user"] {
        assert_eq!(code(&set(name, json!([]))), (409, "built_in"), "{name}");
    }
    assert_eq!(code(&test.send(Method::DELETE, "/roles/member", None)), (409, "built_in"));
    assert_eq!(code(&test.send(Method::DELETE, "/roles/%FF", None)), (404, "not_found"));
    let group = test.send(Method::POST, "/groups", Some(json!({"name": "mail", "roles": ["mailer"]})));
    assert_eq!(code(&test.send(Method::DELETE, "/roles/mailer", None)), (409, "role_in_use"));
    let group = format!("/groups/{}", group.json["id"].as_str().unwrap());
    assert_eq!(test.send(Method::DELETE, &group, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.send(Method::DELETE, "/roles/mailer", None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.get("/roles")["items"].as_array().unwrap().len(), 3);
    let recorded = test.records();
    assert_eq!(code(&test.send(Method::DELETE, "/roles/mailer", None)).0, 404);
    assert_eq!(test.records(), recorded, "it was gone already");
}

#[test]
fn sessions_are_listed_and_ended() {
    let test = Test::new();
    let (user, _) = test.fixture.person("b@example.org");
    let session = Id::new();
    let hashes = TokenHashes { token: "t".into(), family: "f".into() };
    block_on(test.fixture.app.store().create_session(session, &user, &hashes, 60_000)).unwrap();
    let token = test.fixture.token_of(&user, session);
    assert_eq!(test.send_as(&token, Method::GET, "/users", None).status, StatusCode::FORBIDDEN);
    assert_eq!(texts(&test.get(&format!("/sessions?user_id={}", user.id)), "email"), ["b@example.org"]);
    assert_eq!(test.get(&format!("/sessions?user_id={}", test.admin.id))["items"], json!([]));
    let path = format!("/sessions/{session}");
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.send_as(&token, Method::GET, "/users", None).status, StatusCode::UNAUTHORIZED);
    assert_eq!(test.recorded(), ("session.end".into(), Some(user.id.to_string())));
    assert_eq!(code(&test.send(Method::DELETE, &path, None)).0, 404);
    assert_eq!(code(&test.send(Method::GET, "/sessions?user_id=x", None)).0, 422);
}

#[test]
fn settings_usage_and_the_record_are_read() {
    let test = Test::new();
    assert_eq!(test.get("/settings")["items"], json!([{"name": "signup", "value": "invite"}]));
    let usage = test.get("/usage?days=1");
    let nothing = json!({"user_id": test.admin.id, "email": "admin@example.org", "runs": 0, "model_requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "tool_calls": 0, "cost": 0, "unpriced_tokens": 0});
    assert_eq!(usage["items"], json!([nothing]));
    assert_eq!(code(&test.send(Method::GET, "/usage?days=367", None)).0, 422);
    for name in ["a", "b", "c"] {
        let role = json!({"permissions": []});
        assert_eq!(test.send(Method::PUT, &format!("/roles/{name}"), Some(role)).status, StatusCode::OK);
    }
    let first = test.get("/audit?limit=2");
    assert_eq!(texts(&first, "subject"), ["c", "b"]);
    let next = format!("/audit?limit=2&user_id={}&cursor={}", test.admin.id, first["next_cursor"].as_str().unwrap());
    assert_eq!(texts(&test.get(&next), "subject"), ["a"]);
}

#[test]
fn a_program_gets_an_account_and_keys_from_whoever_may_give_its_role() {
    let test = Test::new();
    let made = test.send(Method::POST, "/service-accounts", Some(json!({"name": "ci"})));
    assert_eq!((made.status.as_u16(), &made.json["role"]), (201, &json!("service")), "{}", made.text);
    assert_eq!(test.recorded(), ("service_account.create".into(), Some("service".into())));
    assert_eq!(code(&test.send(Method::POST, "/service-accounts", Some(json!({"name": "ci"})))), (409, "name_taken"));
    for (field, body) in [("name", json!({"name": "C I"})), ("role", json!({"name": "b", "role": "nobody"}))] {
        let refused = test.send(Method::POST, "/service-accounts", Some(body));
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!(field)));
    }
    let id = made.json["id"].as_str().unwrap();
    assert_eq!(test.get("/service-accounts")["items"], json!([made.json]));
    assert_eq!(code(&test.send(Method::POST, &format!("/users/{id}/reset-link"), None)), (409, "no_password"));
    let keys = format!("/service-accounts/{id}/api-keys");
    let key = test.send(Method::POST, &keys, Some(json!({"name": "build server"})));
    assert_eq!((key.status.as_u16(), &key.json["scopes"]), (201, &json!(["*"])), "{}", key.text);
    let (secret, key_id) = (key.json["key"].as_str().unwrap(), key.json["id"].as_str().unwrap());
    assert!(!test.get(&keys).to_string().contains(secret), "it is shown once");
    assert_eq!(test.recorded(), ("api_key.create".into(), Some(id.to_owned())));
    assert_eq!(code(&test.send_as(secret, Method::GET, "/users", None)), (403, "forbidden"));
    assert_eq!(
        code(&test.send(Method::GET, &format!("/service-accounts/{}/api-keys", test.admin.id), None)),
        (404, "not_found")
    );
    let path = format!("{keys}/{key_id}");
    assert_eq!(test.send(Method::DELETE, &path, None).status.as_u16(), 204);
    assert_eq!(code(&test.send(Method::DELETE, &path, None)), (404, "not_found"));
    assert_eq!(code(&test.send_as(secret, Method::GET, "/users", None)), (401, "unauthenticated"));
}

#[test]
fn nobody_makes_or_revokes_keys_that_do_more_than_they_may_and_a_key_changes_no_account() {
    let test = Test::new();
    let store = test.fixture.app.store();
    block_on(store.set_role("operator", "service-accounts:manage tools:read", 9)).unwrap();
    let (_, operator) = test.fixture.person_with("b@example.org", "operator");
    let body = |role: &str| Some(json!({"name": "ci", "role": role}));
    assert_eq!(
        code(&test.send_as(&operator, Method::POST, "/service-accounts", body("admin"))),
        (403, "beyond_own_role")
    );
    let made = test.send(Method::POST, "/service-accounts", body("admin"));
    let keys = format!("/service-accounts/{}/api-keys", made.json["id"].as_str().unwrap());
    let new = || Some(json!({"name": "k"}));
    assert_eq!(code(&test.send_as(&operator, Method::POST, &keys, new())), (403, "beyond_own_role"));
    let key = test.send(Method::POST, &keys, new());
    let (secret, id) = (key.json["key"].as_str().unwrap(), key.json["id"].as_str().unwrap());
    let path = format!("{keys}/{id}");
    assert_eq!(code(&test.send_as(&operator, Method::DELETE, &path, None)), (403, "beyond_own_role"));
    assert_eq!(test.send_as(secret, Method::GET, "/service-accounts", None).status.as_u16(), 200);
    let (admin, other) = (test.admin.id, test.fixture.person("c@example.org").0.id);
    for (method, path, body) in [
        (Method::POST, "/service-accounts".to_owned(), body("service")),
        (Method::POST, keys.clone(), new()),
        (Method::DELETE, path.clone(), None),
        // What would give whoever found the key an account, or somebody else's.
        (Method::POST, format!("/users/{admin}/reset-link"), None),
        (Method::POST, format!("/users/{other}/reset-link"), None),
        (Method::DELETE, format!("/users/{other}/second-factor"), None),
        (Method::PATCH, format!("/users/{other}"), Some(json!({"role": "admin"}))),
        (Method::POST, "/invitations".to_owned(), Some(json!({"email": "d@example.org", "role": "admin"}))),
        (Method::POST, "/groups".to_owned(), Some(json!({"name": "g", "roles": []}))),
        (Method::PUT, "/roles/all".to_owned(), Some(json!({"permissions": ["*"]}))),
    ] {
        assert_eq!(code(&test.send_as(secret, method, &path, body)), (403, "key_not_allowed"), "{path}");
    }
}

#[test]
fn an_administrator_erases_somebody_and_takes_it_back_until_it_begins() {
    let test = Test::new();
    let (user, token) = test.fixture.person("b@example.org");
    let path = format!("/users/{}/erasure", user.id);
    let ask = |at_once: bool| Some(json!({"at_once": at_once}));
    assert_eq!(code(&test.send_as(&token, Method::POST, &path, ask(false))), (403, "forbidden"));
    let own = format!("/users/{}/erasure", test.admin.id);
    assert_eq!(code(&test.send(Method::POST, &own, ask(true))), (409, "own_account"));
    assert_eq!(code(&test.send(Method::DELETE, &path, None)), (404, "not_found"));
    let asked = test.send(Method::POST, &path, ask(false));
    assert_eq!((asked.status.as_u16(), &asked.json["requested_by"]), (202, &json!(test.admin.id)), "{}", asked.text);
    assert_eq!(test.recorded().0, "account.erasure_request");
    assert_eq!(test.get(&format!("/users/{}", user.id))["suspended"], true);
    assert_eq!(test.send(Method::DELETE, &path, None).status, StatusCode::NO_CONTENT);
    assert_eq!(test.recorded().0, "account.erasure_take_back");
    assert_eq!(test.get(&format!("/users/{}", user.id))["suspended"], false);
    assert_eq!(test.send(Method::POST, &path, ask(true)).status.as_u16(), 202);
    assert!(block_on(test.fixture.app.store().take_erasure_turn()).unwrap().is_some());
    assert_eq!(code(&test.send(Method::DELETE, &path, None)), (409, "erasure_begun"));
    assert_eq!(test.get("/erasures?pending=true")["items"][0]["email"], json!(user.email));
    let (_, helper) = test.fixture.person_with("helper@example.org", "helper");
    block_on(test.fixture.app.store().set_role("helper", "users:erase", 50)).unwrap();
    let stronger = test.fixture.person_with("other-admin@example.org", "admin").0;
    let path = format!("/users/{}/erasure", stronger.id);
    assert_eq!(code(&test.send_as(&helper, Method::POST, &path, ask(false))), (403, "beyond_own_role"));
    assert_eq!(code(&test.send_as(&helper, Method::DELETE, &path, None)), (403, "beyond_own_role"));
}

#[test]
fn the_end_of_the_record_is_told() {
    let test = Test::new();
    let role = json!({"permissions": []});
    assert_eq!(test.send(Method::PUT, "/roles/a", Some(role)).status, StatusCode::OK);
    let chain = test.get("/audit/chain");
    assert_eq!((&chain["sealed_up_to"], &chain["hash"], &chain["waiting"]), (&json!(0), &Value::Null, &json!(1)));
    let exported = test.send(Method::GET, "/audit/export", None);
    let lines: Vec<Value> = exported.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = lines.iter().map(|line| line["metadata"]["event_code"].as_str().unwrap()).collect();
    assert_eq!(actions, ["role.set", "audit.export"], "the export is on record itself");
    assert_eq!(test.send(Method::GET, &format!("/audit/export?user_id={}", Id::new()), None).text, "");
}
