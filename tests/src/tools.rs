//! An app with tools that misbehave, and a server outside that they change.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use axum::{Router, extract::State, routing::post};

use crate::{Options, host::setting};

impl Options {
    /// Options for a host whose app also has the tools of `tests/providers/misbehaving`, which may reach this machine. `cargo dev test` writes the
    /// manifest and builds the tools.
    ///
    /// # Errors
    /// When the manifest is not there.
    pub fn with_misbehaving_tools(self) -> Result<Self> {
        let manifest = setting("EA_FIXTURES_MANIFEST", "target/dev/fixtures.toml");
        ensure!(manifest.exists(), "{} is not there: `cargo dev test app` writes it", manifest.display());
        Ok(self.manifest(&manifest))
    }
}

/// A server that remembers what was posted to it.
#[derive(Clone, Debug)]
pub struct Outside {
    url: String,
    posted: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    /// Starts a server on a free port.
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

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The posted bodies, in order.
    #[must_use]
    pub fn posted(&self) -> Vec<String> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn remember(State(posted): State<Arc<Mutex<Vec<String>>>>, body: String) -> &'static str {
    posted.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    "remembered"
}
