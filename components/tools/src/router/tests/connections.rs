//! Servers elsewhere that each person connects for themselves: from the server's 401 to its tools, and back.

use futures::executor::block_on;
use router_test::AuthorizationServer;
use storage::sessions::TokenHashes;
use toolbox::Effect;
use web::{App, site::Site};

use super::*;

mod tokens;

const HOST: &str = "localhost:3000";

/// A browser that has begun to connect.
struct Begun {
    address: String,
    cookie: String,
}

impl Test {
    /// With a wiki that wants a token of each person; it may be called unasked.
    fn with_guarded_wiki(outside: Surroundings) -> (Self, AuthorizationServer) {
        let mut test = Self::new(outside);
        let authority = AuthorizationServer::guarding("https://wiki.example.org/mcp");
        test.outside.set_authority("auth.example.org", authority.clone());
        let wiki = ToolServer { guard: Some(authority.clone()), ..ToolServer::of(&["read", "write"]) };
        test.outside.set("wiki.example.org", wiki);
        test.config.policies.push(Policy::parse("wiki:*", Effect::Allow).unwrap());
        let (session_id, hashes) = (Id::new(), TokenHashes { token: "t".into(), family: "f".into() });
        let made = block_on(test.fixture.app.store().create_session(session_id, &test.user, &hashes, 60_000));
        assert!(made.unwrap());
        test.token = test.fixture.token_of(&test.user, session_id);
        test.config.calls_per_minute = 100;
        test.config.changes_per_minute = 100;
        (test, authority)
    }

    async fn ask_page(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = request(method, path, Some(token), body.as_ref());
        request.headers_mut().insert("host", HeaderValue::from_static(HOST));
        answer(self.router(), request).await
    }

    async fn begin(&self) -> Begun {
        let body = Some(json!({ "server": "wiki" }));
        let begun = self.ask_page(&self.token, Method::POST, "/api/tools/connections", body).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        let cookie = begun.headers["set-cookie"].to_str().unwrap();
        assert!(["HttpOnly; SameSite=Lax;", "Path=/;"].iter().all(|it| cookie.contains(it)), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Begun { address: begun.json["authorization_url"].as_str().unwrap().to_owned(), cookie }
    }

    /// What the page is told.
    async fn come_back(&self, query: &str, cookie: &str) -> String {
        let mut request = request(Method::GET, &format!("/api/tools/connections/callback/wiki?{query}"), None, None);
        request.headers_mut().insert("host", HeaderValue::from_static(HOST));
        request.headers_mut().insert("cookie", HeaderValue::from_str(cookie).unwrap());
        let answer = answer(self.router(), request).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let is_taken = answer.headers.contains_key("set-cookie");
        let is_expired = answer.headers["location"] == "/settings/tools?connection_failed=expired";
        assert_eq!(is_taken, !is_expired, "only who finishes an attempt ends it");
        answer.headers["location"].to_str().unwrap().to_owned()
    }

    async fn connect(&self, authority: &AuthorizationServer) {
        let Begun { address, cookie } = self.begin().await;
        let page = self.come_back(&authority.agreed(&address), &cookie).await;
        assert_eq!(page, "/settings/tools?connected=wiki");
    }

    async fn connection(&self) -> Value {
        let list = self.send(Method::GET, "/api/tools/connections", None).await.json;
        assert!(list["items"].as_array().unwrap().len() < 2, "{list}");
        list["items"][0].clone()
    }

    async fn wiki_tools(&self) -> Vec<String> {
        let listed = self.send(Method::GET, "/api/tools", None).await.json;
        let tools = listed["items"].as_array().unwrap().iter().filter(|tool| tool["server"] == "wiki");
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn offered_to_model(&self) -> String {
        let store = self.fixture.app.store();
        let conversation = store.create_conversation(self.user.id, "", None).await.unwrap().id;
        let incoming =
            IncomingMessage { content: "hello", title: "t", default_model: "m", ..IncomingMessage::default() };
        let Appended::Stored(_, run, _) = store.append_message(self.user.id, conversation, &incoming).await.unwrap()
        else {
            panic!("it is stored")
        };
        let lease = Lease { run_id: run.id, owner: Id::new() };
        store.claim(lease, 600_000, "").await.unwrap().unwrap().offers.connected
    }

    /// Changes the stored connection, as time would.
    async fn set_connection(&self, columns: &str) {
        self.set_rows("tool_connections", columns).await;
    }

    async fn set_rows(&self, table: &str, columns: &str) {
        let sql = Statement::new("set", format!("UPDATE {table} SET {columns}"), []);
        self.fixture.another_connection().query(sql).await.unwrap();
    }

    async fn called(&self, lease: Lease, call_id: &str, name: &str) -> (bool, String) {
        let called = self.call(lease, call_id, name).await;
        (called["is_error"] == false, called["content"].as_str().unwrap().to_owned())
    }
}

#[test]
fn a_server_that_wants_to_know_who_asks_is_connected_by_each_person_for_themselves() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        assert_eq!(test.wiki_tools().await, [""; 0]);
        // The list of connections says it; the page does not say it twice.
        let listed = test.send(Method::GET, "/api/tools", None).await.json;
        assert_eq!(listed["problems"], json!([]));
        assert_eq!(test.connection().await["state"], "not_connected");
        test.connect(&authority).await;
        let connection = test.connection().await;
        assert_eq!((&connection["state"], &connection["host"]), (&json!("connected"), &json!("wiki.example.org")));
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        let listed = test.send(Method::GET, "/api/tools", None).await.json;
        assert_eq!(listed["problems"], json!([]));
        assert!(test.offered_to_model().await.contains("wiki_read"));
        let lease = test.lease().await;
        let (is_done, content) = test.called(lease, "c1", "wiki_read").await;
        assert!(is_done && !content.contains("access-"), "{content}");
        let sent = authority.asked();
        let registered = sent.iter().position(|(path, _)| path == "/register");
        let exchanged = sent.iter().find(|(path, _)| path == "/token").unwrap();
        assert!(registered.is_some() && exchanged.1["resource"] == "https://wiki.example.org/mcp", "{sent:?}");
        let rows = Statement::new("t", "SELECT authority || access_token || refresh_token FROM tool_connections", []);
        let rows = format!("{:?}", test.fixture.another_connection().query(rows).await.unwrap());
        assert!(!rows.contains("access-") && !rows.contains("refresh-") && !rows.contains("client-1"), "{rows}");

        // Somebody else has none of it.
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let mine = test.gateway(&token, "/mcp/wiki", "tools/list", json!({})).await.json;
        assert_eq!(strings(&mine["result"]["tools"], "name"), ["read", "write"]);
        (test.user, test.token) = test.fixture.person("eve@example.org");
        assert_eq!((test.wiki_tools().await, test.offered_to_model().await), (Vec::new(), String::new()));
        assert_eq!(test.connection().await["state"], "not_connected");
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let theirs = test.gateway(&token, "/mcp/wiki", "tools/list", json!({})).await.json;
        assert_eq!(theirs["result"]["tools"], json!([]));
        let call = test.gateway(&token, "/mcp/wiki", "tools/call", json!({ "name": "read", "arguments": {} })).await;
        assert!(call.json["error"].is_object(), "{}", call.text);
        let gone = test.send(Method::DELETE, "/api/tools/connections?server=wiki", None).await;
        assert_eq!((gone.status, authority.valid().len()), (StatusCode::NO_CONTENT, 2));
    });
}

