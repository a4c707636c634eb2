//! The template in Python sends requests: with a limit on size and time, only where that is granted, and never into the app itself.

use anyhow::Result;
use axum::{Router, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use tests::{repository, skip};

use super::{DICE, Served, serve_with, words};

/// The address of a server on this machine.
async fn server() -> Result<String> {
    let bearer = async |headers: HeaderMap| headers["authorization"].to_str().unwrap_or_default().to_owned();
    let router = Router::new().route("/", get(bearer)).route("/long", get(async || "x".repeat(200_000)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

impl Served {
    /// The fixture's key is also the address.
    async fn look_up(&self, key: &str) -> Result<Value> {
        let meta = json!({ "edge-assistant/call": { "secrets": { "key": key } } });
        let params = json!({ "name": "look_up", "arguments": {}, "_meta": meta });
        Ok(self.ask("tools/call", params).await?["result"].take())
    }
}

#[tokio::test]
async fn a_tool_in_python_sends_requests_where_it_may() -> Result<()> {
    let provider = repository().join(DICE);
    if !provider.exists() {
        skip!("{DICE} is not there: `cargo dev test providers` builds it where Python is")
    }
    let (server, folder) = (server().await?, tempfile::tempdir()?);
    let Some(served) = serve_with(&provider, folder, &format!("allowed_outbound_hosts = [{server:?}]"))? else {
        skip!("it needs a host of its own")
    };
    let answered = served.look_up(&server).await?;
    assert_eq!(words(&answered), format!("Bearer {server}"), "{answered}");
    for (address, why) in [
        (format!("{server}/long"), "is longer than 100000 bytes"),
        (format!("{server}/nowhere"), "it answered 404"),
        ("https://api.example.com/".to_owned(), "may not reach api.example.com"),
        ("https://Ops.Spin.Internal./ready".to_owned(), "may not reach Ops.Spin.Internal."),
        ("http://self.alt/".to_owned(), "may not reach self.alt"),
        // Faulty addresses, each detected by another part. They must not end the instance.
        (format!("{server}/?q=two words"), "cannot be made"),
        ("http://ｅｘａｍｐｌｅ.com/".to_owned(), "cannot be made"),
        ("http://[::1/".to_owned(), "is not valid"),
    ] {
        let failed = served.look_up(&address).await?;
        assert!(failed["isError"] == true && words(&failed).contains(why), "{failed}");
    }
    Ok(())
}
