//! The tools: what a run may be offered, which is read, and what it calls, which another component executes.
//!
//! Nothing is written here on the way of a turn, and nobody waits here for others in a way of their own.

use std::{pin::Pin, rc::Rc, sync::Arc};

use bytes::Bytes;
use domain::{Id, ToolCall};
use futures::{Stream, StreamExt};
use http::{HeaderMap, Method, Request, StatusCode, header, request};
use orchestrator::{CallTerms, Offered, ToolAnswer, ToolProgress};
use permissions::Access;
use platform::{
    SpinClock,
    http_client::{self, HttpError},
};
use serde::de::DeserializeOwned;
use storage::{Database, StorageError, Store, runs::Lease, tool_listings::ToolOffers};
use tool_catalogue::{CLAIM_MS, Flight, Found, KnownOffers, OFFERS_PATH, Offerable, Source, current};
use toolbox::{
    arguments::MAX_ARGUMENTS_BYTES,
    wire::{ASK_TASKS_PATH, CALLS_PATH, Call, Executor, Said},
};
use web::{
    App,
    log::{Level, log},
};

use crate::{COMPONENT, config};

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "tools";
const TOOLS_ADDRESS: &str = "http://tools.spin.internal";

/// The longest list of tools: thousands of definitions.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, HttpError>>>>;

thread_local! {
    /// One request of this instance asks for all of it.
    static ASKING: Flight<Rc<Offerable>, Rc<ToolsError>> = Flight::default();
    /// What the database need not send it again.
    static KNOWN: KnownOffers = KnownOffers::default();
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolsError {
    /// The component cannot be asked.
    #[error("tools cannot be asked: {0}")]
    Http(#[from] HttpError),
    /// This component cannot prove that it asks.
    #[error("the call cannot be signed: {}", .0.causes().unwrap_or_default())]
    Proof(web::Error),
    /// It answered that it could not.
    #[error("tools answered {0}")]
    Status(StatusCode),
    /// Its list is longer than [`MAX_ANSWER_BYTES`].
    #[error("the answer of tools is too long")]
    TooLarge,
    /// A line of its answer to a call is too long.
    #[error("the answer of tools has a line that is too long: {0}")]
    LineTooLong(#[from] sse::EventTooLong),
    /// It ended without saying what the call came to.
    #[error("tools did not report the call's result")]
    NoAnswer,
    /// It took too long.
    #[error("tools did not answer in time")]
    Slow,
    /// It said something else than was asked.
    #[error("the answer of tools cannot be parsed: {0}")]
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

/// How `tools` is asked for a run.
pub(crate) struct Tools<D> {
    app: App<D>,
    /// Whose run it is, and which. `tools` is told by a token of this component.
    user_id: Id,
    run_id: Id,
    /// What whoever reads the run prefers, as their browser says it.
    preferences: HeaderMap,
    /// What the reader may do. A call is decided by what the person may do when it is made.
    access: Access,
}

impl<D> Clone for Tools<D> {
    fn clone(&self) -> Self {
        let Self { app, user_id, run_id, preferences, access } = self;
        let (preferences, access) = (preferences.clone(), access.clone());
        Self { app: app.clone(), user_id: *user_id, run_id: *run_id, preferences, access }
    }
}

impl<D: Database + 'static> Tools<D> {
    /// `tools` believes that it is this run from the run's lease, which outlives the person's token.
    pub(crate) const fn new(app: App<D>, (user_id, run_id): (Id, Id), preferences: HeaderMap, access: Access) -> Self {
        Self { app, user_id, run_id, preferences, access }
    }

    /// What the model may be offered, by what this instance knows and what was read with the run's claim. An old list is had made anew ([`current`]).
    ///
    /// # Errors
    /// [`ToolsError`].
    pub(crate) async fn offered(&self, read: &ToolOffers) -> Result<Offered, Rc<ToolsError>> {
        let policies = config::tool_policies().await;
        let offers = Offers { tools: self.clone(), store: Arc::clone(self.app.store()) };
        let kept = self.app.offers().await.map_err(ToolsError::from)?;
        let found = KNOWN.with(|known| known.read(&kept));
        let asking = ASKING.with(Clone::clone);
        let offerable = current(found, &asking, &SpinClock, &offers).await;
        let offerable = offerable.unwrap_or_else(|| Err(Rc::new(ToolsError::Slow)))?;
        Ok(offerable.for_person(&self.access, &policies, read))
    }

    /// Has a call made, if it may be. `told` gets the call's progress.
    ///
    /// # Errors
    /// [`ToolsError`]: nobody knows whether it was made.
    pub(crate) async fn call(
        &self,
        lease: Lease,
        call: &ToolCall,
        terms: CallTerms<'_>,
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
            chosen: terms.chosen.map(Into::into),
            unattended: terms.unattended,
            began_elsewhere: terms.began_elsewhere,
        };
        let body = Bytes::from(serde_json::to_vec(&call)?);
        let mut request =
            Request::post(format!("{TOOLS_ADDRESS}{CALLS_PATH}")).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &self.preferences {
            request = request.header(name, value);
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
                if matches!(answer, ToolAnswer::ApprovalNeeded { .. }) {
                    // The run may wait for a day, and its readers with it.
                    platform::webhooks::wake_if_any(COMPONENT, &self.app);
                }
                return Ok(answer);
            }
        }
        Err(ToolsError::NoAnswer)
    }

    /// Has the tasks of the run, which waits, asked about for which it is time. What comes of it is in the database.
    ///
    /// # Errors
    /// [`ToolsError`].
    pub(crate) async fn ask_about_tasks(&self) -> Result<(), ToolsError> {
        self.send(Request::post(format!("{TOOLS_ADDRESS}{ASK_TASKS_PATH}")), Bytes::new()).await.map(drop)
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
        let proof = self.app.prove(TOOLS, Some(self.user_id), &self.run_id.to_string()).await;
        request = request.header(header::AUTHORIZATION, proof.map_err(ToolsError::Proof)?);
        let response = http_client::send(request.body(body).map_err(HttpError::from)?).await?;
        if !response.status.is_success() {
            return Err(ToolsError::Status(response.status));
        }
        Ok(Box::pin(response.body))
    }
}

/// What could be offered to anybody, as all instances share it.
struct Offers<D> {
    tools: Tools<D>,
    store: Arc<Store<D>>,
}

impl<D> Clone for Offers<D> {
    fn clone(&self) -> Self {
        Self { tools: self.tools.clone(), store: Arc::clone(&self.store) }
    }
}

impl<D: Database + 'static> Offers<D> {
    async fn asked(&self, method: Method) -> Result<Rc<Offerable>, Rc<ToolsError>> {
        let request = Request::builder().method(method).uri(format!("{TOOLS_ADDRESS}{OFFERS_PATH}"));
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
        let kept = self.store.kept_offers(KNOWN.with(KnownOffers::version)).await.map_err(ToolsError::from)?;
        Ok(KNOWN.with(|known| known.read(&kept)))
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
