//! Calls of a real API, by its own OpenAPI document.

use std::{
    io::Read as _,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use scripted_server::Native;
use serde_json::{Value, json};
use tool_provider::{Answer, Context, Failure};

use super::{catalog, context, names, schema, server::FastApi, words};
use crate::{call, catalog::Catalog};

const KEY: (&str, &str) = ("todo.APIKeyHeader", "a key to the list");

struct World {
    catalog: Catalog,
    transport: Native,
}

impl World {
    async fn start_or_skip() -> Option<Self> {
        let server = FastApi::shared_or_skip()?;
        let transport = Native::default();
        let address = format!("http://127.0.0.1:{}/openapi.json", server.port);
        let document = transport.client().get(address).send().await.unwrap();
        let catalog = catalog(&[("todo", &document.text().await.unwrap())]);
        assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
        Some(Self { catalog, transport })
    }

    /// A call as the app makes it: arguments that do not fit the schema never arrive.
    async fn call_with(&self, tool: &str, arguments: &Value, context: &Context) -> Result<Answer, Failure> {
        let operation = self.catalog.find(tool).expect(tool);
        let checked = json_schema::check(&schema(&self.catalog, tool), arguments).unwrap();
        assert_eq!(checked, [], "{tool}");
        call::call(operation, &arguments.to_string(), context, &self.transport).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Result<Answer, Failure> {
        self.call_with(tool, &arguments, &context(&[KEY])).await
    }

    async fn json(&self, tool: &str, arguments: Value) -> Value {
        serde_json::from_str(&self.call(tool, arguments).await.unwrap().text).unwrap()
    }
}

#[tokio::test]
async fn an_api_is_read_and_changed_by_its_own_description() {
    let Some(world) = World::start_or_skip().await else { return };
    assert!(!names(&world.catalog).contains(&"todo_old".to_owned()), "what is deprecated is left out");
    let draft = json!({ "body": { "title": "Buy milk", "tags": ["home", "a&b"] } });
    let made = world.call("todo_create_todo", draft).await.unwrap();
    assert_eq!(made.structured.as_deref(), Some(made.text.as_str()));
    let made: Value = serde_json::from_str(&made.text).unwrap();
    assert_eq!((&made["id"], &made["tags"][1]), (&json!(1), &json!("a&b")));
    world.call("todo_create_todo", json!({ "body": { "title": "Sleep", "done": true } })).await.unwrap();

    let all = world.call("todo_list_todos", json!({})).await.unwrap();
    assert_eq!(all.structured, None, "a list is no object");
    assert_eq!(serde_json::from_str::<Value>(&all.text).unwrap().as_array().unwrap().len(), 2);
    for (filter, titles) in [
        (json!({ "done": true }), json!(["Sleep"])),
        (json!({ "tag": ["home", "a&b"] }), json!(["Buy milk"])),
        (json!({ "done": null, "limit": 1 }), json!(["Buy milk"])),
    ] {
        let found = world.json("todo_list_todos", filter.clone()).await;
        let found: Vec<&Value> = found.as_array().unwrap().iter().map(|todo| &todo["title"]).collect();
        assert_eq!(json!(found), titles, "{filter}");
    }

    let updated = json!({ "id": 1, "body": { "title": "Buy bread", "due": "2030-01-01" } });
    assert_eq!(world.json("todo_update_todo", updated).await["title"], "Buy bread");
    assert_eq!(world.json("todo_get_todo", json!({ "id": 1 })).await["due"], "2030-01-01");
    let deleted = world.call("todo_delete_todo", json!({ "id": 1 })).await.unwrap();
    assert!(deleted.text.starts_with("The answer is 204 No Content without content."), "{}", deleted.text);
    let gone = words(world.call("todo_get_todo", json!({ "id": 1 })).await);
    assert_eq!(gone, r#"127.0.0.1/todos/{id} answers 404 Not Found. It says: {"detail":"There is no 1."}"#);
}

#[tokio::test]
async fn forms_headers_and_texts_arrive_as_they_were_meant() {
    let Some(world) = World::start_or_skip().await else { return };
    let form = json!({ "body": { "name": "Ada & Söhne=1", "colour": ["red", "light blue"] } });
    let sent = world.json("todo_send_form", form.clone()).await;
    assert_eq!(sent, form["body"]);
    let note = world.json("todo_get_note", json!({ "name": "Zoë?x=1#y", "X-Trace": "abc" })).await;
    assert_eq!((&note["name"], &note["trace"]), (&json!("Zoë?x=1#y"), &json!("abc")));
    assert_eq!(world.call("todo_text", json!({})).await.unwrap().text, "Grüße");
    let broken = words(world.call("todo_get_note", json!({ "name": "x", "X-Trace": "a\r\nX-Key: b" })).await);
    assert!(broken.contains("\"X-Trace\" has characters"), "{broken}");
}

#[tokio::test]
async fn a_path_parameter_leads_nowhere_else() {
    let Some(world) = World::start_or_skip().await else { return };
    for name in [
        "../admin",
        "..",
        ".",
        "a/../../admin",
        "..\\admin",
        "%2e%2e/admin",
        "x/%2E%2E/y",
        " .. /admin",
        "..%2fadmin",
        "..%5cadmin",
        "a%2F..%5Cadmin",
        "..%252fadmin",
        "%25252e%25252e%25252f",
        "..;x/admin",
        "",
        "a\0b",
        "a%00b",
    ] {
        let refused = words(world.call("todo_get_note", json!({ "name": name })).await);
        assert!(refused.contains("\"name\" must not"), "{name}: {refused}");
    }
    let refused = words(world.call("todo_get_note", json!({ "name": "a/b" })).await);
    assert!(refused.contains("404"), "the slash is sent encoded, and this server has no such note: {refused}");
    let note = world.json("todo_get_note", json!({ "name": "a.b..c;d" })).await;
    assert_eq!(note["raw"], "/notes/a.b..c%3Bd");
    let note = world.json("todo_get_note", json!({ "name": "100%2B..%" })).await;
    assert_eq!(note["name"], "100%2B..%");
}

#[tokio::test]
async fn each_kind_of_secret_goes_where_the_description_says() {
    let Some(world) = World::start_or_skip().await else { return };
    let missing = world.call_with("todo_list_todos", &json!({}), &context(&[])).await;
    let expected = "Enter \"Todo: key (APIKeyHeader)\" under Tools in the settings first.";
    assert_eq!(missing, Err(Failure::NotConfigured(expected.to_owned())));
    let wrong = context(&[("todo.APIKeyHeader", "nonsense")]);
    let wrong = words(world.call_with("todo_list_todos", &json!({}), &wrong).await);
    assert!(wrong.contains("403 Forbidden: check \"Todo: key (APIKeyHeader)\" under Tools"), "{wrong}");
    assert!(wrong.contains("This key opens nothing."), "{wrong}");

    let token = context(&[("todo.HTTPBearer", "bearer abc.def")]);
    let bearer = world.call_with("todo_bearer", &json!({}), &token).await.unwrap();
    assert_eq!(bearer.text, r#"{"token":"abc.def"}"#);
    let both = context(&[("todo.HTTPBasic_username", "ada"), ("todo.HTTPBasic_password", "pass:word")]);
    let basic = world.call_with("todo_basic", &json!({}), &both).await.unwrap();
    assert_eq!(basic.text, r#"{"right":true,"who":"ada"}"#);
    let secrets = world.catalog.offer().secrets;
    assert!(secrets.iter().all(|secret| !secret.optional));
    let shown: Vec<(String, bool)> = secrets.into_iter().map(|secret| (secret.name, secret.visible)).collect();
    assert!(shown.contains(&("todo.HTTPBasic_username".to_owned(), true)), "{shown:?}");
    assert!(shown.contains(&("todo.HTTPBasic_password".to_owned(), false)), "{shown:?}");

    let token = context(&[("todo.APIKeyQuery", "hush hush")]);
    world.call_with("todo_query_key", &json!({}), &token).await.unwrap();
    let broke = words(world.call_with("todo_query_key", &json!({ "fail": true }), &token).await);
    assert!(broke.contains("/echo-query answers 500") && !broke.contains("hush"), "{broke}");
}

#[tokio::test]
async fn redirects_stay_at_the_server_and_end() {
    let Some(world) = World::start_or_skip().await else { return };
    assert_eq!(world.json("todo_moved", json!({})).await["name"], "moved");
    let elsewhere = words(world.call("todo_elsewhere", json!({})).await);
    assert!(
        elsewhere.ends_with("redirects to another server, elsewhere.example, which is not followed"),
        "{elsewhere}"
    );
    let round = words(world.call("todo_round", json!({})).await);
    assert!(round.ends_with("/round redirects without end"), "{round}");
}

#[tokio::test]
async fn of_what_may_have_changed_something_it_is_said_whether_it_did() {
    let Some(world) = World::start_or_skip().await else { return };
    for (to, status, expected) in [
        ("/todos", 307, "/posted redirects, which is followed only for GET; whether it took effect is not known"),
        ("/todos", 302, "which is followed only for GET; whether it took effect is not known"),
        ("/todos", 303, "which is followed only for GET; it probably took effect"),
        ("https://elsewhere.example/", 303, "elsewhere.example, which is not followed; it probably took effect"),
    ] {
        let posted = words(world.call("todo_posted", json!({ "to": to, "status": status })).await);
        assert!(posted.ends_with(expected), "{posted}");
    }
    let huge = words(world.call("todo_post_huge", json!({})).await);
    assert!(huge.contains("longer than") && huge.ends_with("; whether it took effect is not known"), "{huge}");
    let hurried = Context { deadline: Duration::from_secs(1), ..context(&[]) };
    let slow = words(world.call_with("todo_post_slow", &json!({}), &hurried).await);
    assert!(slow.ends_with("/slow did not answer in time; whether it took effect is not known"), "{slow}");
    let image = world.call("todo_post_image", json!({})).await.unwrap();
    assert_eq!(image.text, "The answer is 200 OK with 6 bytes of image/png, which is not text.");
}

#[tokio::test]
async fn a_broken_connection_leaves_open_what_a_refused_one_does_not() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // A port on which nobody listens, and which no other program can take.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    let document = |port: u16| {
        let document = json!({
            "openapi": "3.1.0",
            "servers": [{ "url": format!("http://127.0.0.1:{port}") }],
            "paths": { "/a": { "get": { "operationId": "read" }, "post": { "operationId": "write" } } },
        });
        document.to_string()
    };
    let catalog = catalog(&[("api", &document(port)), ("closed", &document(closed_port))]);
    let call = async |tool: &str| {
        words(call::call(catalog.find(tool).unwrap(), "{}", &context(&[]), &Native::default()).await)
    };
    let server = std::thread::spawn(move || {
        // The read comes once more, the change does not.
        for _ in 0..3 {
            // Reads a part of the request and disconnects.
            let _ = listener.accept().unwrap().0.read(&mut [0; 16]);
        }
    });
    let (read, written) = (call("api_read").await, call("api_write").await);
    server.join().unwrap();
    assert!(!read.contains("effect"), "{read}");
    assert!(written.ends_with("; whether it took effect is not known"), "{written}");
    assert_eq!(call("closed_write").await, format!("127.0.0.1:{closed_port} cannot be reached"));
}

#[tokio::test]
async fn what_a_secret_became_in_the_request_is_in_no_answer() {
    let Some(world) = World::start_or_skip().await else { return };
    let secrets = [
        ("todo.HTTPBearer", "bearer abc.\"def\".ghi"),
        ("todo.HTTPBasic_username", "ada"),
        ("todo.HTTPBasic_password", "pass:word"),
        ("todo.APIKeyQuery", "hush & hush"),
    ];
    for (tool, kept, gone) in [
        ("todo_mirror_bearer", "Bearer [secret]", "abc."),
        ("todo_mirror_basic", "Basic [secret]", "YWRh"),
        ("todo_mirror_query", "token=[secret]", "hush"),
    ] {
        let answer = world.call_with(tool, &json!({}), &context(&secrets)).await.unwrap();
        let failed = words(world.call_with(tool, &json!({ "fail": true }), &context(&secrets)).await);
        for text in [answer.text, answer.structured.unwrap(), failed] {
            assert!(text.contains(kept) && !text.contains(gone), "{text}");
        }
        // Wherever the text is cut, no part of a secret remains.
        for pad in (1_700..2_000).step_by(15) {
            let long = words(world.call_with(tool, &json!({ "fail": true, "pad": pad }), &context(&secrets)).await);
            assert!(!long.contains(gone), "{long}");
        }
    }
}

#[tokio::test]
async fn what_is_too_long_too_slow_or_no_text_is_said_so() {
    let Some(world) = World::start_or_skip().await else { return };
    let huge = words(world.call("todo_huge", json!({})).await);
    assert!(huge.contains("longer than"), "{huge}");
    let image = words(world.call("todo_image", json!({})).await);
    assert_eq!(image, "127.0.0.1/image answers with 6 bytes of image/png, which is not text");
    let busy = words(world.call("todo_busy", json!({})).await);
    assert!(busy.contains("429 Too Many Requests: try again after 17 seconds. It says: slow down"), "{busy}");
    let hurried = Context { deadline: Duration::from_secs(1), ..context(&[]) };
    assert_eq!(world.call_with("todo_slow", &json!({}), &hurried).await, Err(Failure::TimedOut));
}
