//! An app with tools that misbehave, and the world outside that they change.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use axum::{Router, extract::State, routing::post};

use crate::{Options, repository};

/// The fixture's section, for a manifest in which paths are absolute.
const SECTION: &str = r#"
[[trigger.http]]
route = { private = true }
component = "mcp-misbehaving"

[component.mcp-misbehaving]
source = "target/wasm32-wasip2/release/mcp_server.wasm"
allowed_outbound_hosts = ["http://127.0.0.1:*"]
dependencies_inherit_configuration = true
[component.mcp-misbehaving.dependencies]
"edge-assistant:tools/provider@1.0.0" = { path = "target/wasm32-wasip2/release/mcp_misbehaving.wasm" }
"#;

impl Options {
    /// For a host whose app has the tools of `tests/providers/misbehaving` too, allowed to reach this machine.
    ///
    /// # Errors
    /// When there is no such manifest to be made.
    pub fn with_misbehaving_tools(self) -> Result<Self> {
        Ok(self.manifest(&manifest()?))
    }
}

fn manifest() -> Result<PathBuf> {
    let repository = repository();
    let text = fs::read_to_string(repository.join("spin.toml"))? + SECTION;
    let mut changed = text.clone();
    for (from, to) in [
        (
            "\"http://mcp-clock.spin.internal\"",
            "\"http://mcp-clock.spin.internal\", \"http://mcp-misbehaving.spin.internal\"",
        ),
        ("tool_servers = \"clock", "tool_servers = \"misbehaving, clock"),
    ] {
        ensure!(changed.contains(from), "spin.toml has no {from}");
        changed = changed.replace(from, to);
    }
    let target = format!("\"{}/target/", repository.display());
    let changed = changed.replace("\"target/", &target);
    let path = repository.join("target/dev/misbehaving.toml");
    // Several tests make it at once, all the same.
    let written = path.with_extension(format!("{}.toml", std::process::id()));
    fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
    fs::write(&written, changed)?;
    fs::rename(&written, &path)?;
    Ok(path)
}

/// A server that remembers what was posted to it.
#[derive(Clone, Debug)]
pub struct Outside {
    url: String,
    posted: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let posted: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = Router::new().route("/", post(remember)).with_state(Arc::clone(&posted));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, posted })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was posted, in order.
    #[must_use]
    pub fn posted(&self) -> Vec<String> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn remember(State(posted): State<Arc<Mutex<Vec<String>>>>, body: String) -> &'static str {
    posted.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    "remembered"
}
