//! The scripted model inside the test process, and its journal.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{Options, until};

/// A scripted model that answers at a loopback port.
#[derive(Clone, Debug)]
pub struct Model {
    url: String,
    stopping: Arc<Notify>,
}

/// The journal of a scripted model.
#[derive(Clone, Debug)]
pub struct Journal {
    url: String,
}

/// A line of the journal.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When the request came, in milliseconds since the epoch.
    pub received_at_ms: i64,
    /// `finished`, `failed`, `cut`, `disconnected`; `None` before its end.
    pub outcome: Option<String>,
    /// When the answer ended, in milliseconds since the epoch.
    pub ended_at_ms: Option<i64>,
    /// Chunks of the answer that were sent.
    pub chunks_sent: u64,
    /// The body of the request.
    pub request: Value,
    /// The headers of the request, without its authorization.
    pub headers: Value,
}

/// Starts a scripted model on a thread of its own, which outlives any test's runtime.
///
/// # Errors
/// When there is no port.
pub fn start() -> Result<Model> {
    let (sender, receiver) = mpsc::channel();
    let stopping = Arc::new(Notify::new());
    let stopped = Arc::clone(&stopping);
    thread::spawn(move || -> Result<()> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            tokio::select! {
                served = scripted_model::serve(listener) => served,
                () = stopped.notified() => Ok(()),
            }
        })
    });
    let address = receiver.recv_timeout(Duration::from_secs(10)).context("the scripted model did not start")?;
    Ok(Model { url: format!("http://{address}"), stopping })
}

impl Model {
    /// Its journal.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::at(&self.url)
    }

    /// Its address for clients.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// Ends it: its connections break, and new ones are refused.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> Result<()> {
        self.stopping.notify_one();
        until("the end of the model", async || Ok(reqwest::get(&self.url).await.is_err().then_some(()))).await
    }

    /// Options for a host that asks this model.
    #[must_use]
    pub fn options(&self) -> Options {
        asking(&self.url)
    }
}

/// Options for a host that asks the OpenAI-compatible server at `url` (without `/v1`).
pub(crate) fn asking(url: &str) -> Options {
    Options::default()
        .variable("openai_base_url", &format!("{url}/v1"))
        .variable("openai_api_key", "test")
        .variable("openai_model", "scripted")
        .variable("openai_models", "scripted*")
}

impl Options {
    /// Options for a host that asks the OpenAI-compatible server at `url` (without `/v1`).
    #[must_use]
    pub fn asking(url: &str) -> Self {
        asking(url)
    }
}

impl Journal {
    pub(crate) fn at(url: &str) -> Self {
        Self { url: format!("{url}/_journal") }
    }

    /// The requests of a test: those whose model's name has `-test=KEY`.
    ///
    /// # Errors
    /// When the model does not answer.
    pub async fn read(&self, test: &str) -> Result<Vec<Asked>> {
        let url = format!("{}?test={test}", self.url);
        let body: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
        let lines = body.get("items").and_then(Value::as_array).context("the journal has no items")?;
        lines.iter().map(asked).collect()
    }

    /// Waits until a test has `count` requests and all have ended.
    ///
    /// # Errors
    /// When they do not end, or there are more.
    pub async fn ended(&self, test: &str, count: usize) -> Result<Vec<Asked>> {
        until(&format!("the end of {count} requests of {test}"), async || {
            let asked = self.read(test).await?;
            ensure!(asked.len() <= count, "the model was asked {} times instead of {count}", asked.len());
            Ok((asked.len() == count && asked.iter().all(|asked| asked.outcome.is_some())).then_some(asked))
        })
        .await
    }

    /// Waits until the only request of a test has come.
    ///
    /// # Errors
    /// When it does not.
    pub async fn begun(&self, test: &str) -> Result<Asked> {
        until(&format!("the request of {test}"), async || Ok(self.read(test).await?.pop())).await
    }
}

fn asked(line: &Value) -> Result<Asked> {
    let received_at = line.get("received_at").and_then(Value::as_str).context("a line has no time")?;
    let received_at_ms = millis(received_at)?;
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(Asked {
        received_at_ms,
        outcome: text("outcome"),
        ended_at_ms: line.get("ended_after_ms").and_then(Value::as_i64).map(|after_ms| received_at_ms + after_ms),
        chunks_sent: line.get("chunks_sent").and_then(Value::as_u64).unwrap_or_default(),
        request: line.get("request").cloned().unwrap_or_default(),
        headers: line.get("headers").cloned().unwrap_or_default(),
    })
}

fn millis(timestamp: &str) -> Result<i64> {
    let timestamp: jiff::Timestamp = timestamp.parse()?;
    Ok(timestamp.as_millisecond())
}

/// A name for a test's requests that no other test has, and no earlier run of this test.
#[must_use]
pub fn unique(name: &str) -> String {
    // Two tests may ask within the same microsecond.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{name}{}x{asked}", since.map_or(0, |since| since.as_micros()))
}
