//! The component that reads files, alone at a host: what it answers, and that a file that breaks it costs one request.

use std::fs;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Host, Options, host, is_postgres, repository};

/// A font of this file unpacks to 400 MB, in a reader that is not ours: no count stops it, but the instance's memory is limited.
const BOMB: &[u8] = include_bytes!("extraction/bomb.pdf");
const MEDIA_TYPE: &str = "content-type";

/// A host with nothing but `extract`, which nobody outside reaches in the app.
fn reader() -> Result<Option<(Host, App, tempfile::TempDir)>> {
    // It has no database, so there is nothing to be seen on another one.
    if is_postgres() {
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let source = repository().join("target/wasm32-wasip2/release/extract.wasm");
    let manifest = format!(
        "spin_manifest_version = 2\n[application]\nname = \"reader\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"extract\"\n[component.extract]\nsource = {source:?}\n"
    );
    let path = folder.path().join("spin.toml");
    fs::write(&path, manifest)?;
    let Some(host) = host(Options::default().manifest(&path))? else { return Ok(None) };
    let app = App::of(&host);
    Ok(Some((host, app, folder)))
}

async fn sent(app: &App, name: &str, bytes: impl Into<reqwest::Body>) -> Result<(u16, Value)> {
    let request = app.request(Method::POST, &format!("/?name={name}")).header(MEDIA_TYPE, "application/octet-stream");
    let response = request.body(bytes).send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    Ok((status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? }))
}

#[tokio::test]
async fn a_file_becomes_text_or_a_word_that_says_why_not() -> Result<()> {
    let Some((_host, app, _folder)) = reader()? else { return Ok(()) };
    let corpus = repository().join("crates/extraction/tests/corpus");
    let (status, document) = sent(&app, "Hafen%20plan.docx", fs::read(corpus.join("harbour.docx"))?).await?;
    assert_eq!((status, &document["kind"], &document["title"]), (200, &json!("docx"), &json!("Plan of the harbour")));
    assert!(document["text"].as_str().context("a text")?.contains("Ships come in at high tide."), "{document}");

    let (status, problem) = sent(&app, "a.pdf", fs::read(corpus.join("password.pdf"))?).await?;
    assert_eq!((status, &problem["code"]), (422, &json!("file_encrypted")), "{problem}");
    let (status, problem) = sent(&app, "a.txt", vec![b'a'; (16 << 20) + 1]).await?;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{problem}");
    let largest = sent(&app, "a.txt", vec![b'a'; 16 << 20]).await?.1;
    assert_eq!(largest["notes"][0]["code"], "truncated");
    let status = app.request(Method::GET, "/").send().await?.status();
    assert_eq!(status, 405);
    Ok(())
}

#[tokio::test]
async fn a_file_that_breaks_the_reader_costs_its_own_request() -> Result<()> {
    let Some((_host, app, _folder)) = reader()? else { return Ok(()) };
    let bombs = async { tokio::join!(sent(&app, "a.pdf", BOMB), sent(&app, "b.pdf", BOMB)) };
    let others = async {
        for _ in 0..5 {
            assert_eq!(sent(&app, "a.txt", "Hello.").await?.1["text"], "Hello.");
        }
        anyhow::Ok(())
    };
    let ((first, second), others) = tokio::join!(bombs, others);
    others?;
    assert_eq!((first?, second?), ((500, Value::Null), (500, Value::Null)));
    assert_eq!(sent(&app, "a.txt", "Hello again.").await?.1["text"], "Hello again.");
    Ok(())
}
