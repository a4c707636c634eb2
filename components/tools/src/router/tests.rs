//! What this component answers, on a real database, with tool servers that speak the protocol, and paused time.

use std::{rc::Rc, sync::Arc, time::Duration};

use cache::Clock as _;
use domain::{Id, User};
use http::{HeaderValue, Method, StatusCode};
use identity::Purpose;
use mcp::TransportError;
use native_sqlite::SqliteFile;
use router_test::{Answer, Fixture, Surroundings, ToolServer, answer, paused, request};
use serde_json::{Value, json};
use storage::{
    Database as _, Statement,
    messages::{Appended, IncomingMessage},
    runs::Lease,
};
use tool_catalogue::{RemoteServer, Server, Servers};
use toolbox::Policy;

use super::*;
use crate::{
    config::{COMPONENT, Config},
    state::Memory,
};

mod access;
mod connections;
mod described;
mod features;
mod files;
mod going_on;
mod inside;

/// An instance, and the first person of the installation.
struct Test {
    fixture: Fixture,
    outside: Surroundings,
    memory: Rc<Memory<Surroundings>>,
    config: Config,
    user: User,
    token: String,
}

impl Test {
    /// With a clock that only reads, a mail that wants a secret, and somebody else's wiki.
    fn new(outside: Surroundings) -> Self {
        let clock = tool("now", &json!({ "readOnlyHint": true }), &json!({ "cacheMs": 60_000 }));
        outside.set("mcp-clock.spin.internal", ToolServer { tools: vec![clock], ..ToolServer::of(&[]) });
        let secret =
            json!({ "name": "password", "title": "Password", "description": "", "visible": false, "optional": false });
        let mail = tool("send", &json!({}), &json!({ "secrets": [secret] }));
        outside.set("mcp-mail.spin.internal", ToolServer { tools: vec![mail], ..ToolServer::of(&[]) });
        outside.set("wiki.example.org", ToolServer::of(&["read"]));
        let wiki = RemoteServer::parse_list(r#"[{"name": "wiki", "url": "https://wiki.example.org/mcp"}]"#).unwrap();
        let composed = ["clock", "mail"].into_iter().filter_map(Server::composed);
        let all = composed.chain(wiki.into_iter().map(Server::remote)).collect();
        let servers = Arc::new(Servers { all, unread: None });
        let config = Config { servers, calls_per_minute: 3, changes_per_minute: 2, ..Config::default() };
        let fixture = Fixture::default();
        let (user, token) = fixture.person("ada@example.org");
        Self { fixture, outside, memory: Rc::default(), config, user, token }
    }

    fn router(&self) -> Router {
        let (app, config) = (self.fixture.app.clone().of_component(COMPONENT), self.config.clone());
        router(Tools::<SqliteFile, _>::new(app, config, self.outside.clone(), Rc::clone(&self.memory)))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_as(Some(&self.token), method, path, body).await
    }

    async fn send_as(&self, token: Option<&str>, method: Method, path: &str, body: Option<Value>) -> Answer {
        answer(self.router(), request(method, path, token, body.as_ref())).await
    }

    /// A token of `stream`.
    fn by_stream(&self) -> String {
        self.fixture.proof("stream", COMPONENT, Some(self.user.id), Id::new())
    }

    async fn offers(&self) -> Vec<Value> {
        let offers = self.send_as(Some(&self.by_stream()), Method::GET, OFFERS_PATH, None).await;
        assert_eq!(offers.status, StatusCode::OK);
        offers.json["tools"].as_array().unwrap().iter().map(|tool| tool["offer"]["name"].clone()).collect()
    }

    /// A lease of a run of the person's.
    async fn lease(&self) -> Lease {
        let store = self.fixture.app.store();
        let conversation = store.create_conversation(self.user.id, "", None).await.unwrap().id;
        let incoming =
            IncomingMessage { content: "hello", title: "t", default_model: "m", ..IncomingMessage::default() };
        let Appended::Stored(_, run, _) = store.append_message(self.user.id, conversation, &incoming).await.unwrap()
        else {
            panic!("it is stored")
        };
        let lease = Lease { run_id: run.id, owner: Id::new() };
        store.claim(lease, 600_000, "").await.unwrap().unwrap();
        lease
    }

    /// What a run hears of a call in the end.
    async fn call(&self, lease: Lease, call_id: &str, name: &str) -> Value {
        let mut lines = self.call_lines(lease, call_id, name).await;
        lines.pop().unwrap()["answer"].take()
    }

    /// For somebody of this language and this time zone.
    async fn call_by(&self, person: [&'static str; 2], lease: Lease, call_id: &str, name: &str) -> Value {
        let mut lines = self.call_lines_by(person, lease, call_id, name).await;
        lines.pop().unwrap()["answer"].take()
    }

    async fn call_lines(&self, lease: Lease, call_id: &str, name: &str) -> Vec<Value> {
        self.call_lines_by(["", ""], lease, call_id, name).await
    }

    async fn call_lines_by(
        &self,
        [languages, time_zone]: [&'static str; 2],
        lease: Lease,
        call_id: &str,
        name: &str,
    ) -> Vec<Value> {
        let executor = json!({ "run_id": lease.run_id, "lease_owner": lease.owner });
        let body = json!({ "executor": executor, "call_id": call_id, "name": name, "arguments": "{}" });
        let proof = self.fixture.proof("stream", COMPONENT, Some(self.user.id), lease.run_id);
        let mut request = request(Method::POST, CALLS_PATH, Some(&proof), Some(&body));
        request.headers_mut().insert("accept-language", HeaderValue::from_static(languages));
        request.headers_mut().insert("time-zone", HeaderValue::from_static(time_zone));
        let called = answer(self.router(), request).await;
        assert_eq!(called.status, StatusCode::OK);
        called.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a program's client hears.
    async fn gateway(&self, token: &str, path: &str, method: &str, params: Value) -> Answer {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = request(Method::POST, path, Some(token), Some(&message));
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:3000"));
        headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-11-25"));
        answer(self.router(), request).await
    }

    fn asked(&self, what: &str) -> usize {
        self.outside.asked().iter().filter(|asked| asked.contains(what)).count()
    }
}

fn tool(name: &str, annotations: &Value, extra: &Value) -> Value {
    let meta = json!({ "edge-assistant/tool": extra });
    json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": annotations, "_meta": meta })
}

fn strings(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_somebodys_wants_their_token() {
    paused(|outside| async move {
        let test = Test::new(outside);
        for path in ["/api/tools", "/api/tools/policies", "/api/tools/secrets"] {
            for token in [None, Some("rubbish")] {
                assert_eq!(
                    test.send_as(token, Method::GET, path, None).await.status,
                    StatusCode::UNAUTHORIZED,
                    "{path}"
                );
            }
            assert_eq!(test.send(Method::GET, path, None).await.status, StatusCode::OK, "{path}");
        }
    });
}

#[test]
fn tools_are_listed_with_what_holds_for_each_and_with_what_is_missing() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let fault = Some(TransportError::Refused(String::new()));
        test.outside.set("wiki.example.org", ToolServer { fault, ..ToolServer::of(&[]) });
        let list = test.send(Method::GET, "/api/tools", None).await.json;
        assert_eq!(strings(&list["items"], "server"), ["clock", "mail"]);
        assert_eq!(strings(&list["items"], "policy"), ["allow", "ask"]);
        assert_eq!(strings(&list["problems"], "server"), ["wiki"]);
        assert!(list["problems"][0]["advice"].as_str().unwrap().contains("remote_mcp_servers"));
        let (_, other) = test.fixture.person("eve@example.org");
        let list = test.send_as(Some(&other), Method::GET, "/api/tools", None).await.json;
        assert!(list["problems"][0]["advice"].is_null(), "only whoever runs the installation can do something");
    });
}

#[test]
fn what_a_person_denies_is_not_called_for_them_and_not_shown_to_their_programs() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let deny = json!({ "pattern": "clock:*", "effect": "deny" });
        assert_eq!(test.send(Method::PUT, "/api/tools/policies", Some(deny)).await.status, StatusCode::OK);
        let called = test.call(test.lease().await, "c1", "clock_now").await;
        assert!(called["content"].as_str().unwrap().contains("not allowed here"), "{called}");
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let listed = test.gateway(&token, "/mcp", "tools/list", json!({})).await.json;
        assert_eq!(strings(&listed["result"]["tools"], "name"), ["mail_send", "wiki_read"]);
        assert_eq!(test.offers().await, ["clock_now", "mail_send", "wiki_read"], "what could be offered is nobody's");
        let path = "/api/tools/policies?pattern=clock:*";
        assert_eq!(test.send(Method::DELETE, path, None).await.status, StatusCode::NO_CONTENT);
        let called = test.call(test.lease().await, "c2", "clock_now").await;
        assert_eq!((&called["kind"], &called["is_error"]), (&json!("result"), &json!(false)));
    });
}

