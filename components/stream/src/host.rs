//! The orchestrator's port, on Spin.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use cache::Clock as _;
use domain::{Id, ToolCall};
use futures::{Stream, TryStreamExt as _};
use http::{HeaderValue, Request, header};
use orchestrator::{Host, Ledger, ModelAnswer, Offered, Severity, ToolAnswer, ToolProgress, Unreachable};
use platform::{
    SpinClock,
    http_client::{self, HttpError},
};
use storage::{Database, Store, runs::Lease, tool_listings::ToolOffers};
use web::{
    App,
    log::{Level, log},
};

use crate::{COMPONENT, config::ModelServer, tools::Tools};

/// The runs that this instance executes.
static LEDGER: Ledger = Ledger::new();

/// Everything a run needs, for one reader.
pub(crate) struct SpinHost<D> {
    app: App<D>,
    provider: ModelServer,
    tools: Tools<D>,
    traceparent: Option<HeaderValue>,
}

impl<D> SpinHost<D> {
    pub(crate) const fn new(
        app: App<D>,
        provider: ModelServer,
        tools: Tools<D>,
        traceparent: Option<HeaderValue>,
    ) -> Self {
        Self { app, provider, tools, traceparent }
    }

    fn request(&self, body: Vec<u8>) -> Result<Request<Bytes>, http::Error> {
        let mut request = Request::post(&self.provider.address.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream");
        if !self.provider.authorization.is_empty() {
            request = request.header(header::AUTHORIZATION, &self.provider.authorization);
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        request.body(Bytes::from(body))
    }
}

fn unreachable(error: HttpError) -> Unreachable {
    match error {
        HttpError::Denied => Unreachable::NotAllowed(error.to_string()),
        HttpError::Request(_) => Unreachable::NotAllowed(format!("openai_base_url or openai_api_key: {error}")),
        HttpError::Connection(_) => Unreachable::Connection(error.to_string()),
    }
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

    fn authorization(&self) -> &str {
        &self.provider.authorization
    }

    fn model_server(&self) -> &str {
        &self.provider.address.server
    }

    async fn ask_model(&self, body: Vec<u8>) -> Result<ModelAnswer<Self::Body>, Unreachable> {
        let request = self.request(body).map_err(|error| unreachable(error.into()))?;
        let response = http_client::send(request).await.map_err(unreachable)?;
        Ok(ModelAnswer {
            status: response.status.as_u16(),
            headers: response.headers,
            body: Box::pin(response.body.map_err(unreachable)),
        })
    }

    async fn tools(&self, offers: &ToolOffers) -> Offered {
        match self.tools.offered(offers).await {
            Ok(offered) => offered,
            Err(error) => {
                error.log("the tools cannot be listed");
                Offered::default()
            }
        }
    }

    async fn has_budgets(&self) -> bool {
        // If it is not known, the database decides with the reservation.
        self.app.has_budgets().await.unwrap_or(true)
    }

    async fn call_tool(&self, lease: Lease, call: &ToolCall, told: &dyn Fn(ToolProgress)) -> ToolAnswer {
        self.tools.call(lease, call, told).await.unwrap_or_else(|error| {
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
