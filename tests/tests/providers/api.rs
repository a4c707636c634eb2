//! An API that a document describes, composed and called from outside.

use std::fs;

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, Query},
    routing::{get, post},
};
use serde_json::{Value, json};
use tests::{repository, skip};

use super::{Served, serve_with, words};

const PROVIDER: &str = "target/wasm32-wasip2/release/mcp_http.wasm";

/// A server of this machine, and the provider with a document about it.
async fn served(hosts: &str) -> Result<Option<Served>> {
    let answer = async |Path(id): Path<String>, Query(query): Query<Vec<(String, String)>>| {
        Json(json!({ "id": id, "query": query }))
    };
    let router = Router::new()
        .route("/v1/items/{id}", get(answer))
        .route("/v1/items", post(async |body: String| (axum::http::StatusCode::CONFLICT, format!("taken: {body}"))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("apis"))?;
    let document = format!(
        "openapi: 3.1.0\ninfo: {{ title: Shop }}\nservers: [ url: 'http://{address}/v1' ]\npaths:\n  \
         /items/{{id}}: {{ get: {{ operationId: item, parameters: [ {{ name: tag, in: query, schema: {{ type: array }} }} ] }} }}\n  \
         /items: {{ post: {{ summary: Add an item, requestBody: {{ content: {{ application/json: {{}} }} }} }} }}\n"
    );
    fs::write(folder.path().join("apis/shop.yaml"), document)?;
    fs::write(folder.path().join("apis/broken.json"), "{")?;
    let more =
        format!("files = [{{ source = \"apis\", destination = \"/apis\" }}]\nallowed_outbound_hosts = [{hosts:?}]");
    serve_with(&repository().join(PROVIDER), folder, &more)
}

#[tokio::test]
async fn an_api_that_a_document_describes_is_called() -> Result<()> {
    let Some(served) = served("http://127.0.0.1:*").await? else { skip!("it needs a host of its own") };
    let tools = served.tools().await?;
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["shop_item", "shop_post_items"]);
    assert_eq!((&tools[0]["annotations"]["readOnlyHint"], &tools[1]["title"]), (&json!(true), &json!("Add an item")));

    let read = served.call("shop_item", json!({ "id": "a/b c", "tag": ["x", "y&z"] })).await?;
    let expected = json!({ "id": "a/b c", "query": [["tag", "x"], ["tag", "y&z"]] });
    assert_eq!(read["structuredContent"], expected, "{read}");
    let refused = served.call("shop_item", json!({ "id": "../admin" })).await?;
    assert!(refused["isError"] == true && words(&refused).contains("must not lead to another path"), "{refused}");
    let posted = served.call("shop_post_items", json!({ "body": { "name": "tea" } })).await?;
    let told = "127.0.0.1/v1/items answers 409 Conflict. It says: taken: {\"name\":\"tea\"}";
    assert!(posted["isError"] == true && words(&posted).contains(told), "{posted}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_the_manifest_does_not_allow_is_not_reached() -> Result<()> {
    let Some(served) = served("https://none.invalid").await? else { skip!("it needs a host of its own") };
    let refused = served.call("shop_item", json!({ "id": "1" })).await?;
    assert!(refused["isError"] == true && words(&refused).contains("may not reach 127.0.0.1"), "{refused}");
    Ok(())
}
