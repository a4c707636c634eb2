//! Tool servers from inside: what reaches one without a proof that `tools` calls gets nothing.

use std::fs;

use anyhow::{Context as _, Result};
use inside_token::{About, Signer};
use native_sqlite::SqliteFile;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use storage::{
    Store,
    inside_keys::{InsideKey, NewInsideKey},
};
use tests::{App, Options, Person, is_postgres, repository};

/// The tool servers' routes, as if everybody could reach them, below their ids.
fn manifest_with_open_routes() -> Result<(toml::Table, Vec<String>)> {
    let text = fs::read_to_string(repository().join("spin.toml"))?;
    let root = repository().display().to_string();
    // It lies elsewhere than the files that it names.
    let text = text.replace("\"target/", &format!("\"{root}/target/"));
    let mut manifest: toml::Table = text.parse()?;
    let triggers = manifest.get_mut("trigger").and_then(|trigger| trigger.get_mut("http")?.as_array_mut());
    let mut servers = Vec::new();
    for trigger in triggers.context("no triggers")? {
        let id = trigger.get("component").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        if let (true, Some(trigger)) = (id.starts_with("mcp-"), trigger.as_table_mut()) {
            trigger.insert("route".to_owned(), format!("/{id}/...").into());
            servers.push(id);
        }
    }
    Ok((manifest, servers))
}

#[tokio::test]
async fn a_tool_server_takes_a_token_of_tools_for_itself_and_nothing_else() -> Result<()> {
    if is_postgres() {
        tests::skip!("it stores a key in a file")
    }
    let folder = tempfile::tempdir()?;
    let (manifest, servers) = manifest_with_open_routes()?;
    let path = folder.path().join("spin.toml");
    fs::write(&path, toml::to_string(&manifest)?)?;
    fs::create_dir(folder.path().join("apis"))?;
    let options = Options::default().manifest(&path);
    let Some((host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    let gateway: Value = person.post("/auth/mcp-token", &json!({})).await?.json().await?;
    let store = Store::new(SqliteFile::open(&host.state_folder().join("sqlite_db.db"))?);
    let (tools, stream) = (Signer::generate("tools"), Signer::generate("stream"));
    for signer in [&tools, &stream] {
        let public = signer.public_key();
        let key = InsideKey { id: public.id, caller: public.caller, public_key: public.jwk };
        store.add_inside_key(&NewInsideKey { key, private_key: signer.private_key() }).await?;
    }
    let now_ms = store.inside_keys().await?.1.as_millis();
    let sign = |signer: &Signer, callee: &str, at_ms: i64| {
        signer.sign(callee, About { user_id: None, request_id: "r" }, at_ms)
    };
    let ask = async |server: &str, token: Option<&str>| -> Result<(StatusCode, String)> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let mut request = app.request(Method::POST, &format!("/{server}/mcp")).json(&message);
        request = request.header("accept", "application/json, text/event-stream");
        request = request.header("mcp-protocol-version", "2025-11-25");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send().await?;
        Ok((response.status(), response.text().await?))
    };
    assert!(servers.len() >= 6, "{servers:?}");
    for server in &servers {
        let other = if server == "mcp-clock" { "mcp-mail" } else { "mcp-clock" };
        for (what, token) in [
            ("nothing", None),
            ("rubbish", Some("x.y.z".to_owned())),
            ("a session", Some(person.token.clone())),
            ("a program", gateway["access_token"].as_str().map(str::to_owned)),
            ("a token for another server", Some(sign(&tools, other, now_ms)?)),
            ("an expired token", Some(sign(&tools, server, now_ms - 120_000)?)),
            ("a token of another component", Some(sign(&stream, server, now_ms)?)),
            ("an unknown key", Some(sign(&Signer::generate("tools"), server, now_ms)?)),
        ] {
            let (status, body) = ask(server, token.as_deref()).await?;
            assert!(status == 401 && body.contains("inside_token"), "{server} with {what}: {status} {body}");
        }
        let now_ms = store.inside_keys().await?.1.as_millis();
        let (status, body) = ask(server, Some(&sign(&tools, server, now_ms)?)).await?;
        assert!(status == 200 && body.contains("\"tools\""), "{server}: {status} {body}");
    }
    Ok(())
}
