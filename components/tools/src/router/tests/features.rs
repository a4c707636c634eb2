//! What clients of the gateway get of a server besides tools, and what they are asked.

use mcp::{Features, Prompt, PromptArgument, Resource, ResourceTemplate};
use storage::limits::{LimitKind, LimitsSet, Subject};

use super::*;

const NOTES: &str = "mcp-notes.spin.internal";

/// With notes, which have everything besides a tool, and whose tool and prompt ask for a name if `asks`.
pub(super) fn with_notes(outside: Surroundings, asks: bool) -> Test {
    let argument = PromptArgument { name: "of".into(), ..PromptArgument::default() };
    let features = Features {
        instructions: Some("Read before you write.".into()),
        resources: vec![Resource { uri: "note://1".into(), name: "One".into(), ..Resource::default() }],
        templates: vec![ResourceTemplate {
            uri_template: "note://{number}".into(),
            name: "Any".into(),
            ..ResourceTemplate::default()
        }],
        prompts: vec![Prompt { name: "sum up".into(), arguments: vec![argument], ..Prompt::default() }],
        has_completions: true,
    };
    let tools = vec![tool("find", &json!({ "readOnlyHint": true }), &json!({ "cacheMs": 60_000 }))];
    let notes = ToolServer { tools, features: features.clone(), asks, ..ToolServer::of(&[]) };
    outside.set(NOTES, notes.clone());
    let mut test = Test::new(outside);
    // A server elsewhere that has the same is asked for nothing of it.
    test.outside.set("wiki.example.org", ToolServer { features, ..ToolServer::of(&["read"]) });
    let notes = Server::composed("notes");
    let servers = notes.into_iter().chain(test.config.servers.all.iter().cloned()).collect();
    test.config.servers = Arc::new(Servers { all: servers, unread: None });
    test.config.calls_per_minute = 20;
    test
}

/// Letters too, which have this besides a tool.
fn with_another(mut test: Test, features: Features) -> Test {
    test.outside.set("mcp-letters.spin.internal", ToolServer { features, ..ToolServer::of(&["send"]) });
    let all = test.config.servers.all.iter().cloned().chain(Server::composed("letters")).collect();
    test.config.servers = Arc::new(Servers { all, unread: None });
    test.config.calls_per_minute = 20;
    test
}

/// What a client of 2026-07-28 hears that can ask its person.
async fn asked(test: &Test, token: &str, path: &str, method: &str, params: Value) -> Answer {
    let capabilities = json!({ "elicitation": { "form": {} }, "experimental": { "x": {} } });
    asked_by(test, token, &capabilities, path, method, params).await
}

/// The same of a client that has declared these capabilities.
async fn asked_by(
    test: &Test,
    token: &str,
    capabilities: &Value,
    path: &str,
    method: &str,
    mut params: Value,
) -> Answer {
    let name = params.get("name").or(params.get("uri")).and_then(Value::as_str).unwrap_or_default().to_owned();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut request = request(Method::POST, path, Some(token), Some(&message));
    for (header, value) in [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), ("mcp-name", &name)] {
        request.headers_mut().insert(header, HeaderValue::from_str(value).unwrap());
    }
    request.headers_mut().insert("time-zone", HeaderValue::from_static("Europe/Vienna"));
    answer(test.router(), request).await
}