#[test]
fn an_attempt_is_finished_once_and_only_by_the_browser_and_in_the_session_that_began_it() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        let Begun { address, cookie } = test.begin().await;
        let query = authority.agreed(&address);
        let failed = "/settings/tools?connection_failed=";
        assert_eq!(test.come_back(&query, "").await, format!("{failed}expired"));
        assert_eq!(test.come_back(&query, "ea_connect_wiki=other").await, format!("{failed}expired"));
        assert_eq!(test.come_back("code=x&state=other", &cookie).await, format!("{failed}expired"));
        assert_eq!(test.come_back(&query, &cookie).await, "/settings/tools?connected=wiki");
        assert_eq!(test.come_back(&query, &cookie).await, format!("{failed}expired"));

        let Begun { address, cookie } = test.begin().await;
        let query = authority.agreed(&address);
        let ended = Statement::new("t", "UPDATE sessions SET revoked_at = 1", []);
        test.fixture.another_connection().query(ended).await.unwrap();
        assert_eq!(test.come_back(&query, &cookie).await, format!("{failed}expired"));
        assert_eq!(authority.asked().iter().filter(|(path, _)| path == "/token").count(), 1);
    });
}

#[test]
fn an_answer_of_another_authorization_server_and_a_refusal_connect_nothing() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        let failed = |code: &str| format!("/settings/tools?connection_failed={code}&server=wiki");
        for (change, code) in [
            (("iss=https%3A%2F%2Fauth.example.org", "iss=https%3A%2F%2Fevil.example.org"), "refused"),
            (("&iss=https%3A%2F%2Fauth.example.org", ""), "refused"),
            (("code=", "error=access_denied&no="), "denied"),
            (("code=code", "code=other"), "refused"),
        ] {
            let Begun { address, cookie } = test.begin().await;
            let query = authority.agreed(&address);
            let changed = query.replace(change.0, change.1);
            assert_ne!(changed, query);
            assert_eq!(test.come_back(&changed, &cookie).await, failed(code), "{changed}");
        }
        assert_eq!(test.connection().await["state"], "not_connected");
        let cookie = test.begin().await.cookie;
        assert!(cookie.starts_with("ea_connect_wiki="));
    });
}

