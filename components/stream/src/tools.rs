//! The tools: what a run may be offered, which is read, and what it calls, which another component executes.
//!
//! Nothing is written here on the way of a turn, and nobody waits here for others in a way of their own.

use std::{pin::Pin, rc::Rc, sync::Arc};

use bytes::Bytes;
use domain::{Id, ToolCall};
use futures::{Stream, StreamExt};
use http::{HeaderValue, Method, Request, StatusCode, header, request};
use orchestrator::{Offered, ToolAnswer, ToolProgress};
use platform::{
    SpinClock,
    http_client::{self, HttpError},
};
use serde::de::DeserializeOwned;
use storage::{Database, StorageError, Store, runs::Lease, tool_listings::ToolOffers};
use tool_catalogue::{CLAIM_MS, Flight, Found, OFFERS_PATH, Offerable, Source, current};
use toolbox::{
    arguments::MAX_ARGUMENTS_BYTES,
    wire::{CALLS_PATH, Call, Executor, Said},
};
use web::{
    App,
    log::{Level, log},
};

use crate::{COMPONENT, config};

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "http://tools.spin.internal";

/// The longest list of tools: thousands of definitions.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, HttpError>>>>;

thread_local! {
    /// One request of this instance asks for all of it.
    static ASKING: Flight<Rc<Offerable>, Rc<ToolsError>> = Flight::default();
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    /// The component cannot be asked.
    #[error("tools cannot be asked: {0}")]
    Http(#[from] HttpError),
    /// It answered otherwise than with 200.
    #[error("tools answered {0}")]
    Status(StatusCode),
    /// Its list is longer than [`MAX_ANSWER_BYTES`].
    #[error("tools answered too much")]
    TooLarge,
    /// A line of its answer to a call is too long.
    #[error("tools answered too much: {0}")]
    LineTooLong(#[from] sse::EventTooLong),
    /// It ended without saying what the call came to.
    #[error("tools said nothing of how the call ended")]
    NoAnswer,
    /// It took too long.
    #[error("tools did not answer in time")]
    Slow,
    /// It said something else than was asked.
    #[error("tools answered rubbish: {0}")]
    Json(#[from] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ToolsError {
    /// Says in the log what could not be done because of it.
    pub(crate) fn log(&self, message: &str) {
        log(COMPONENT, Level::Error, message, serde_json::json!({ "cause": self.to_string() }));
    }
}

/// On whose behalf `tools` is asked.
#[derive(Clone)]
pub(crate) struct Tools {
    user_id: Id,
    /// Which languages whoever reads the run wants, as their browser says it.
    languages: Option<HeaderValue>,
    traceparent: Option<HeaderValue>,
}

impl Tools {
    /// For a run of this person. `tools` learns who it is from the run's lease, which outlives their token.
    pub(crate) const fn new(user_id: Id, languages: Option<HeaderValue>, traceparent: Option<HeaderValue>) -> Self {
        Self { user_id, languages, traceparent }
    }

    /// What the model may be offered. From what `tools` keeps, which is read once; it is had made anew by its age ([`current`]).
    ///
    /// # Errors
    /// [`ToolsError`].
    pub(crate) async fn offered<D: Database + 'static>(&self, app: &App<D>) -> Result<Offered, Rc<ToolsError>> {
        let policies = config::tool_policies().await;
        let offers = Offers { tools: self.clone(), store: Arc::clone(app.store()) };
        let (found, kept) = offers.read().await?;
        let roles = app.roles().await.map_err(ToolsError::from)?;
        let access = roles.access(kept.roles.iter().map(String::as_str));
        let asking = ASKING.with(Clone::clone);
        let offerable = current(found, &asking, &SpinClock, &offers).await;
        let offerable = offerable.unwrap_or_else(|| Err(Rc::new(ToolsError::Slow)))?;
        Ok(Rc::unwrap_or_clone(offerable).for_person(&access, &policies, &kept.denied, &kept.secrets))
    }

    /// Has a call made, if it may be. `told` gets the call's progress.
    ///
    /// # Errors
    /// [`ToolsError`]: nobody knows whether it was made.
    pub(crate) async fn call(
        &self,
        lease: Lease,
        call: &ToolCall,
        told: &dyn Fn(ToolProgress),
    ) -> Result<ToolAnswer, ToolsError> {
        if call.arguments.len() > MAX_ARGUMENTS_BYTES {
            let words = format!("The arguments are longer than {MAX_ARGUMENTS_BYTES} bytes, so it was not called.");
            return Ok(ToolAnswer::failed(words));
        }
        let call = Call {
            executor: executor(lease),
            call_id: call.id.as_str().into(),
            name: call.name.as_str().into(),
            arguments: call.arguments.as_str().into(),
        };
        let body = Bytes::from(serde_json::to_vec(&call)?);
        let mut request =
            Request::post(format!("{TOOLS}{CALLS_PATH}")).header(header::CONTENT_TYPE, "application/json");
        if let Some(languages) = &self.languages {
            request = request.header(header::ACCEPT_LANGUAGE, languages);
        }
        let mut body = self.send(request, body).await?;
        let (mut lines, mut answer) = (sse::Lines::default(), None);
        while let Some(chunk) = body.next().await {
            lines.feed(&chunk?, |line| {
                match serde_json::from_slice(line)? {
                    Said::Progress(progress) => told(progress),
                    Said::Answer(said) => answer = Some(said),
                }
                Ok::<_, ToolsError>(())
            })?;
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Err(ToolsError::NoAnswer)
    }

    async fn ask<T: DeserializeOwned>(&self, request: request::Builder, body: Bytes) -> Result<T, ToolsError> {
        let mut body = self.send(request, body).await?;
        let mut answer = Vec::new();
        while let Some(chunk) = body.next().await {
            answer.extend_from_slice(&chunk?);
            if answer.len() > MAX_ANSWER_BYTES {
                return Err(ToolsError::TooLarge);
            }
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn send(&self, mut request: request::Builder, body: Bytes) -> Result<Body, ToolsError> {
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let response = http_client::send(request.body(body).map_err(HttpError::from)?).await?;
        if response.status != StatusCode::OK {
            return Err(ToolsError::Status(response.status));
        }
        Ok(Box::pin(response.body))
    }
}

/// What could be offered to anybody, as all instances share it.
struct Offers<D> {
    tools: Tools,
    store: Arc<Store<D>>,
}

impl<D> Clone for Offers<D> {
    fn clone(&self) -> Self {
        Self { tools: self.tools.clone(), store: Arc::clone(&self.store) }
    }
}

impl<D: Database> Offers<D> {
    async fn read(&self) -> Result<(Found<Rc<Offerable>>, ToolOffers), Rc<ToolsError>> {
        let kept = self.store.tool_offers(self.tools.user_id).await.map_err(ToolsError::from)?;
        Ok((Offerable::found(&kept).map(Rc::new), kept))
    }

    /// It is nobody's in particular, so nothing is said of whom it is for.
    async fn asked(&self, method: Method) -> Result<Rc<Offerable>, Rc<ToolsError>> {
        let request = Request::builder().method(method).uri(format!("{TOOLS}{OFFERS_PATH}"));
        let asked = self.tools.ask(request, Bytes::new()).await;
        // Turns that go on with an old list would not say it.
        asked
            .inspect_err(|error: &ToolsError| error.log("the list of tools is not made anew"))
            .map(Rc::new)
            .map_err(Rc::new)
    }
}

impl<D: Database + 'static> Source for Offers<D> {
    type Value = Rc<Offerable>;
    type Error = Rc<ToolsError>;

    async fn find(&self) -> Result<Found<Rc<Offerable>>, Rc<ToolsError>> {
        Ok(self.read().await?.0)
    }

    async fn claim(&self) -> Result<bool, Rc<ToolsError>> {
        let claimed = self.store.claim_tool_listings(CLAIM_MS).await.map_err(ToolsError::from);
        Ok(claimed.inspect_err(|error| error.log("asking the tool servers cannot be claimed"))?)
    }

    async fn make(&self) -> Result<Rc<Offerable>, Rc<ToolsError>> {
        self.asked(Method::POST).await
    }

    async fn make_unkept(&self) -> Result<Rc<Offerable>, Rc<ToolsError>> {
        self.asked(Method::GET).await
    }
}

fn executor(lease: Lease) -> Executor<'static> {
    Executor { run_id: lease.run_id.to_string().into(), lease_owner: lease.owner.to_string().into() }
}