#[test]
fn the_calls_of_a_run_keep_the_time_zone_of_the_first_whoever_reads_it_later() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let secret = json!({ "server": "mail", "name": "password", "value": "hunter22" });
        let entered = test.send(Method::PUT, "/api/tools/secrets", Some(secret)).await;
        assert!(entered.status.is_success(), "{}", entered.text);
        let lease = test.lease().await;
        let unknown = test.call_by(["de", ""], lease, "c1", "clock_now").await;
        assert!(unknown["content"].as_str().unwrap().contains(r#""timeZone":null"#), "{unknown}");
        let asked = test.call_by(["de", "Europe/Berlin"], lease, "c2", "mail_send").await;
        assert_eq!(asked["kind"], "approval_needed", "{asked}");
        let store = test.fixture.app.store();
        store.decide_approval(test.user.id, lease.run_id, "c2", domain::Decision::AllowOnce).await.unwrap();
        for elsewhere in ["Asia/Tokyo", ""] {
            let called = test.call_by(["de", elsewhere], lease, "c2", "mail_send").await;
            let content = called["content"].as_str().unwrap();
            if elsewhere.is_empty() {
                assert!(content.contains("not repeated"), "{content}");
            } else {
                assert!(content.contains(r#""timeZone":"Europe/Berlin""#), "{content}");
            }
            let now = test.call_by(["de", elsewhere], lease, "c3", "clock_now").await;
            assert!(now["content"].as_str().unwrap().contains(r#""timeZone":"Europe/Berlin""#), "{now}");
        }
        let next = test.call_by(["de", "Asia/Tokyo"], test.lease().await, "c4", "clock_now").await;
        assert!(next["content"].as_str().unwrap().contains(r#""timeZone":"Asia/Tokyo""#), "{next}");
    });
}

#[test]
fn a_component_that_crashes_and_one_that_is_not_there_are_told_apart() {
    paused(|outside| async move {
        let test = Test::new(outside);
        test.offers().await;
        let lost = TransportError::Connection("it broke".to_owned());
        for (call_id, fault, words) in [
            (
                "c1",
                lost,
                "its component, mcp-clock, ended after 0 s while it worked. It only reads, so it can be called again.",
            ),
            ("c2", TransportError::Absent, "spin.toml has no component mcp-clock"),
        ] {
            let server = ToolServer { fault: Some(fault), ..ToolServer::of(&["now"]) };
            test.outside.set("mcp-clock.spin.internal", server);
            let called = test.call(test.lease().await, call_id, "clock_now").await;
            assert!(called["content"].as_str().unwrap().contains(words), "{called}");
        }
    });
}

#[test]
fn a_server_elsewhere_that_breaks_off_a_call_leaves_open_whether_it_took_effect() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        test.config.policies = vec![Policy::parse("wiki:*", toolbox::Effect::Allow).unwrap()];
        test.offers().await;
        let fault = Some(TransportError::Connection("it broke".to_owned()));
        test.outside.set("wiki.example.org", ToolServer { fault, ..ToolServer::of(&["read"]) });
        let called = test.call(test.lease().await, "c1", "wiki_read").await;
        let words = "the connection to its server broke: it broke; whether the call took effect is not known";
        assert!(called["content"].as_str().unwrap().contains(words), "{called}");
    });
}

#[test]
fn who_waits_for_a_call_hears_how_far_it_is_in_few_words_and_not_too_often() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let tools = vec![tool("now", &json!({ "readOnlyHint": true }), &json!({}))];
        // A second's worth.
        test.outside.set("mcp-clock.spin.internal", ToolServer { tools, tells: 100, ..ToolServer::of(&[]) });
        let mut lines = test.call_lines(test.lease().await, "c1", "clock_now").await;
        assert_eq!(lines.pop().unwrap()["answer"]["is_error"], false);
        assert!((3..=5).contains(&lines.len()), "{lines:?}");
        for line in &lines {
            let message = line["progress"]["message"].as_str().unwrap();
            assert_eq!((message.chars().count(), &line["progress"]["total"]), (200, &json!(100.0)), "{line}");
            assert!(!message.contains('\u{1b}'), "{message}");
        }
        // Of many, the last.
        assert!(lines.last().unwrap()["progress"]["progress"].as_f64().unwrap() > 60.0, "{lines:?}");

        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let call = |meta: Value| json!({ "name": "clock_now", "_meta": meta });
        let heard = test.gateway(&token, "/mcp", "tools/call", call(json!({ "progressToken": 5 }))).await.text;
        let told = heard.matches("notifications/progress").count();
        assert!((3..=5).contains(&told) && heard.contains("\"progressToken\":5"), "{heard}");
        assert!(heard.lines().rev().any(|line| line.contains("\"isError\":false")), "{heard}");
        let silent = test.gateway(&token, "/mcp", "tools/call", call(json!({}))).await.json;
        assert_eq!(silent["result"]["isError"], false);
    });
}

