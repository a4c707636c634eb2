//! A tool of this installation reports its progress while it works: in a chat and at the gateway.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tests::{App, Person, start_model, within};

#[tokio::test]
async fn how_far_a_call_is_can_be_followed_in_a_chat_and_at_the_gateway() -> Result<()> {
    let Some((_host, app)) = App::own(start_model()?.options().with_misbehaving_tools()?)? else {
        tests::skip!("needs tools of its own")
    };
    let person = Person::in_app(&app).await?;
    let began = Instant::now();
    let turn = person.ask("scripted-tool=misbehaving_tell-delay=0-ttft=0", "{}").await?;
    let mut reading = person.events(&turn.run).await?;
    let told = reading.through(|event| event.kind() == "tool_progress").await?;
    let first = told.last().context("nothing was told")?;
    ensure!(first.content().starts_with("step ") && first.content().chars().count() == 200, "{first:?}");
    let rest = reading.through(|event| event.kind() == "tool_result").await?;
    let more = rest.iter().filter(|event| event.kind() == "tool_progress").count();
    // The tool reports 150 steps. On a slow machine they take longer, so the limit is a rate.
    let at_most = 2 + began.elapsed().as_millis() / 250;
    ensure!((1..=at_most).contains(&u128::try_from(more)?), "told {more} times more");

    let program = person.program().await?;
    let call = json!({ "name": "misbehaving_tell", "arguments": {}, "_meta": { "progressToken": 1 } });
    let request = program
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }));
    let mut response = within("an answer", request.send()).await??;
    let first = within("a piece", response.chunk()).await??.context("nothing was told")?;
    let first = String::from_utf8_lossy(&first).into_owned();
    ensure!(first.contains("notifications/progress") && !first.contains("\"result\""), "{first}");
    let rest = within("the rest", response.text()).await??;
    ensure!(rest.contains("\"told\""), "{rest}");
    Ok(())
}
