//! `/api/usage`: what the person used in the last thirty days, what that cost today and this month, and what is left of the budgets that count for them.

use axum::extract::State;
use domain::Timestamp;
use models::Pricing;
use permissions::table::ConversationsRead;
use problem::Problem;
use serde::Serialize;
use storage::{Database, budgets::Budget, usage::ModelUsage};
use web::{Allowed, Json, Result};

use crate::router::Chat;

const DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What one used in the last thirty days, and what is left of the budgets that count for one.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct OwnUsage {
    /// How many days are counted.
    days: i64,
    runs: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Of these tokens, what their programs used at `/v1`.
    programs: ProgramsBody,
    tool_calls: u64,
    /// The currency's code.
    currency: String,
    /// Since the beginning of the day, in UTC.
    today: Spent,
    /// Since the beginning of the month, in UTC.
    this_month: Spent,
    /// The budgets that count for the caller.
    budgets: Vec<BudgetBody>,
}

/// What programs used.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ProgramUsage, example = json!({"requests": 12, "prompt_tokens": 3400, "completion_tokens": 560})))]
struct ProgramsBody {
    requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// What was spent.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Spent {
    /// What is known, in millionths of the currency; runs that do not know it at today's prices.
    cost: u64,
    /// Tokens that models read and wrote.
    tokens: u64,
    /// Of these, the tokens of models that have no price, which are not in the cost.
    unpriced_tokens: u64,
}

impl Spent {
    fn new(models: &[ModelUsage], pricing: &Pricing) -> Self {
        let mut spent = Self { cost: 0, tokens: 0, unpriced_tokens: 0 };
        for model in models {
            let (cost, unpriced_tokens) = model.cost_at(pricing.of_model(&model.model));
            spent.cost = spent.cost.saturating_add(cost);
            spent.unpriced_tokens += unpriced_tokens;
            spent.tokens += model.prompt_tokens + model.completion_tokens;
        }
        spent
    }
}

/// The beginning of the month and of the day, in UTC.
fn beginnings(now: Timestamp) -> [Timestamp; 2] {
    let text = now.to_string();
    let beginning = |date: Option<&str>, rest: &str| {
        date.and_then(|date| format!("{date}{rest}T00:00:00Z").parse().ok()).unwrap_or(now)
    };
    [beginning(text.get(..7), "-01"), beginning(text.get(..10), "")]
}

/// A budget, and what is left of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OwnBudget, example = json!({"of": "user", "kind": "tokens_per_day", "amount": 100000, "left": 87500})))]
struct BudgetBody {
    /// Whose it is: `user`, `group`, `key` or `installation`.
    of: &'static str,
    /// `tokens_per_day`, `tokens_per_month`, `cost_per_day` or `cost_per_month`.
    kind: &'static str,
    /// Tokens, or money in millionths of the currency.
    amount: u64,
    /// The same unit.
    left: u64,
}

impl From<Budget> for BudgetBody {
    fn from(Budget { subject, kind, amount, left, .. }: Budget) -> Self {
        Self { of: subject.kind(), kind: kind.as_str(), amount, left }
    }
}

/// Says what one used lately, and what is left.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/usage", tag = "Usage", operation_id = "getOwnUsage",
    responses(
        (status = 200, description = "The last thirty days, and the budgets.", body = OwnUsage),
    ),
))]
pub(crate) async fn read<D: Database>(
    State(chat): State<Chat<D>>,
    session: Allowed<ConversationsRead>,
) -> Result<Json<OwnUsage>> {
    let since = Timestamp::from_millis(Timestamp::now().as_millis().saturating_sub(DAYS * DAY_MS));
    let (store, user_id) = (chat.store(), session.user_id());
    let usage = store.usage_of(user_id, since).await?.ok_or_else(Problem::unauthenticated)?;
    let budgets = store.budgets_of(user_id, session.api_key().map(|key| key.id)).await?;
    let read = |models: &[ModelUsage]| models.iter().map(|model| model.prompt_tokens).sum::<u64>();
    let written = |models: &[ModelUsage]| models.iter().map(|model| model.completion_tokens).sum::<u64>();
    let programs = ProgramsBody {
        requests: usage.model_requests,
        prompt_tokens: read(&usage.programs),
        completion_tokens: written(&usage.programs),
    };
    let pricing = &chat.config.pricing;
    let [this_month, today] = store.spent_by(user_id, beginnings(Timestamp::now()), pricing.currency()).await?;
    Ok(Json(OwnUsage {
        currency: pricing.currency().to_owned(),
        today: Spent::new(&today, pricing),
        this_month: Spent::new(&this_month, pricing),
        days: DAYS,
        runs: usage.runs,
        prompt_tokens: read(&usage.models) + programs.prompt_tokens,
        completion_tokens: written(&usage.models) + programs.completion_tokens,
        programs,
        tool_calls: usage.tool_calls,
        budgets: budgets.into_iter().map(Into::into).collect(),
    }))
}