#[test]
fn a_policy_that_cannot_be_read_denies_everything() {
    paused(|outside| async move {
        let test = Test {
            config: Config { policies: vec![Policy::deny_everything()], ..Test::new(outside.clone()).config },
            ..Test::new(outside)
        };
        let list = test.send(Method::GET, "/api/tools", None).await.json;
        assert_eq!(strings(&list["items"], "policy"), ["deny", "deny", "deny"]);
    });
}

#[test]
fn a_call_is_made_for_whoever_holds_the_lease() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let lease = test.lease().await;
        let lost = test.call(Lease { owner: Id::new(), ..lease }, "c1", "clock_now").await;
        assert_eq!((lost, test.asked("tools/call")), (json!({ "kind": "lease_lost" }), 0));
        let called = test.call(lease, "c1", "clock_now").await;
        assert!(called["content"].as_str().unwrap().starts_with("now {}"), "{called}");
        let unknown = test.call(lease, "c2", "clock_then").await;
        assert_eq!(unknown["content"], "There is no tool named clock_then.");
    });
}

#[test]
fn a_result_that_stays_true_is_given_again_to_the_same_person_for_as_long_as_its_tool_says() {
    paused(|outside| async move {
        let test = Test::new(outside);
        test.call(test.lease().await, "c1", "clock_now").await;
        test.call(test.lease().await, "c1", "clock_now").await;
        assert_eq!(test.asked("tools/call"), 1);
        tokio::time::sleep(Duration::from_secs(61)).await;
        test.call(test.lease().await, "c1", "clock_now").await;
        assert_eq!(test.asked("tools/call"), 1);
    });
}

