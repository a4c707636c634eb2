//! `/api/admin/usage`: what each person used in the last days.

use axum::extract::State;
use domain::{Id, Timestamp};
use models::Pricing;
use permissions::table::UsageRead;
use problem::Problem;
use serde::{Deserialize, Serialize};
use storage::{Database, usage::PersonUsage};
use web::{Allowed, Json, Listing, Page, Query, Result};

use crate::router::Admin;

/// People on a page, unless asked otherwise.
const DEFAULT_LIMIT: u32 = 50;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const DEFAULT_DAYS: i64 = 30;
/// The runs of so many days are added up.
const MAX_DAYS: i64 = 366;

#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub(crate) struct Period {
    /// How many: thirty, unless said otherwise.
    #[cfg_attr(test, param(minimum = 1, maximum = 366))]
    days: Option<i64>,
}

/// What a person used.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = PersonUsage, example = json!({"user_id": "0199a0c2-7d3e-7c4b-9f2a-5b6c7d8e9f00", "email": "ada@example.com", "runs": 42, "prompt_tokens": 51000, "completion_tokens": 8100, "model_requests": 3, "tool_calls": 17, "cost": 33400, "unpriced_tokens": 0})))]
pub(crate) struct UsageBody {
    user_id: Id,
    email: String,
    runs: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Requests of their programs at `/v1`, whose tokens and cost are in the sums.
    model_requests: u64,
    tool_calls: u64,
    /// What it cost, in millionths of the currency; runs that do not know it at today's prices.
    cost: u64,
    /// Tokens of models that have no price, which are not in the cost.
    unpriced_tokens: u64,
}

/// What people used.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct UsagePage {
    #[serde(flatten)]
    page: Page<UsageBody>,
    /// The currency's code.
    currency: String,
}

impl UsageBody {
    fn new(usage: PersonUsage, pricing: &Pricing) -> Self {
        let PersonUsage { user_id, email, runs, models, model_requests, programs, tool_calls } = usage;
        let (prompt_tokens, completion_tokens, cost, unpriced_tokens) = (0, 0, 0, 0);
        let mut body = Self {
            user_id,
            email,
            runs,
            prompt_tokens,
            completion_tokens,
            model_requests,
            tool_calls,
            cost,
            unpriced_tokens,
        };
        for model in models.into_iter().chain(programs) {
            let (cost, unpriced_tokens) = model.cost_at(pricing.of_model(&model.model));
            body.cost = body.cost.saturating_add(cost);
            body.unpriced_tokens += unpriced_tokens;
            body.prompt_tokens += model.prompt_tokens;
            body.completion_tokens += model.completion_tokens;
        }
        body
    }
}

/// Says what each person used in the last days.
///
/// Runs count by when they were started; deleted conversations are not counted.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/admin/usage", tag = "Usage of everybody", operation_id = "listUsage",
    params(Period, Listing),
    responses(
        (status = 200, description = "A page of people.", body = UsagePage),
    ),
))]
pub(crate) async fn list<D: Database>(
    State(admin): State<Admin<D>>,
    _: Allowed<UsageRead>,
    Query(Period { days }): Query<Period>,
    Query(listing): Query<Listing>,
) -> Result<Json<UsagePage>> {
    let days = days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(Problem::invalid_field("days", "Use a number from 1 to 366.").into());
    }
    let limit = listing.limit(DEFAULT_LIMIT)?;
    let since = Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub(days * DAY_MS));
    let found = admin.store().usage(since, listing.before()?, limit + 1).await?;
    let pricing = &admin.config.pricing;
    let page = Page::new(found, limit, |usage| usage.user_id.to_string(), |usage| UsageBody::new(usage, pricing));
    Ok(Json(UsagePage { page, currency: pricing.currency().to_owned() }))
}
