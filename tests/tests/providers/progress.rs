//! The templates' count-down reports its progress while it works, in every language.

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{repository, skip, within};

use super::{DICE, LETTERS, Served, WORDS, serve};

/// Two steps: enough to see that the first is reported before the second is taken.
const START: u64 = 2;

async fn counts_down(served: &Served) -> Result<()> {
    let request = served
        .app
        .request(Method::POST, "/")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "count_down", "arguments": { "start": START }, "_meta": { "progressToken": "t" } },
        }));
    let mut response = within("an answer", request.send()).await??;
    let mut text = String::new();
    let mut messages = Vec::new();
    while let Some(chunk) = within("a chunk", response.chunk()).await?? {
        text.push_str(&String::from_utf8_lossy(&chunk));
        let told = text.matches("data: ").count();
        // The first step arrives while the tool still works, so before the second step and before the end.
        ensure!(!messages.is_empty() || told <= 1, "the first step came with others: {text}");
        messages.resize(told, ());
    }
    let messages: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let (end, told) = messages.split_last().context("nothing was told")?;
    let steps: Vec<&Value> = told.iter().map(|message| &message["params"]).collect();
    let step = |done: u64| {
        let message = format!("{} to go", START - done);
        json!({ "progressToken": "t", "progress": done as f64, "total": START as f64, "message": message })
    };
    assert_eq!(steps, [&step(0), &step(1)], "{text}");
    assert_eq!(end["result"]["content"][0]["text"], "Lift-off.", "{text}");
    // A client that does not ask for progress gets the same result and nothing else.
    let plain = served.call("count_down", json!({ "start": 1 })).await?;
    assert_eq!(plain["content"], end["result"]["content"]);
    Ok(())
}

#[tokio::test]
async fn a_tool_in_rust_tells_how_far_it_is() -> Result<()> {
    let Some(served) = serve(&repository().join(LETTERS))? else { skip!("it needs a host of its own") };
    counts_down(&served).await
}

#[tokio::test]
async fn a_tool_in_python_tells_how_far_it_is() -> Result<()> {
    let provider = repository().join(DICE);
    if !provider.exists() {
        skip!("{DICE} is not there: `cargo dev test providers` builds it where Python is")
    }
    let Some(served) = serve(&provider)? else { skip!("it needs a host of its own") };
    counts_down(&served).await
}

#[tokio::test]
async fn a_tool_in_javascript_tells_how_far_it_is() -> Result<()> {
    let Some(served) = serve(&repository().join(WORDS))? else { skip!("it needs a host of its own") };
    counts_down(&served).await
}
