//! A request begins: it takes from its limits and reserves in its budgets, in one statement; and is settled when it has ended. As a run does
//! (docs/adr/0038), and by the same rules.

use domain::{Id, prices::Price};
use http::{HeaderName, HeaderValue, StatusCode};
use models::Provider;
use orchestrator::{prompt_builder::max_answer_tokens, reservation};
use passthrough::{Endpoint, Request};
use problem::Problem;
use storage::{
    Database, StorageError, Store,
    budgets::{Reservation, RoundEstimate},
    model_requests::{ModelRequestUsage, NewModelRequest},
};
use web::{
    Result, Session,
    limits::{RequestLimits, refused_by_budget},
};

use super::{Programs, refusal::never_again};

/// A request that is about to begin.
pub(crate) struct Beginning<'a, D> {
    pub(crate) programs: &'a Programs<D>,
    pub(crate) session: &'a Session,
    pub(crate) endpoint: Endpoint,
    pub(crate) request: &'a Request<'a>,
}

/// A request that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    id: Id,
    user_id: Id,
    /// The longest answer that is reserved, if a budget counts and the request allows a longer one: of each of its answers.
    pub(crate) max_answer_tokens: Option<u64>,
    /// What is left of its limits, as a response says it.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Begun {
    /// Ends it with what was used.
    pub(crate) async fn settle(
        &self,
        store: &Store<impl Database>,
        usage: &ModelRequestUsage,
    ) -> Result<(), StorageError> {
        store.settle_model_request(self.user_id, self.id, usage).await
    }
}

impl<D: Database> Beginning<'_, D> {
    /// Begins, if limits and budgets allow it. `first`: who is asked first, for its prices.
    pub(crate) async fn begin(&self, first: &Provider) -> Result<Begun> {
        let store = self.programs.app.store();
        let (user_id, api_key_id) = (self.session.user_id(), self.session.api_key().map(|key| key.id));
        let limits = RequestLimits::of(self.session, &self.programs.config.rates);
        let estimate = self.estimate(first).await?;
        let id = Id::new();
        let (mut left, mut has_budgets) = (Vec::new(), false);
        let reserved = reservation::reserve(estimate, async |estimate| {
            let new = NewModelRequest {
                id,
                user_id,
                api_key_id,
                api: self.endpoint.as_str(),
                model: self.request.model(),
                limits: limits.buckets(),
                estimate,
            };
            let begun = store.begin_model_request(&new).await?;
            (left, has_budgets) = (begun.left, begun.has_budgets);
            Ok::<_, StorageError>(match begun.reservation {
                Reservation::Short(budgets) => budgets,
                Reservation::Reserved | Reservation::LeaseLost => Vec::new(),
            })
        });
        let reserved = match reserved.await {
            Ok(reserved) => reserved,
            Err(error) => {
                // It may have begun, and its answer was lost.
                let _ = store.settle_model_request(user_id, id, &ModelRequestUsage::default()).await;
                return Err(error.into());
            }
        };
        limits.check(&left)?;
        let reserved = reserved.map_err(|short| {
            let refused = refused_by_budget(&short.budget, short.is_reserved);
            limits.told(if short.is_reserved { refused } else { never_again(refused) }, &left)
        })?;
        let is_shortened =
            self.request.max_answer_tokens().is_none() || reserved.answer_tokens < estimate.answer_tokens;
        let max_answer_tokens =
            (has_budgets && is_shortened).then(|| (reserved.answer_tokens / self.request.answers()).max(1));
        Ok(Begun { id, user_id, max_answer_tokens, headers: limits.headers(&left) })
    }

    /// What to reserve: for as long an answer as the request allows, or as a run would; as often as it wants one.
    async fn estimate(&self, first: &Provider) -> Result<RoundEstimate> {
        let settings = &self.programs.config.settings;
        let (request, model) = (self.request, self.request.model());
        let price = match settings.pricing.counted(first, model) {
            Some(price) => price,
            None => self.without_price().await?,
        };
        let window = settings.window(first, model);
        let one = request.max_answer_tokens().map_or(max_answer_tokens(window), |most| most.min(window));
        let answer_tokens = one.saturating_mul(request.answers());
        Ok(RoundEstimate { prompt_tokens: request.prompt_tokens(), answer_tokens, price })
    }

    /// The operator's prices cannot be read: whoever a budget of money counts for is not answered, as in runs.
    async fn without_price(&self) -> Result<Price> {
        let key = self.session.api_key().map(|key| key.id);
        let budgets = self.programs.app.store().budgets_of(self.session.user_id(), key).await?;
        if budgets.iter().all(|budget| !budget.kind.is_money()) {
            return Ok(Price::default());
        }
        let detail = "What models cost cannot be read here, and a budget of money counts for you, so no model is asked. An administrator must mend the prices; then try again.";
        Err(never_again(Problem::new(StatusCode::TOO_MANY_REQUESTS, "budget", detail)).into())
    }
}
