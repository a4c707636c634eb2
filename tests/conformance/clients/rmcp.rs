//! The Rust SDK of the protocol, rmcp, as a client of the app: see gateway.test.mjs. It uses nothing of the crate `mcp`.

use std::env;

use anyhow::{Context as _, Result};
use rmcp::{
    ClientLifecycleMode, ClientServiceExt as _,
    model::{CallToolRequestParams, ProtocolVersion},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().context("which server?")?;
    let revision = arguments.next().context("which revision?")?;
    // The older revision begins with `initialize`.
    let lifecycle = if revision == ProtocolVersion::V_2025_11_25.to_string() {
        ClientLifecycleMode::Initialize
    } else {
        ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::LATEST], legacy_version: None }
    };
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.auth_header = env::var("MCP_TOKEN").ok().filter(|token| !token.is_empty());
    let client = ().serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), lifecycle).await?;

    let call = async |name: &'static str, arguments: Value| -> Result<Value> {
        let mut call = CallToolRequestParams::new(name);
        call.arguments = arguments.as_object().cloned();
        client.call_tool(call).await?.structured_content.with_context(|| format!("{name} gave no structured result"))
    };
    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();
    let said = json!({
        "revision": client.peer_info().context("no revision was agreed on")?.protocol_version.to_string(),
        "tools": tools,
        "clock_now": call("clock_now", json!({ "time_zone": "Asia/Tokyo" })).await?,
        "calculator_calculate": call("calculator_calculate", json!({ "expression": "0.1+0.2" })).await?,
    });
    client.cancel().await?;
    println!("{said}");
    Ok(())
}