#[test]
fn resources_and_prompts_have_names_and_addresses_that_say_whose_they_are() {
    paused(|outside| async move {
        let test = with_notes(outside, false);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let said =
            async |path: &str, method: &str, params: Value| test.gateway(&token, path, method, params).await.json;
        let list = async |path: &str, method: &str, list: &str, key: &str| {
            strings(&said(path, method, json!({})).await["result"][list], key)
        };
        assert_eq!(list("/mcp", "resources/list", "resources", "uri").await, ["notes+note://1"]);
        assert_eq!(list("/mcp/notes", "resources/list", "resources", "uri").await, ["note://1"]);
        let templates = list("/mcp", "resources/templates/list", "resourceTemplates", "uriTemplate").await;
        assert_eq!(templates, ["notes+note://{number}"]);
        assert_eq!(list("/mcp", "prompts/list", "prompts", "name").await, ["notes_sum_up"]);
        assert_eq!(list("/mcp/notes", "prompts/list", "prompts", "name").await, ["sum up"]);
        assert_eq!(said("/mcp/clock", "prompts/list", json!({})).await["error"]["code"], -32601, "it has none");
        assert_eq!(said("/mcp/wiki", "resources/list", json!({})).await["error"]["code"], -32601, "it is elsewhere");
        let initialized = said("/mcp", "initialize", json!({ "protocolVersion": "2025-11-25" })).await;
        assert_eq!(initialized["result"]["instructions"], "notes: Read before you write.");

        for (path, uri, own) in [("/mcp", "notes+note://7", "note://7"), ("/mcp/notes", "note://7", "note://7")] {
            let contents = &said(path, "resources/read", json!({ "uri": uri })).await["result"]["contents"][0];
            assert_eq!(contents["uri"], uri);
            assert!(contents["text"].as_str().unwrap().starts_with(&format!("{own} ")), "{contents}");
        }
        for uri in ["note://1", "clock+note://1", "wiki+note://1", "tools+x:y", "+note://1", "notes+x:/nothing"] {
            let error = said("/mcp", "resources/read", json!({ "uri": uri })).await["error"].take();
            assert_eq!((&error["code"], &error["data"]["uri"]), (&json!(-32002), &json!(uri)), "{error}");
        }

        let arguments = json!({ "of": "everything" });
        let prompt = said("/mcp", "prompts/get", json!({ "name": "notes_sum_up", "arguments": arguments })).await;
        let text = prompt["result"]["messages"][0]["content"]["text"].as_str().unwrap();
        assert!(text.starts_with(r#"sum up {"of":"everything"}"#), "{text}");
        for (reference, own) in [
            (json!({ "type": "ref/prompt", "name": "notes_sum_up" }), r#"Prompt("sum up")"#),
            (json!({ "type": "ref/resource", "uri": "notes+note://{number}" }), r#"Resource("note://{number}")"#),
        ] {
            let context = json!({ "arguments": { "other": "x" } });
            let params = json!({ "ref": reference, "argument": { "name": "of", "value": "ev" }, "context": context });
            let completed = said("/mcp", "completion/complete", params).await;
            let value = completed["result"]["completion"]["values"][0].as_str().unwrap();
            assert_eq!(value, format!(r#"{own} of ev {{"other":"x"}}"#));
        }
    });
}

#[test]
fn who_may_not_use_a_server_finds_nothing_of_it() {
    paused(|outside| async move {
        let letter = Resource { uri: "letter:1".into(), name: "One".into(), ..Resource::default() };
        let features = Features {
            resources: vec![letter],
            prompts: vec![Prompt { name: "write".into(), ..Prompt::default() }],
            has_completions: true,
            ..Features::default()
        };
        let test = with_another(with_notes(outside, false), features);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let said = async |method: &str, params: Value| test.gateway(&token, "/mcp", method, params).await.json;
        let listed = async || {
            let resources = said("resources/list", json!({})).await["result"]["resources"].take();
            let prompts = said("prompts/list", json!({})).await["result"]["prompts"].take();
            [strings(&resources, "uri"), strings(&prompts, "name")].concat()
        };
        assert_eq!(listed().await, ["notes+note://1", "letters+letter:1", "notes_sum_up", "letters_write"]);
        let reference = json!({ "type": "ref/prompt", "name": "notes_sum_up" });
        let completion = json!({ "ref": reference, "argument": { "name": "of", "value": "" } });
        for effect in ["deny", "ask"] {
            let policy = json!({ "pattern": "notes:*", "effect": effect });
            test.send(Method::PUT, "/api/tools/policies", Some(policy)).await;
            assert_eq!(listed().await, ["letters+letter:1", "letters_write"], "{effect}");
            test.outside.asked();
            for (method, params, code) in [
                ("resources/read", json!({ "uri": "notes+note://1" }), -32002),
                ("prompts/get", json!({ "name": "notes_sum_up" }), -32602),
                ("completion/complete", completion.clone(), -32602),
            ] {
                assert_eq!(said(method, params).await["error"]["code"], code, "{effect} {method}");
            }
            assert_eq!(test.asked("notes"), 0, "it hears nothing of that");
        }
        // One tool that is denied says nothing about the rest.
        test.send(Method::DELETE, "/api/tools/policies?pattern=notes:*", None).await;
        let one = json!({ "pattern": "notes:find", "effect": "deny" });
        test.send(Method::PUT, "/api/tools/policies", Some(one)).await;
        let read = test.gateway(&token, "/mcp", "resources/read", json!({ "uri": "notes+note://1" })).await.json;
        assert!(read["result"]["contents"].is_array(), "{read}");
    });
}

#[test]
fn prompts_that_come_to_one_name_are_told_apart_and_each_can_be_had() {
    paused(|outside| async move {
        let prompt = |name: &str| Prompt { name: name.into(), ..Prompt::default() };
        let prompts = ["sum up", "sum_up", "要約", "翻訳"].map(prompt).into();
        let test = with_another(Test::new(outside), Features { prompts, ..Features::default() });
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let listed = test.gateway(&token, "/mcp", "prompts/list", json!({})).await.json;
        let names = strings(&listed["result"]["prompts"], "name");
        assert_eq!((names.len(), names[1].as_str()), (4, "letters_sum_up"), "what is really called so: {names:?}");
        for (name, own) in names.iter().zip(["sum up", "sum_up", "要約", "翻訳"]) {
            let got = test.gateway(&token, "/mcp", "prompts/get", json!({ "name": name })).await.json;
            let text = got["result"]["messages"][0]["content"]["text"].as_str().unwrap();
            assert!(text.starts_with(&format!("{own} {{}}")), "{name}: {text}");
        }
    });
}

#[test]
fn a_server_is_asked_only_for_what_it_has() {
    paused(|outside| async move {
        let letters = Features {
            instructions: Some("Be kind.".into()),
            prompts: vec![Prompt { name: "write".into(), ..Prompt::default() }],
            ..Features::default()
        };
        let test = with_another(with_notes(outside, false), letters);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        test.gateway(&token, "/mcp", "tools/list", json!({})).await;
        test.outside.asked();
        let reference = json!({ "type": "ref/prompt", "name": "letters_write" });
        let params = json!({ "ref": reference, "argument": { "name": "to", "value": "A" } });
        let completed = asked(&test, &token, "/mcp", "completion/complete", params).await.json;
        assert_eq!(completed["result"]["completion"]["values"], json!([]), "{completed}");
        let long = format!("notes+note://{}", "x".repeat(10_000));
        for uri in ["letters+x:1", long.as_str()] {
            let read = asked(&test, &token, "/mcp", "resources/read", json!({ "uri": uri })).await.json;
            assert_eq!((&read["error"]["code"], &read["error"]["data"]["uri"]), (&json!(-32602), &json!(uri)));
        }
        assert_eq!(test.outside.asked(), [""; 0]);
    });
}

#[test]
fn reading_counts_as_a_call_and_is_on_record_without_what_was_read() {
    paused(|outside| async move {
        let mut test = with_notes(outside, false);
        test.config.calls_per_minute = 2;
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let read =
            async || asked(&test, &token, "/mcp", "resources/read", json!({ "uri": "notes+note://1" })).await.json;
        let first = read().await;
        let text = first["result"]["contents"][0]["text"].as_str().unwrap();
        assert!(text.contains(r#""timeZone":"Europe/Vienna""#) && text.contains(r#""secrets":{}"#), "{text}");
        read().await;
        let third = read().await;
        assert!(third["error"]["message"].as_str().unwrap().contains("too many requests"), "{third}");
        let sql = "SELECT action || ' ' || subject || ' ' || outcome FROM audit_events";
        let rows = test.fixture.another_connection().query(Statement::new("audit", sql, [])).await.unwrap();
        let said: Vec<&str> = rows.iter().map(|row| row.columns("audit").text().unwrap()).collect();
        assert_eq!(said, ["resource.read notes ok", "resource.read notes ok"]);
    });
}

#[test]
fn reading_counts_against_the_number_of_the_role() {
    paused(|outside| async move {
        let mut test = with_notes(outside, false);
        test.config.calls_per_minute = 2;
        let (user, _) = test.fixture.person_with("eve@example.org", "member");
        let member = Subject::Role("member".into());
        let set = test.fixture.app.store().set_limits(&member, true, &[(LimitKind::ToolCalls, 3)]).await;
        assert!(matches!(set.unwrap(), LimitsSet::Set { .. }));
        let token = test.fixture.token(&user, Purpose::Gateway);
        let read = async || {
            let read = asked(&test, &token, "/mcp", "resources/read", json!({ "uri": "notes+note://1" })).await.json;
            read["error"].is_null()
        };
        assert_eq!([read().await, read().await, read().await, read().await], [true, true, true, false]);
    });
}

#[test]
fn a_client_is_asked_and_its_answer_ends_the_call_and_nobody_elses_does() {
    paused(|outside| async move {
        let test = with_notes(outside, true);
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let (other, _) = test.fixture.person("eve@example.org");
        let other = test.fixture.token(&other, Purpose::Gateway);
        for (method, name) in [("tools/call", "notes_find"), ("prompts/get", "notes_sum_up")] {
            let first = asked(&test, &token, "/mcp", method, json!({ "name": name })).await.json;
            assert_eq!(first["result"]["resultType"], "input_required", "{first}");
            assert_eq!(first["result"]["inputRequests"]["name"]["params"]["message"], "What is your name?");
            let state = first["result"]["requestState"].as_str().unwrap();
            assert!(!state.contains("asked"), "it is sealed: {state}");
            let answered = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
            let params = json!({ "name": name, "inputResponses": answered, "requestState": state });
            let second = asked(&test, &token, "/mcp", method, params.clone()).await.json;
            assert_eq!(second["result"]["resultType"], "complete", "{second}");
            let elses = asked(&test, &other, "/mcp", method, params.clone()).await.json;
            assert!(elses["error"]["message"].as_str().unwrap().contains("not given to this account"), "{elses}");
            let unsealed = json!({ "name": name, "inputResponses": params["inputResponses"], "requestState": "asked" });
            let unsealed = asked(&test, &token, "/mcp", method, unsealed).await.json;
            assert_eq!(unsealed["error"]["code"], -32602, "{unsealed}");
            // What was made of an answer is not given to who has not answered.
            let again = asked(&test, &token, "/mcp", method, json!({ "name": name })).await.json;
            assert_eq!(again["result"]["resultType"], "input_required", "{again}");
        }
        for (method, name) in [("tools/call", "notes_find"), ("prompts/get", "notes_sum_up")] {
            let call = async |arguments: Value, state: &Value| {
                let mut params = json!({ "name": name, "arguments": arguments });
                if !state.is_null() {
                    params["inputResponses"] = json!({ "name": { "action": "accept" } });
                    params["requestState"] = state.clone();
                }
                asked(&test, &token, "/mcp", method, params).await.json
            };
            let state = call(json!({ "to": "a", "of": "x" }), &Value::Null).await["result"]["requestState"].take();
            let others = call(json!({ "to": "b", "of": "x" }), &state).await;
            assert_eq!(others["error"]["code"], -32602, "a yes to this is none to that: {others}");
            let same = call(json!({ "of": "x", "to": "a" }), &state).await;
            assert_eq!(same["result"]["resultType"], "complete", "in whatever order: {same}");
        }
        let first = asked(&test, &token, "/mcp", "tools/call", json!({ "name": "notes_find" })).await.json;
        let params = json!({ "name": "notes_sum_up", "requestState": first["result"]["requestState"] });
        let elsewhere = asked(&test, &token, "/mcp", "prompts/get", params).await.json;
        assert_eq!(elsewhere["error"]["code"], -32602, "a state is of what it was given for: {elsewhere}");
    });
}

#[test]
fn who_cannot_be_asked_reads_the_question() {
    paused(|outside| async move {
        let test = with_notes(outside, true);
        let called = test.call(test.lease().await, "c1", "notes_find").await;
        assert_eq!(called["is_error"], true);
        assert!(called["content"].as_str().unwrap().contains("What is your name?"), "{called}");
        let token = test.fixture.token(&test.user, Purpose::Gateway);
        let older = test.gateway(&token, "/mcp", "tools/call", json!({ "name": "notes_find" })).await.json;
        assert_eq!(older["result"]["isError"], true);
        assert!(older["result"]["content"][0]["text"].as_str().unwrap().contains("What is your name?"), "{older}");
        let older = test.gateway(&token, "/mcp", "prompts/get", json!({ "name": "notes_sum_up" })).await.json;
        assert_eq!(older["error"]["code"], -32603);
        assert!(older["error"]["message"].as_str().unwrap().contains("What is your name?"), "{older}");
        for (method, name) in [("tools/call", "notes_find"), ("prompts/get", "notes_sum_up")] {
            let refused = asked_by(&test, &token, &json!({}), "/mcp", method, json!({ "name": name })).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{method}");
            let error = &refused.json["error"];
            assert_eq!(
                (&error["code"], &error["data"]["requiredCapabilities"]),
                (&json!(-32021), &json!({ "elicitation": {} }))
            );
            assert!(error["message"].as_str().unwrap().contains("What is your name?"), "{error}");
        }
    });
}

#[test]
fn the_words_of_a_server_elsewhere_are_not_lost_where_its_error_has_the_number_of_ours() {
    paused(|outside| async move {
        let test = with_notes(outside, false);
        test.outside.set("wiki.example.org", ToolServer { asks: true, ..ToolServer::of(&["read"]) });
        test.send(Method::PUT, "/api/tools/policies", Some(json!({ "pattern": "wiki:*", "effect": "allow" }))).await;
        let called = test.call(test.lease().await, "c1", "wiki_read").await;
        let words = called["content"].as_str().unwrap();
        assert!(words.contains("-32021: The client must declare these capabilities"), "{words}");
    });
}