#[test]
fn a_server_whose_metadata_lead_astray_cannot_be_connected() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        let wrong = [
            (true, "resource", json!("https://other.example.org/mcp"), "another server"),
            (true, "authorization_servers", json!(["https://ops.spin.internal"]), "ops.spin.internal"),
            (true, "authorization_servers", json!([]), "which authorization server"),
            (false, "issuer", json!("https://other.example.org"), "another server"),
            (false, "token_endpoint", json!("http://auth.example.org/token"), "http://auth.example.org/token"),
            (false, "token_endpoint", json!("https://169.254.169.254/token"), "169.254"),
            (false, "authorization_endpoint", json!("javascript:alert(1)"), "javascript"),
            (false, "code_challenge_methods_supported", json!(["plain"]), "PKCE"),
            (false, "registration_endpoint", Value::Null, "register"),
        ];
        for (of_resource, field, value, said) in wrong {
            let (test, other) = (&test, AuthorizationServer::guarding("https://wiki.example.org/mcp"));
            let wiki = ToolServer { guard: Some(other.clone()), ..ToolServer::of(&["read"]) };
            test.outside.set("wiki.example.org", wiki);
            test.outside.set_authority("auth.example.org", other.clone());
            if of_resource {
                other.set_resource(field, value)
            } else {
                other.set(field, value)
            }
            // Another minute has come.
            let sql = Statement::new("t", "DELETE FROM rate_limits", []);
            test.fixture.another_connection().query(sql).await.unwrap();
            let body = Some(json!({ "server": "wiki" }));
            let refused = test.ask_page(&test.token, Method::POST, "/api/tools/connections", body).await;
            let detail = refused.json["detail"].as_str().unwrap_or_default().to_owned();
            assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{detail}");
            assert!(detail.contains(said), "{said}: {detail}");
        }
        drop(authority);
        let body = Some(json!({ "server": "clock" }));
        let refused = test.ask_page(&test.token, Method::POST, "/api/tools/connections", body).await;
        assert_eq!((refused.status, &refused.json["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("server")));
    });
}

#[test]
fn a_call_that_needs_more_access_says_so_and_the_next_attempt_asks_for_it() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        authority.need("write", "write");
        test.connect(&authority).await;
        let lease = test.lease().await;
        let (is_done, said) = test.called(lease, "c1", "wiki_write").await;
        assert!(!is_done && said.contains("more access"), "{said}");
        assert_eq!(test.connection().await["state"], "more_access");
        assert!(test.called(lease, "c2", "wiki_read").await.0, "the rest goes on");
        let Begun { address, cookie } = test.begin().await;
        assert!(address.contains("scope=write+read"), "{address}");
        test.come_back(&authority.agreed(&address), &cookie).await;
        assert!(test.called(lease, "c3", "wiki_write").await.0);
        assert_eq!(test.connection().await["state"], "connected");
    });
}

#[test]
fn who_disconnects_leaves_no_tokens_behind() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        assert_eq!(authority.valid().len(), 2);
        let gone = test.send(Method::DELETE, "/api/tools/connections?server=wiki", None).await;
        cache::Clock::sleep(&test.outside, Duration::from_secs(1)).await;
        assert_eq!((gone.status, authority.valid()), (StatusCode::NO_CONTENT, Vec::new()));
        assert_eq!(test.connection().await["state"], "not_connected");
        assert_eq!((test.wiki_tools().await, test.offered_to_model().await), (Vec::new(), String::new()));
    });
}

#[test]
fn a_server_of_the_same_name_elsewhere_gets_no_token() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        let moved = r#"[{"name": "wiki", "url": "https://moved.example.org/mcp"}]"#;
        let moved = RemoteServer::parse_list(moved).unwrap().into_iter().map(Server::remote);
        test.config.servers = Arc::new(Servers { all: moved.collect(), unread: None });
        test.outside.set("moved.example.org", ToolServer::of(&["read"]));
        test.memory = Rc::default();
        let lease = test.lease().await;
        assert_eq!(test.wiki_tools().await, [""; 0], "what was listed is another server's");
        assert!(!test.called(lease, "c1", "wiki_read").await.0);
        assert_eq!(test.connection().await["state"], "lost");
    });
}

