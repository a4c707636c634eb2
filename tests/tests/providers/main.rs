//! Tool providers as `cargo dev new-tool` creates them, and the provider for OpenAPI documents, each composed with the adapter and called over MCP.
//! `cargo dev test providers` builds and runs them; other rings leave them out.

#![allow(clippy::indexing_slicing, reason = "of JSON alone, where what is missing is null")]

mod api;
mod progress;
mod requests;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{App, Host, Options, repository, within};

const ADAPTER: &str = "target/wasm32-wasip2/release/mcp_server.wasm";
const LETTERS: &str = "target/wasm32-wasip2/release/fixture_letters.wasm";
const DICE: &str = "target/python/fixture-dice.wasm";
const WORDS: &str = "target/javascript/fixture-words.wasm";

/// A provider that answers MCP at the root.
struct Served {
    app: App,
    host: Host,
    _folder: TempDir,
}

/// Serves the adapter with a provider in it; `None` with `EA_URL`.
fn serve(provider: &Path) -> Result<Option<Served>> {
    serve_with(provider, tempfile::tempdir()?, "")
}

/// The same from a folder with files in it, and with more lines about the component.
fn serve_with(provider: &Path, folder: TempDir, more: &str) -> Result<Option<Served>> {
    let manifest = folder.path().join("spin.toml");
    let text = format!(
        "spin_manifest_version = 2\n[application]\nname = \"provider\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"mcp-it\"\n\
         [component.mcp-it]\nsource = {:?}\ndependencies_inherit_configuration = true\n{more}\n\
         [component.mcp-it.variables]\naudience = \"*\"\n\
         [component.mcp-it.dependencies]\n\"edge-assistant:tools/provider@2.0.0\" = {{ path = {provider:?} }}\n",
        repository().join(ADAPTER),
    );
    fs::write(&manifest, text)?;
    let own = App::own(Options::default().manifest(&manifest))?;
    Ok(own.map(|(host, app)| Served { app, host, _folder: folder }))
}

impl Served {
    /// The whole response to a request in the revision 2025-11-25. `initialize` is not needed here.
    async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        let request = self
            .app
            .request(Method::POST, "/")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        Ok(within("an answer", request.send()).await??.json().await?)
    }

    async fn tools(&self) -> Result<Vec<Value>> {
        let answer = self.ask("tools/list", json!({})).await?;
        answer["result"]["tools"].as_array().cloned().with_context(|| answer.to_string())
    }

    /// The result of a call.
    async fn call(&self, name: &str, arguments: Value) -> Result<Value> {
        let mut answer = self.ask("tools/call", json!({ "name": name, "arguments": arguments })).await?;
        ensure!(answer["result"].is_object(), "{answer}");
        Ok(answer["result"].take())
    }
}

fn words(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// The requirements for all templates: listed with a schema, unknown input is refused, and failures have a message.
async fn is_a_provider(served: &Served, tool: &str, wrong: Value, remedy: &str) -> Result<()> {
    let tools = served.tools().await?;
    let listed = tools.iter().find(|listed| listed["name"] == tool).with_context(|| format!("{tools:?}"))?;
    assert_eq!(listed["inputSchema"]["type"], "object", "{listed}");
    assert_eq!(listed["outputSchema"]["type"], "object", "{listed}");
    assert_eq!(listed["annotations"]["readOnlyHint"], true, "{listed}");
    assert_eq!(listed["annotations"]["openWorldHint"], false, "{listed}");
    let failed = served.call(tool, wrong).await?;
    assert_eq!(failed["isError"], true, "{failed}");
    assert!(words(&failed).contains(remedy), "{failed}");
    let unknown = served.ask("tools/call", json!({ "name": "nothing", "arguments": {} })).await?;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    Ok(())
}

#[tokio::test]
async fn a_provider_in_rust_answers() -> Result<()> {
    let Some(served) = serve(&repository().join(LETTERS))? else { tests::skip!("it needs a host of its own") };
    is_a_provider(&served, "count", json!({ "text": "strawberry", "wanted": "" }), "Say in `wanted`").await?;
    let counted = served.call("count", json!({ "text": "Strawberry", "wanted": "r" })).await?;
    assert_eq!(counted["structuredContent"], json!({ "count": 3 }));
    Ok(())
}

#[tokio::test]
async fn a_provider_in_python_answers() -> Result<()> {
    let provider = repository().join(DICE);
    if !provider.exists() {
        tests::skip!("{DICE} is not there: `cargo dev test providers` builds it where Python is")
    }
    let Some(mut served) = serve(&provider)? else { tests::skip!("it needs a host of its own") };
    is_a_provider(&served, "roll", json!({ "dice": "3d" }), "Write the dice as").await?;
    let too_many = served.call("roll", json!({ "dice": "101d6" })).await?;
    assert!(words(&too_many).contains("1 to 100 dice"), "{too_many}");

    let rolled = served.call("roll", json!({ "dice": " 3d6+2" })).await?;
    let rolls: Vec<i64> =
        serde_json::from_value(rolled["structuredContent"]["rolls"].clone()).with_context(|| rolled.to_string())?;
    assert!(rolls.len() == 3 && rolls.iter().all(|roll| (1..=6).contains(roll)), "{rolled}");
    let total = rolls.iter().sum::<i64>() + 2;
    assert_eq!(rolled["structuredContent"]["total"], total);
    assert!(words(&rolled).starts_with(&format!("3d6+2 = {total} (")), "{rolled}");

    // An instance begins with what the build left in memory: chance must not be part of that.
    let before = served.call("roll", json!({ "dice": "20d1000" })).await?;
    served.host.restart()?;
    served.app = App::of(&served.host);
    assert_ne!(served.call("roll", json!({ "dice": "20d1000" })).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_provider_in_javascript_answers() -> Result<()> {
    let Some(served) = serve(&repository().join(WORDS))? else { tests::skip!("it needs a host of its own") };
    // The adapter leaves the schema to `tools`. Here the fault is the tool's own, and ends only this call.
    is_a_provider(&served, "measure", json!({}), "has a fault").await?;
    let measured = served.call("measure", json!({ "text": "Ünïcode, isn't it?" })).await?;
    assert_eq!(measured["structuredContent"], json!({ "words": 3, "minutes": 1 }));
    assert_eq!(words(&measured), "3 words, 1 min");
    Ok(())
}