#[test]
fn a_tool_of_ours_hears_the_persons_language_and_time_zone_and_one_elsewhere_does_not() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let said = async |person, call_id: &str, name: &str| {
            let called = test.call_by(person, test.lease().await, call_id, name).await;
            called["content"].as_str().unwrap().to_owned()
        };
        let german = said(["de-AT,de;q=0.9,en;q=0.8", "Europe/Vienna"], "c1", "clock_now").await;
        assert!(german.contains(r#""locale":"de-AT""#) && german.contains(r#""timeZone":"Europe/Vienna""#), "{german}");
        let french = said(["fr", "Europe/Vienna"], "c2", "clock_now").await;
        assert!(french.contains(r#""locale":"fr""#), "what was kept is in another language: {french}");
        let away = said(["fr", "Asia/Tokyo"], "c3", "clock_now").await;
        assert!(away.contains(r#""timeZone":"Asia/Tokyo""#), "what was kept is for another time zone: {away}");
        let allow = json!({ "pattern": "wiki:*", "effect": "allow" });
        test.send(Method::PUT, "/api/tools/policies", Some(allow)).await;
        let elsewhere = said(["de", "Europe/Vienna"], "c4", "wiki_read").await;
        assert!(!elsewhere.contains("locale") && !elsewhere.contains("Vienna"), "{elsewhere}");
    });
}

#[test]
fn what_may_change_something_is_asked_about_and_where_nobody_can_be_asked_not_called() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let called = test.call(test.lease().await, "c1", "wiki_read").await;
        assert_eq!((&called["kind"], &called["server"]), (&json!("approval_needed"), &json!("wiki")));
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let called = test.gateway(&token, "/mcp/wiki", "tools/call", json!({ "name": "read" })).await.json;
        assert_eq!(called["result"]["isError"], true);
        assert!(called["result"]["content"][0]["text"].as_str().unwrap().contains("nobody can be asked here"));
        assert_eq!(test.asked("tools/call"), 0);
    });
}

