//! The orchestrator's port, on Spin.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use cache::Clock as _;
use domain::{Id, ToolCall};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{Request, header};
use models::Provider;
use orchestrator::{
    CallTerms, FileText, Host, Ledger, ModelAnswer, Offered, Severity, ToolAnswer, ToolProgress, Unreachable,
};
use platform::{
    SpinClock,
    files::{self, FileUnread},
    http_client::{self, HttpError},
};
use storage::{Database, Store, claims::Claim, runs::Lease, tool_listings::ToolOffers};
use web::{
    App,
    log::{Level, log},
};

use crate::{COMPONENT, config::Config, stored, tools::Tools};

/// Until it is asked again whether a document was read. Most are within a second.
const READING_PAUSE: Duration = Duration::from_millis(250);

/// The runs that this instance executes.
static LEDGER: Ledger = Ledger::new();

/// Everything a run needs, for one reader.
pub(crate) struct SpinHost<D> {
    app: App<D>,
    config: Arc<Config>,
    tools: Tools<D>,
}

impl<D> SpinHost<D> {
    pub(crate) const fn new(app: App<D>, config: Arc<Config>, tools: Tools<D>) -> Self {
        Self { app, config, tools }
    }

    fn request(provider: &Provider, body: Vec<u8>) -> Result<Request<Bytes>, http::Error> {
        let mut request = Request::post(provider.address.of(provider.api))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream");
        for (name, value) in provider.headers() {
            request = request.header(name, value);
        }
        request.body(Bytes::from(body))
    }
}

fn unreachable(error: HttpError) -> Unreachable {
    match error {
        HttpError::Denied => Unreachable::NotAllowed(error.to_string()),
        HttpError::Request(_) => Unreachable::NotAllowed(format!("the address or the key of the provider: {error}")),
        HttpError::Connection(_) => Unreachable::Connection(error.to_string()),
    }
}

fn unread(cause: String) -> FileText {
    log(COMPONENT, Level::Warn, "an attached document cannot be read", BTreeMap::from([("cause", cause)]));
    FileText::Away
}

impl<D: Database + 'static> Host for SpinHost<D> {
    type Database = D;
    type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Unreachable>>>>;

    fn store(&self) -> &Store<D> {
        self.app.store()
    }

    fn ledger(&self) -> &Ledger {
        &LEDGER
    }

    fn model_servers(&self) -> String {
        let servers = self.config.providers.iter().map(Provider::remembered_as);
        servers.collect::<Vec<_>>().join(" ")
    }

    async fn providers(&self, claim: &Claim) -> Vec<Provider> {
        let model = &claim.run.model;
        if claim.providers.is_empty() {
            return self.config.providers.for_run(model).into_iter().cloned().collect();
        }
        let all = stored::all(self.app.store(), &self.config, &claim.providers, Some(model)).await;
        all.for_run(model).into_iter().cloned().collect()
    }

    async fn ask_model(&self, provider: &Provider, body: Vec<u8>) -> Result<ModelAnswer<Self::Body>, Unreachable> {
        let request = Self::request(provider, body).map_err(|error| unreachable(error.into()))?;
        let response = http_client::send_with_trace(request).await.map_err(unreachable)?;
        Ok(ModelAnswer {
            status: response.status.as_u16(),
            headers: response.headers,
            body: Box::pin(response.body.map_err(unreachable)),
        })
    }

    async fn tools(&self, offers: &ToolOffers) -> Option<Offered> {
        self.tools.offered(offers).await.inspect_err(|error| error.log("the tools cannot be listed")).ok()
    }

    async fn has_budgets(&self) -> bool {
        // If it is not known, the database decides with the reservation.
        self.app.has_budgets().await.unwrap_or(true)
    }

    async fn file(&self, user_id: Id, file_id: Id, size: u64) -> Option<Vec<u8>> {
        let failed = |cause: String| {
            let cause = BTreeMap::from([("cause", cause)]);
            log(COMPONENT, Level::Warn, "an attached file cannot be read", cause);
        };
        let mut body = match files::read(&self.app, user_id, file_id).await {
            Ok(body) => body,
            Err(FileUnread::Gone) => return None,
            Err(error) => {
                failed(error.to_string());
                return None;
            }
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) if (bytes.len() as u64).saturating_add(chunk.len() as u64) <= size => {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(_) => return None,
                Err(error) => {
                    failed(error.to_string());
                    return None;
                }
            }
        }
        if bytes.len() as u64 != size {
            failed(format!("{} of {size} bytes came", bytes.len()));
            return None;
        }
        Some(bytes)
    }

    async fn file_text(&self, user_id: Id, file_id: Id, max_bytes: usize) -> FileText {
        let (notes, mut body) = loop {
            match files::read_text(&self.app, user_id, file_id).await {
                Ok(read) => break read,
                // Whoever asks is given up after a while.
                Err(FileUnread::Reading) => platform::sleep(READING_PAUSE).await,
                Err(FileUnread::Unreadable(why)) => return FileText::Failed(why),
                Err(FileUnread::Gone) => return FileText::Away,
                Err(FileUnread::Failed(cause)) => return unread(cause),
            }
        };
        let mut bytes = Vec::new();
        while bytes.len() <= max_bytes {
            match body.next().await {
                Some(Ok(chunk)) => bytes.extend_from_slice(&chunk),
                Some(Err(error)) => return unread(error.to_string()),
                None => break,
            }
        }
        let is_cut = bytes.len() > max_bytes;
        bytes.truncate(max_bytes);
        // What is cut may end within a character.
        let text = bytes.utf8_chunks().next().map(|chunk| chunk.valid().to_owned()).unwrap_or_default();
        FileText::Read { text, is_cut, notes }
    }

    async fn call_tool(
        &self,
        lease: Lease,
        call: &ToolCall,
        terms: CallTerms<'_>,
        told: &dyn Fn(ToolProgress),
    ) -> ToolAnswer {
        self.tools.call(lease, call, terms, told).await.unwrap_or_else(|error| {
            error.log("a tool cannot be called");
            ToolAnswer::failed("The tools do not answer. Whether this call took effect is not known.")
        })
    }

    async fn ask_about_tasks(&self, _: Id, _: Id) -> bool {
        // The reader's own run, and no other.
        let asked = self.tools.ask_about_tasks().await;
        asked.inspect_err(|error| error.log("tasks cannot be asked about")).is_ok()
    }

    fn now(&self) -> Duration {
        SpinClock.now()
    }

    async fn sleep(&self, duration: Duration) {
        platform::sleep(duration).await;
    }

    fn log(&self, severity: Severity, message: &str, fields: serde_json::Value) {
        let level = match severity {
            Severity::Info => Level::Info,
            Severity::Error => Level::Error,
        };
        log(COMPONENT, level, message, fields);
    }
}
