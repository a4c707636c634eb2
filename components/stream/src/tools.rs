//! The tools, which another component lists and executes.

use std::{
    cell::RefCell,
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use domain::{Id, Timestamp, ToolCall};
use futures::{Stream, StreamExt, channel::oneshot};
use http::{HeaderValue, Request, StatusCode, header};
use orchestrator::{Offered, ToolAnswer, ToolDefinition};
use platform::{
    SpinDatabase,
    http_client::{self, HttpError},
};
use serde::{Serialize, de::DeserializeOwned};
use storage::{StorageError, Store, runs::Lease};
use toolbox::{
    Offerable,
    arguments::MAX_ARGUMENTS_BYTES,
    wire::{CALLS_PATH, Call, Called, Executor, OFFERS_PATH, Offer, Offers},
};
use web::{
    App,
    log::{Level, log},
};

use crate::{COMPONENT, config};

/// The component, as `spin.toml` lets us call it.
const TOOLS: &str = "http://tools.spin.internal";

/// How long offers are believed: whoever enters a secret and goes back to their chat is to find its tools. `tools` decides at every call
/// anyway; what is stale here is only what the model is told.
const OFFERS_AGE: Duration = Duration::from_secs(5);
/// How long one has what is kept made anew before another tries: longer than that takes.
const CLAIM_MS: i64 = 10_000;
/// How often, at first and in the end, a turn looks for what another has made: a fraction of what that takes, and not too much for the thousand
/// that may wait at once.
const LOOKS: std::ops::RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(500);
/// For how long, when there is an old list: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// And when there is none yet, which is once in an installation's life. Shorter than a run waits for its tools.
const FIRST_PATIENCE: Duration = Duration::from_millis(9_500);
/// Longer than `tools` waits for a server that is down.
const LIMIT: Duration = Duration::from_secs(8);
/// People whose offers are remembered: about as many as an instance serves at once.
const MAX_REMEMBERED: usize = 32;
/// Thousands of definitions, or a result of the longest kind.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    /// What was offered to whom. An entry is found only by the id of a verified caller.
    static OFFERED: RefCell<VecDeque<(Id, Instant, Offered)>> = const { RefCell::new(VecDeque::new()) };
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
    /// It said too much.
    #[error("tools answered too much")]
    TooLarge,
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
    traceparent: Option<HeaderValue>,
}

impl Tools {
    /// For a run of this person. `tools` learns who it is from the run's lease, which outlives their token.
    pub(crate) const fn new(user_id: Id, traceparent: Option<HeaderValue>) -> Self {
        Self { user_id, traceparent }
    }

    /// What the model may be offered.
    ///
    /// # Errors
    /// [`ToolsError`].
    pub(crate) async fn offered(&self, app: &App<SpinDatabase>, lease: Lease) -> Result<Offered, ToolsError> {
        if let Some(known) = self.remembered() {
            return Ok(known);
        }
        let offers = self.offers(app, lease).await?;
        let definition = |Offer { name, description, input_schema }| ToolDefinition { name, description, input_schema };
        let tools = offers.items.into_iter().map(definition).collect();
        let offered = Offered { tools, unconfigured: offers.unconfigured };
        self.remember(offered.clone());
        Ok(offered)
    }

    /// From what `tools` keeps, which the turn only reads. Of all who find that missing or too old, one has it made anew, beside its turn. The
    /// others believe the old list, unless it is of long ago: then they wait a moment for the new one. Nobody asks because others were slow: a
    /// thousand turns may begin at once, and each question wakes every server.
    async fn offers(&self, app: &App<SpinDatabase>, lease: Lease) -> Result<Offers, ToolsError> {
        let policies = config::tool_policies().await;
        let began = Instant::now();
        let mut look = *LOOKS.start();
        loop {
            let kept = app.store().tool_offers(self.user_id).await?;
            let old: Option<Offerable> = kept.offerable.as_deref().and_then(|json| serde_json::from_str(json).ok());
            let old = old.map(|offerable| offerable.for_person(&policies, &kept.denied, &kept.secrets));
            let waited = began.elapsed();
            match &old {
                // It is too long to be kept.
                None if kept.recent && kept.fresh => return self.ask_for_offers(lease).await,
                None if waited >= FIRST_PATIENCE => return Err(ToolsError::Slow),
                _ => {}
            }
            let renewed = match kept.fresh {
                true => None,
                false => platform::within(PATIENCE, self.renewed(app.clone(), lease)).await.flatten(),
            };
            match (renewed, old) {
                (Some(Ok(new)), _) => return Ok(new),
                (_, Some(old)) if kept.recent || waited >= PATIENCE => return Ok(old),
                (Some(Err(error)), None) => return Err(error),
                _ => {}
            }
            platform::sleep(look).await;
            look = (look * 2).min(*LOOKS.end());
        }
    }