#[test]
fn a_secret_goes_to_the_tool_that_names_it_and_never_comes_back() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let secrets = test.send(Method::GET, "/api/tools/secrets", None).await.json;
        assert_eq!((&secrets["items"][0]["server"], &secrets["items"][0]["is_set"]), (&json!("mail"), &json!(false)));
        let unknown = json!({ "server": "mail", "name": "key", "value": "x" });
        let refused = test.send(Method::PUT, "/api/tools/secrets", Some(unknown)).await;
        assert_eq!((refused.status.as_u16(), &refused.json["field"]), (422, &json!("name")));
        let secret = json!({ "server": "mail", "name": "password", "value": "open sesame" });
        let set = test.send(Method::PUT, "/api/tools/secrets", Some(secret)).await;
        assert_eq!((set.status, &set.json["is_set"]), (StatusCode::OK, &json!(true)));
        let allow = json!({ "pattern": "mail:send", "effect": "allow" });
        test.send(Method::PUT, "/api/tools/policies", Some(allow)).await;
        // The server repeats what it was sent.
        let called = test.call(test.lease().await, "c1", "mail_send").await;
        let said = called["content"].as_str().unwrap();
        assert!(said.contains("\"password\"") && !said.contains("sesame"), "{said}");
        let secrets = test.send(Method::GET, "/api/tools/secrets", None).await.json;
        assert_eq!((&secrets["items"][0]["is_set"], &secrets["items"][0]["value"]), (&json!(true), &Value::Null));
    });
}

#[test]
fn a_failure_of_ones_own_tools_is_recorded_by_its_kind_and_that_of_others_is_not_believed() {
    paused(|outside| async move {
        let test = Test::new(outside);
        for (host, name) in [("mcp-clock.spin.internal", "now"), ("wiki.example.org", "read")] {
            let tools = vec![tool(name, &json!({ "readOnlyHint": true }), &json!({}))];
            test.outside.set(host, ToolServer { tools, not_configured: Some("no zone"), ..ToolServer::of(&[]) });
        }
        let allow = json!({ "pattern": "*:*", "effect": "allow" });
        test.send(Method::PUT, "/api/tools/policies", Some(allow)).await;
        let lease = test.lease().await;
        for (call_id, name) in [("c1", "clock_now"), ("c2", "wiki_read")] {
            let called = test.call(lease, call_id, name).await;
            assert_eq!((&called["content"], &called["is_error"]), (&json!("Not configured: no zone"), &json!(true)));
        }
        let sql = "SELECT subject, outcome FROM audit_events WHERE action = 'tool.call' ORDER BY id";
        let recorded = test.fixture.another_connection().query(Statement::new("t", sql, [])).await.unwrap();
        let recorded: Vec<_> = recorded.into_iter().map(|row| row.0).collect();
        let row = |subject: &str, outcome: &str| vec![subject.into(), outcome.into()];
        assert_eq!(recorded, [row("clock:now", "not_configured"), row("wiki:read", "tool_error")]);
    });
}

#[test]
fn a_person_has_so_many_calls_a_minute() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let lease = test.lease().await;
        let mut errors = Vec::new();
        for call_id in ["c1", "c2", "c3", "c4"] {
            errors.push(test.call(lease, call_id, "clock_now").await["is_error"].clone());
        }
        assert_eq!(errors, [false, false, false, true]);
    });
}

#[test]
fn the_gateway_takes_tokens_of_its_own_kind_and_says_where_to_learn_of_them() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let refused = test.gateway(&test.token, "/mcp", "tools/list", json!({})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert!(refused.headers.contains_key("www-authenticate"));
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let listed = test.gateway(&token, "/mcp/wiki", "tools/list", json!({})).await.json;
        assert_eq!(strings(&listed["result"]["tools"], "name"), ["read"], "at its own server its own name");
        let nowhere = test.gateway(&token, "/mcp/nowhere", "tools/list", json!({})).await;
        assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn requests_that_come_at_once_wake_each_server_once() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let began = test.outside.now();
        let offers = futures::future::join_all((0..16).map(|_| test.offers())).await;
        assert!(offers.iter().all(|offers| offers.len() == 3));
        assert_eq!(test.asked("tools/list"), 3);
        assert!(test.outside.now() - began < Duration::from_millis(200));
    });
}

#[test]
fn how_a_server_elsewhere_speaks_is_asked_once_for_several_calls_of_a_person() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let allow = json!({ "pattern": "wiki:*", "effect": "allow" });
        test.send(Method::PUT, "/api/tools/policies", Some(allow)).await;
        let lease = test.lease().await;
        test.offers().await;
        test.asked("");
        for call_id in ["c1", "c2"] {
            test.call(lease, call_id, "wiki_read").await;
        }
        let asked = test.outside.asked();
        let of = |method: &str| asked.iter().filter(|asked| asked.ends_with(method)).count();
        assert_eq!((of("server/discover"), of("tools/call")), (1, 2), "{asked:?}");
    });
}
