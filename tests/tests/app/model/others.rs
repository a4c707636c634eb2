//! A server by other authors with the same interface: our reading of OpenAI's interface must fit more than our own model.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::{App, Options, Person, said};

/// The Node package, pinned: a new version is a change to review.
const PACKAGE: &str = "@copilotkit/aimock@1.43.0";

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server's program, installed on first use; `None` without npm.
fn program() -> Result<Option<PathBuf>> {
    if Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    let folder = tests::repository().join("target/parts/aimock");
    let program = folder.join("node_modules/.bin/llmock");
    if !program.exists() {
        std::fs::create_dir_all(&folder)?;
        let install = Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(&folder)
            .arg(PACKAGE)
            .output()?;
        ensure!(install.status.success(), "npm install {PACKAGE}: {}", String::from_utf8_lossy(&install.stderr));
    }
    Ok(Some(program))
}

#[tokio::test]
async fn a_server_by_others_is_understood() -> Result<()> {
    let Some(program) = program()? else { tests::skip!("npm is not installed") };
    let folder = tempfile::tempdir()?;
    let answer = "Hello from elsewhere: é, 漢, 🦀, in pieces of a few characters.";
    let fixture = json!({"fixtures": [{"match": {"userMessage": "Hello"}, "response": {"content": answer}}]});
    std::fs::write(folder.path().join("hello.json"), fixture.to_string())?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let server = Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--chunk-size",
            "7",
            "--latency",
            "2",
            "--log-level",
            "silent",
            "--fixtures",
        ])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the server")?;
    let _server = Killed(server);
    tests::until("the server by others", async || Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()))
        .await?;

    // The same server, asked by its other API.
    let url = format!("http://127.0.0.1:{port}");
    let providers =
        json!([{"name": "others", "base_url": format!("{url}/v1"), "dialect": "responses", "models": ["other"]}]);
    let options = Options::asking(&url).variable("model_providers", &providers.to_string());
    let Some((_host, app)) = App::own(options)? else { tests::skip!("needs a host of its own") };
    let person = Person::in_app(&app).await?;
    for (model, provider) in [("scripted", "default"), ("other", "others")] {
        let (turn, events) = person.hear(model, "Hello").await?;
        assert_eq!(events.last().map(tests::Event::kind), Some("complete"), "{events:?}");
        assert_eq!(said(&events), answer, "{provider}");
        assert!(events.iter().filter(|event| event.kind() == "token").count() > 3, "{events:?}");
        assert_eq!(person.answer(&turn).await?, answer);
        let run = person.run(&turn.run).await?;
        assert_eq!((&run["provider"], run["usage"].is_object()), (&json!(provider), true), "{run}");
    }
    Ok(())
}