    /// Has the offers made anew, if nobody else does. `None`: somebody does. It goes on when nobody waits for it any more.
    fn renewed(
        &self,
        app: App<SpinDatabase>,
        lease: Lease,
    ) -> impl Future<Output = Option<Result<Offers, ToolsError>>> + use<> {
        let (tell, told) = oneshot::channel();
        let this = self.clone();
        platform::spawn(async move {
            if claimed(app.store()).await {
                // Whoever does not hear of it finds it kept.
                let _ = tell.send(this.ask_for_offers(lease).await);
            }
        });
        async { told.await.ok() }
    }

    async fn ask_for_offers(&self, lease: Lease) -> Result<Offers, ToolsError> {
        let asked = platform::within(LIMIT, self.ask(OFFERS_PATH, &executor(lease))).await;
        asked.unwrap_or(Err(ToolsError::Slow))
    }

    /// Has a call made, if it may be.
    ///
    /// # Errors
    /// [`ToolsError`]: nobody knows whether it was made.
    pub(crate) async fn call(&self, lease: Lease, call: &ToolCall) -> Result<ToolAnswer, ToolsError> {
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
        Ok(match self.ask(CALLS_PATH, &call).await? {
            Called::Result { content, is_error } => ToolAnswer::Result { content, is_error },
            Called::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at_ms } => {
                let expires_at = Timestamp::from_millis(expires_at_ms);
                ToolAnswer::ApprovalNeeded { server, title, always_asks, may_disclose, expires_at }
            }
            Called::LeaseLost => ToolAnswer::LeaseLost,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ToolsError> {
        let mut request = Request::post(format!("{TOOLS}{path}")).header(header::CONTENT_TYPE, "application/json");
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let body = Bytes::from(serde_json::to_vec(body)?);
        let response = http_client::send(request.body(body).map_err(HttpError::from)?).await?;
        if response.status != StatusCode::OK {
            return Err(ToolsError::Status(response.status));
        }
        Ok(serde_json::from_slice(&read(response.body).await?)?)
    }

    fn remembered(&self) -> Option<Offered> {
        OFFERED.with_borrow(|offered| {
            let known =
                offered.iter().find(|(user_id, since, _)| *user_id == self.user_id && since.elapsed() < OFFERS_AGE);
            known.map(|(_, _, known)| known.clone())
        })
    }

    fn remember(&self, offered: Offered) {
        OFFERED.with_borrow_mut(|known| {
            known.retain(|(user_id, _, _)| *user_id != self.user_id);
            if known.len() >= MAX_REMEMBERED {
                known.pop_front();
            }
            known.push_back((self.user_id, Instant::now(), offered));
        });
    }
}

/// Whether it is on us to ask.
async fn claimed(store: &Store<SpinDatabase>) -> bool {
    store.claim_offerable_tools(CLAIM_MS).await.unwrap_or_else(|error| {
        ToolsError::from(error).log("nobody can be asked for the tools");
        false
    })
}

fn executor(lease: Lease) -> Executor<'static> {
    Executor { run_id: lease.run_id.to_string().into(), lease_owner: lease.owner.to_string().into() }
}

async fn read(mut body: impl Stream<Item = Result<Bytes, HttpError>> + Unpin) -> Result<Vec<u8>, ToolsError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(ToolsError::TooLarge);
        }
    }
    Ok(bytes)
}
