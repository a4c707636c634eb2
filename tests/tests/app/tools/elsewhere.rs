//! Remote MCP servers: whatever one of them is or sends, the chat and the other servers go on, and people are told.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tests::{App, Event, Person, array, start_model, until};

/// The requests to a server: a method, and the session of the request.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A server with sessions and a redirect, whose tools are of every kind.
async fn odd() -> Result<(String, Asked)> {
    let asked = Asked::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    let moved = || async { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/mcp/")]) };
    let router = Router::new()
        .route("/mcp", post(moved).delete(moved))
        .route("/mcp/", post(answer).delete(ended))
        .with_state(Arc::clone(&asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, asked))
}

fn note(asked: &Asked, method: &str, headers: &HeaderMap) -> usize {
    let session = headers.get("mcp-session-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.push((method.to_owned(), session.to_owned()));
    asked.len()
}

async fn ended(State(asked): State<Asked>, headers: HeaderMap) {
    note(&asked, "DELETE", &headers);
}

async fn answer(State(asked): State<Asked>, headers: HeaderMap, Json(message): Json<Value>) -> Response {
    let method = message["method"].as_str().unwrap_or_default();
    let number = note(&asked, method, &headers);
    let tool = |name: &str, schema: Value| json!({"name": name, "inputSchema": schema, "annotations": null});
    let result = match method {
        "initialize" => json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": null}),
        "notifications/initialized" => return StatusCode::ACCEPTED.into_response(),
        "tools/list" => json!({"nextCursor": "again", "tools": [
            tool("a.b", json!({})),
            tool("a_b", json!({"type": "object", "properties": {"list": {"type": "array"}}, "required": null})),
            tool("名前 🎉", json!({"anyOf": [{"type": "object"}]})),
            tool("dangling", json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}})),
        ]}),
        "tools/call" => {
            let proof = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let said = json!({"type": "text", "text": format!("called by {proof}")});
            json!({"content": [said, {"type": "video"}], "structuredContent": [proof], "isError": null})
        }
        _ => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let answered = Json(json!({"jsonrpc": "2.0", "id": message["id"].to_string(), "result": result}));
    match method {
        "initialize" => ([("mcp-session-id", format!("s{number}"))], answered).into_response(),
        _ => answered.into_response(),
    }
}

#[tokio::test]
async fn whatever_one_of_them_is_the_chat_goes_on_and_people_are_told() -> Result<()> {
    let (url, asked) = odd().await?;
    let (locked, _) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let router = Router::new().route("/mcp", post(|| async { StatusCode::UNAUTHORIZED }));
        (url, tokio::spawn(async move { axum::serve(listener, router).await }))
    };
    // A port that was in use a moment ago and is free now.
    let gone = format!("http://{}/mcp", std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    let servers = json!([
        {"name": "odd", "url": url, "authorization": "Bearer a-token-of-ours"}, {"name": "locked", "url": locked}, {"name": "gone", "url": gone},
        {"name": "unknown", "url": "http://nowhere.invalid/mcp"}, {"name": "clock", "url": url},
    ]);
    let options = start_model()?.options();
    let options = options.variable("remote_mcp_servers", &servers.to_string());
    let options = options.variable("remote_mcp_host", "http://*:*").variable("tool_policies", "allow odd:*");
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs servers of its own") };
    let person = Person::in_app(&app).await?;

    let list = person.get("/api/tools").await?;
    let problems = array(&list, "/problems")?;
    let told = |server: &str| {
        let of_server = problems.iter().filter(|problem| problem["server"] == server);
        of_server.map(|problem| format!("{} {}", problem["message"], problem["advice"])).collect::<Vec<_>>().join("\n")
    };
    // Who has to sign in there is told where they can.
    assert_eq!(told("locked"), "");
    let connections = array(&person.get("/api/tools/connections").await?, "/items")?;
    let locked = connections.iter().find(|connection| connection["server"] == "locked");
    assert_eq!(locked.context("it can be connected")?["state"], "not_connected", "{connections:?}");
    assert!(told("gone").contains("refuses connections"), "{}", told("gone"));
    assert!(told("unknown").contains("cannot be resolved"), "{}", told("unknown"));
    assert!(told("clock").contains("another server has this name"), "{}", told("clock"));
    assert!(told("odd").contains("again and again") && told("odd").contains("refers to #/$defs/x"), "{}", told("odd"));
    let other = Person::in_app(&app).await?.get("/api/tools").await?;
    assert!(array(&other, "/problems")?.iter().all(|problem| problem["advice"].is_null()), "{other}");

    let (_, events) = person.hear("scripted-tool=odd_a_b-delay=0-ttft=0", "{}").await?;
    let result = events.iter().find(|event: &&Event| event.kind() == "tool_result").context("no result")?;
    assert_eq!(result.content(), "called by Bearer [secret]\n[something of the type \"video\" was not understood]");
    assert_eq!(events.last().map(Event::kind), Some("complete"));
    let (_, events) = person.hear("scripted-tool=clock_now-delay=0-ttft=0", "{}").await?;
    let result = events.iter().find(|event: &&Event| event.kind() == "tool_result").context("no result")?;
    assert_eq!(result.metadata("is_error"), &json!(false), "{}", result.content());

    until("every session to be ended", async || {
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |wanted: &str| asked.iter().filter(|(method, _)| method == wanted).count();
        let called = asked.iter().find(|(method, _)| method == "tools/call").map(|(_, session)| session.clone());
        let is_over = |session: &String| asked.contains(&("DELETE".to_owned(), session.clone()));
        Ok((of("initialize") == of("DELETE") && called.as_ref().is_some_and(is_over)).then_some(()))
    })
    .await
}
