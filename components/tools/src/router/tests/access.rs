//! What a person's roles leave of what this component answers.

use futures::executor::block_on;
use identity::{api_key::ApiKey, grant_token::GrantToken, session_token::ProgramSession};
use storage::{
    accounts::AccountChange,
    api_keys::NewApiKey,
    audit::AuditRecord,
    grants::NewGrant,
    limits::{LimitKind, LimitsSet, Subject},
    sessions::TokenHashes,
};

use super::*;

#[test]
fn what_a_persons_role_does_not_name_is_neither_shown_nor_called_in_runs_and_by_programs() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        let store = test.fixture.app.store();
        let permissions = "tools:read tools:call:clock:* gateway:use";
        assert!(store.set_role("clock", permissions, 9).await.unwrap());
        (test.user, test.token) = test.fixture.person_with("eve@example.org", "clock");
        test.fixture.app = test.fixture.new_instance();
        let list = test.send(Method::GET, "/api/tools", None).await.json;
        assert_eq!(strings(&list["items"], "server"), ["clock"]);
        let lease = test.lease().await;
        let called = test.call(lease, "c1", "wiki_read").await;
        assert!(called["content"].as_str().unwrap().contains("tools:call:wiki:read"), "{called}");
        assert_eq!(test.call(lease, "c2", "clock_now").await["is_error"], false);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let listed = test.gateway(&token, "/mcp", "tools/list", json!({})).await.json;
        assert_eq!(strings(&listed["result"]["tools"], "name"), ["clock_now"]);
        let params = json!({ "name": "wiki_read", "arguments": {} });
        let called = test.gateway(&token, "/mcp", "tools/call", params).await.json;
        assert_eq!(called["result"]["isError"], true, "{called}");
        let own = json!({ "pattern": "wiki:*", "effect": "allow" });
        let refused = test.send(Method::PUT, "/api/tools/policies", Some(own)).await;
        assert_eq!((refused.status, &refused.json["permission"]), (StatusCode::FORBIDDEN, &json!("tools:manage")));

        // Less from one call of a run to the next, and nobody reads it with a new token.
        let suspension = AccountChange { role: None, is_suspended: Some(true) };
        let _ = test.fixture.change(&test.user, suspension);
        let called = test.call(lease, "c3", "clock_now").await;
        assert!(called["content"].as_str().unwrap().contains("tools:call:clock:now"), "{called}");
        assert_eq!(test.asked("wiki.example.org tools/call"), 0);
    });
}

#[test]
fn what_a_server_has_besides_tools_is_read_by_whoever_may_call_all_of_its_tools() {
    paused(|outside| async move {
        let mut test = features::with_notes(outside, false);
        let roles = [("all", "tools:call:notes:* gateway:use"), ("one", "tools:call:notes:find gateway:use")];
        for (role, permissions) in roles {
            assert!(test.fixture.app.store().set_role(role, permissions, 9).await.unwrap());
        }
        let people = roles.map(|(role, _)| test.fixture.person_with(&format!("{role}@example.org"), role).0);
        test.fixture.app = test.fixture.new_instance();
        let [all, one] = people.map(|person| test.fixture.token(&person, Purpose::Gateway));
        let read = json!({ "uri": "notes+note://1" });
        let answer = test.gateway(&all, "/mcp", "resources/read", read.clone()).await.json;
        assert_eq!(answer["result"]["contents"][0]["uri"], "notes+note://1", "{answer}");
        let answer = test.gateway(&one, "/mcp", "resources/read", read).await.json;
        assert!(answer["error"].is_object(), "{answer}");
        let found = test.gateway(&one, "/mcp", "tools/list", json!({})).await.json;
        assert_eq!(strings(&found["result"]["tools"], "name"), ["notes_find"]);
    });
}

#[test]
fn a_policy_for_everybody_is_in_the_record_and_ones_own_is_not() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        (test.user, test.token) = test.fixture.person_with("root@example.org", "admin");
        for scope in ["own", "installation"] {
            let policy = json!({ "pattern": "wiki:*", "effect": "deny", "scope": scope });
            assert_eq!(test.send(Method::PUT, "/api/tools/policies", Some(policy)).await.status, StatusCode::OK);
            let path = format!("/api/tools/policies?pattern=wiki:*&scope={scope}");
            assert_eq!(test.send(Method::DELETE, &path, None).await.status, StatusCode::NO_CONTENT);
        }
        let records = test.fixture.app.store().audit_records(Some(test.user.id), None, 9).await.unwrap();
        let said = |record: &AuditRecord| (record.action.clone(), record.subject.clone(), record.detail.clone());
        let told = |action: &str, detail: Option<&str>| (action.into(), "wiki:*".into(), detail.map(str::to_owned));
        let expected = [told("policy.remove", None), told("policy.set", Some("deny"))];
        assert_eq!(records.iter().map(said).collect::<Vec<_>>(), expected);
    });
}

#[test]
fn permissions_of_every_route_are_those_of_the_document() {
    router_test::paused(async |outside| {
        router_test::permissions::compare_routes("tools", |app| {
            let (config, host) = (Config::default(), outside.clone());
            router(Tools::<SqliteFile, _>::new(app, config, host, Rc::default()))
        })
        .await;
    });
}