#[test]
fn a_client_that_the_operator_registered_is_used_at_its_own_authorization_server_only() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        let configured = |issuer: &str| {
            let oauth = json!({ "client_id": "ours", "client_secret": "s3cret", "issuer": issuer });
            let list = json!([{ "name": "wiki", "url": "https://wiki.example.org/mcp", "oauth": oauth }]);
            let servers = RemoteServer::parse_list(&list.to_string()).unwrap().into_iter().map(Server::remote);
            Arc::new(Servers { all: servers.collect(), unread: None })
        };
        test.config.servers = configured("https://auth.example.org");
        test.connect(&authority).await;
        let asked = authority.asked();
        assert!(asked.iter().all(|(path, _)| path != "/register"), "{asked:?}");
        let (_, sent) = asked.iter().find(|(path, _)| path == "/token").unwrap();
        assert_eq!(sent["authorization"], "Basic b3VyczpzM2NyZXQ=");
        test.config.servers = configured("https://other.example.org");
        let body = Some(json!({ "server": "wiki" }));
        let refused = test.ask_page(&test.token, Method::POST, "/api/tools/connections", body).await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
        assert!(authority.asked().iter().all(|(path, _)| path != "/token"));
    });
}

#[test]
fn only_a_public_address_is_a_client_id_and_all_others_register_a_client() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        authority.set("client_id_metadata_document_supported", json!(true));
        for (host, is_public) in [
            ("chat.example.org", true),
            ("chat.example.org:8443", true),
            ("10.0.0.5", false),
            ("192.168.1.4:8443", false),
            ("chat.corp.internal", false),
            ("chat.local", false),
            ("chat", false),
        ] {
            let site = Site::new(&format!("https://{host}"));
            test.fixture.app = App::new(test.fixture.another_connection(), site);
            let address = test.begin().await.address;
            let is_registered = authority.asked().iter().any(|(path, _)| path == "/register");
            assert_eq!(
                (address.contains("client_id=https"), is_registered),
                (is_public, !is_public),
                "{host}: {address}"
            );
            let document = test.send_as(None, Method::GET, "/api/tools/connections/client/wiki", None).await.status;
            assert_eq!(document, if is_public { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{host}");
        }
    });
}

#[test]
fn a_server_that_lists_for_everybody_and_wants_a_token_for_calls_can_be_connected_after_the_first_call() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        authority.list_openly();
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        assert_eq!(test.connection().await, Value::Null);
        let lease = test.lease().await;
        let (is_done, said) = test.called(lease, "c1", "wiki_read").await;
        assert!(!is_done && said.contains("connect it under Tools"), "{said}");
        assert_eq!(test.connection().await["state"], "not_connected");
        test.connect(&authority).await;
        assert!(test.called(lease, "c2", "wiki_read").await.0);
        assert_eq!(test.connection().await["state"], "connected");
        // It is still one to be connected when it is down.
        let gone = test.send(Method::DELETE, "/api/tools/connections?server=wiki", None).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT);
        test.outside
            .set("wiki.example.org", ToolServer { fault: Some(TransportError::TimedOut), ..ToolServer::default() });
        test.set_rows("tool_listings", "fetched_at = 0").await;
        cache::Clock::sleep(&test.outside, Duration::from_secs(600)).await;
        assert_eq!(test.connection().await["state"], "not_connected");
    });
}

#[test]
fn what_a_person_has_connected_does_not_depend_on_what_its_server_once_answered() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        test.offers().await;
        test.connect(&authority).await;
        // The list of before, as another instance may write it late.
        test.set_rows("tool_listings", r#"listing = replace(listing, '"signs_in":true', '"signs_in":false')"#).await;
        test.memory = Rc::default();
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        let offers = test.send_as(Some(&test.by_stream()), Method::GET, OFFERS_PATH, None).await.json;
        assert_eq!(offers["personal"], json!(["wiki"]));
    });
}

#[test]
fn a_connected_server_that_cannot_be_listed_says_so_and_keeps_its_tools() {
    paused(|outside| async move {
        let (test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        let down = ToolServer { fault: Some(TransportError::TimedOut), ..ToolServer::default() };
        test.outside.set("wiki.example.org", down);
        test.set_connection("listed_at = 0").await;
        test.wiki_tools().await;
        cache::Clock::sleep(&test.outside, Duration::from_secs(10)).await;
        assert_eq!(test.wiki_tools().await, ["read", "write"]);
        let listed = test.send(Method::GET, "/api/tools", None).await.json;
        let problem = &listed["problems"][0];
        assert!(problem["server"] == "wiki" && problem["message"].as_str().unwrap().contains("in time"), "{listed}");
    });
}

#[test]
fn what_is_no_longer_configured_can_still_be_disconnected() {
    paused(|outside| async move {
        let (mut test, authority) = Test::with_guarded_wiki(outside);
        test.connect(&authority).await;
        test.config.servers = Arc::new(Servers::default());
        test.memory = Rc::default();
        let left = test.connection().await;
        assert!(left["state"] == "lost" && left["host"] == "wiki.example.org", "{left}");
        test.send(Method::DELETE, "/api/tools/connections?server=wiki", None).await;
        cache::Clock::sleep(&test.outside, Duration::from_secs(1)).await;
        assert_eq!((test.connection().await, authority.valid()), (Value::Null, Vec::new()));
    });
}
