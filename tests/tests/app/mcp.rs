//! `/mcp`: the gateway for programs that speak MCP, in both revisions.

use anyhow::{Context as _, Result};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tests::{Person, anonymous, array, problem};

/// A request of the revision 2026-07-28.
async fn modern(person: &Person, path: &str, method: &str, mut params: Value) -> Result<Response> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut request = person
        .request(Method::POST, path)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str() {
        request = request.header("mcp-name", name);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Ok(request.json(&body).send().await?)
}

/// A request of the revision 2025-11-25.
async fn legacy(person: &Person, path: &str, method: &str, params: Value) -> Result<Response> {
    let request = person
        .request(Method::POST, path)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25");
    Ok(request.json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).send().await?)
}

async fn result(response: Response) -> Result<Value> {
    let status = response.status();
    let mut body: Value = response.json().await?;
    anyhow::ensure!(status == StatusCode::OK && body["result"].is_object(), "{status}: {body}");
    Ok(body["result"].take())
}

#[tokio::test]
async fn both_revisions_list_and_call_the_same_tools() -> Result<()> {
    let person = Person::new().await?.program().await?;
    let discovered = result(modern(&person, "/mcp", "server/discover", json!({})).await?).await?;
    assert!(array(&discovered, "/supportedVersions")?.contains(&json!("2026-07-28")));
    let hello =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let initialized = result(legacy(&person, "/mcp", "initialize", hello).await?).await?;
    assert_eq!(initialized["protocolVersion"], "2025-11-25");
    let names = |list: &Value| -> Result<Vec<Value>> {
        Ok(array(list, "/tools")?.iter().map(|tool| tool["name"].clone()).collect())
    };
    let new = result(modern(&person, "/mcp", "tools/list", json!({})).await?).await?;
    let old = result(legacy(&person, "/mcp", "tools/list", json!({})).await?).await?;
    assert_eq!(names(&new)?, names(&old)?);
    assert!(names(&new)?.contains(&json!("clock_now")));
    assert_eq!(new["cacheScope"], "private");
    for (slash, without) in [("/mcp/", "/mcp"), ("/mcp/clock/", "/mcp/clock")] {
        let listed = async |path| result(modern(&person, path, "tools/list", json!({})).await?).await;
        assert_eq!(names(&listed(slash).await?)?, names(&listed(without).await?)?);
    }
    let one = result(modern(&person, "/mcp/clock", "tools/list", json!({})).await?).await?;
    assert!(names(&one)?.contains(&json!("now")));
    let call = json!({"name": "clock_now", "arguments": {"time_zone": "Asia/Tokyo"}});
    for called in [
        result(modern(&person, "/mcp", "tools/call", call.clone()).await?).await?,
        result(legacy(&person, "/mcp", "tools/call", call).await?).await?,
        result(
            modern(
                &person,
                "/mcp/clock",
                "tools/call",
                json!({"name": "now", "arguments": {"time_zone": "Asia/Tokyo"}}),
            )
            .await?,
        )
        .await?,
    ] {
        assert_eq!(called["isError"], false, "{called}");
        assert!(called["content"][0]["text"].as_str().context("no text")?.contains("Tokyo"));
    }
    Ok(())
}

#[tokio::test]
async fn whoever_has_no_token_is_told_where_to_learn_how_to_get_one() -> Result<()> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let refused = anonymous(Method::POST, "/mcp")?.json(&body).send().await?;
    let challenge = refused.headers()["www-authenticate"].to_str()?.to_owned();
    problem(refused, 401, "unauthenticated").await?;
    let url = challenge.split('"').nth(1).context("no address")?.to_owned();
    let path =
        url.split_once("//").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..))).context("no path")?;
    let metadata: Value = anonymous(Method::GET, path)?.send().await?.json().await?;
    assert!(metadata["resource"].as_str().is_some_and(|resource| resource.ends_with("/mcp")), "{metadata}");
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    let person = Person::new().await?.program().await?;
    let cookie = format!("ea_access={}", person.token);
    let with_cookie = anonymous(Method::POST, "/mcp")?.header("cookie", cookie).json(&body).send().await?;
    problem(with_cookie, 401, "unauthenticated").await?;
    Ok(())
}

#[tokio::test]
async fn other_methods_other_servers_and_unknown_tools_are_refused_as_the_protocol_says() -> Result<()> {
    let person = Person::new().await?.program().await?;
    for method in [Method::GET, Method::DELETE] {
        let response = person.request(method, "/mcp").send().await?;
        assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str()?), (405, "POST"));
    }
    problem(modern(&person, "/mcp/nothing", "tools/list", json!({})).await?, 404, "not_found").await?;
    let unknown = modern(&person, "/mcp", "tools/call", json!({"name": "nothing"})).await?;
    let unknown: Value = unknown.json().await?;
    assert_eq!(unknown["error"]["code"], -32602);
    Ok(())
}

#[tokio::test]
async fn a_programs_token_opens_the_gateway_alone_and_a_sessions_token_the_rest() -> Result<()> {
    let person = Person::new().await?;
    let program = person.program().await?;
    let refused = modern(&person, "/mcp", "tools/list", json!({})).await?;
    let told = problem(refused, 401, "unauthenticated").await?;
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("/auth/mcp-token")), "{told}");
    let policy = json!({"pattern": "*:*", "effect": "allow"});
    for (method, path) in [
        (Method::PUT, "/api/tools/policies"),
        (Method::GET, "/api/tools"),
        (Method::PUT, "/api/tools/secrets"),
        (Method::GET, "/api/conversations"),
        (Method::POST, "/auth/mcp-token"),
        (Method::GET, "/auth/me"),
        (Method::GET, "/api/runs/01990000-0000-7000-8000-000000000000/events"),
    ] {
        let response = program.request(method, path).json(&policy).send().await?;
        problem(response, 401, "unauthenticated").await.context(path)?;
    }
    assert_eq!(person.get("/api/tools/policies").await?["items"], json!([]));
    result(modern(&program, "/mcp", "tools/list", json!({})).await?).await?;
    Ok(())
}