#[test]
fn a_programs_token_opens_the_address_that_its_person_let_it_in_for_and_what_is_below() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let app = &test.fixture.app;
        let token = async |resource: &str| {
            let (issuer, now) = web::issuing::issuer("tools", app.store(), "").await.unwrap();
            let code = GrantToken::new_code(Id::new()).unwrap();
            let hashes = TokenHashes { token: code.hash(), family: code.family_hash() };
            let scopes = "gateway:use tools:call:*";
            let (client_id, redirect_uri, code_challenge) = ("c", "https://a.example/cb", "x");
            let grant = NewGrant { client_id, client_name: "c", redirect_uri, code_challenge, resource, scopes };
            let person = (test.user.id, test.user.access_version);
            assert!(app.store().create_grant(code.session_id(), person, &hashes, grant, 60_000).await.unwrap());
            let program = ProgramSession { session_id: code.session_id(), scopes, resource };
            issuer.issue_to_program(&test.user, program, now).unwrap()
        };
        let list = async |token: &str, path: &str| test.gateway(token, path, "tools/list", json!({})).await;
        for (resource, path, status) in [
            ("/mcp", "/mcp", 200),
            ("/mcp", "/mcp/clock", 200),
            ("/mcp/clock", "/mcp/clock", 200),
            ("/mcp/clock", "/mcp/mail", 401),
            ("/mcp/clock", "/mcp", 401),
        ] {
            let answer = list(&token(resource).await, path).await;
            assert_eq!(answer.status.as_u16(), status, "{resource} at {path}: {}", answer.text);
            if status == 401 {
                let challenge = answer.headers["www-authenticate"].to_str().unwrap();
                assert!(challenge.starts_with("Bearer error=\"invalid_token\", "), "{challenge}");
            }
        }
    });
}

#[test]
fn a_program_does_not_hear_that_its_token_is_invalid_while_the_database_fails() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        test.fixture.app = test.fixture.new_instance();
        let sql = "ALTER TABLE signing_keys RENAME TO away";
        test.fixture.another_connection().query(Statement::new("t", sql, [])).await.unwrap();
        let answer = test.gateway(&token, "/mcp", "tools/list", json!({})).await;
        assert!(answer.status.is_server_error() && !answer.headers.contains_key("www-authenticate"), "{}", answer.text);
    });
}

#[test]
fn a_program_goes_no_further_at_the_gateway_than_its_scopes() {
    paused(|outside| async move {
        let test = Test::new(outside);
        let key = |scopes: &str| {
            let key = ApiKey::new().unwrap();
            let (hash, user) = (key.hash(), &test.user);
            let new = NewApiKey { name: "k", prefix: key.prefix(), hash: &hash, scopes, expires_at: None };
            block_on(test.fixture.app.store().create_api_key(user.id, new, user.into())).unwrap().unwrap();
            key.to_string()
        };
        let list = async |key: &str| test.gateway(key, "/mcp", "tools/list", json!({})).await;
        let call = async |key: &str| {
            let params = json!({ "name": "clock_now", "arguments": {} });
            test.gateway(key, "/mcp", "tools/call", params).await
        };
        let all = key("gateway:use tools:call:*");
        assert_eq!(strings(&list(&all).await.json["result"]["tools"], "name"), ["clock_now", "mail_send", "wiki_read"]);
        assert_eq!(call(&all).await.json["result"]["isError"], false);
        let other = key("gateway:use tools:call:wiki:*");
        assert_eq!(strings(&list(&other).await.json["result"]["tools"], "name"), ["wiki_read"]);
        let refused = call(&other).await;
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (403, &json!("insufficient_scope")));
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error=\"insufficient_scope\", "), "{challenge}");
        assert!(challenge.contains("scope=\"gateway:use tools:call:wiki:* tools:call:clock:now\""), "{challenge}");
        assert_eq!(test.asked("clock.spin.internal tools/call"), 1, "of the one who may");
        let none = list(&key("conversations:read")).await;
        assert_eq!((none.status.as_u16(), &none.json["code"]), (403, &json!("insufficient_scope")));
    });
}

#[test]
fn a_role_has_its_own_number_of_calls_a_minute_in_runs_and_at_the_gateway() {
    paused(|outside| async move {
        let mut test = Test::new(outside);
        let subject = Subject::Role(test.user.roles().next().unwrap().to_owned());
        let set = test.fixture.app.store().set_limits(&subject, true, &[(LimitKind::ToolCalls, 2)]).await;
        assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
        test.fixture.app = test.fixture.new_instance();
        let lease = test.lease().await;
        assert_eq!(test.call(lease, "c1", "clock_now").await["is_error"], false);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let call = async || {
            let params = json!({ "name": "clock_now", "arguments": {} });
            test.gateway(&token, "/mcp", "tools/call", params).await.json["result"].clone()
        };
        assert_eq!(call().await["isError"], false);
        let refused = call().await;
        assert_eq!(refused["isError"], true);
        let words = refused["content"][0]["text"].as_str().unwrap();
        assert!(words.contains("Try again in"), "{words}");
    });
}
